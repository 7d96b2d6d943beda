"""Sharpness against a slow loop, and what it is for."""

import math

import pytest
import torch
import torch.nn.functional as F

from internal_methods.methods.metrics.sharpness import sharpness


def noise(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def slow_gradient(image, weights):
    total, pairs = 0.0, 0.0
    channels, height, width = image.shape
    for y in range(height):
        for x in range(width):
            for v, u in ((y + 1, x), (y, x + 1)):
                if v < height and u < width:
                    both = float(weights[y, x]) * float(weights[v, u])
                    step = sum(abs(float(c[v, u]) - float(c[y, x])) for c in image) / channels
                    total, pairs = total + both * step, pairs + both
    return total / pairs + 1 / 255


@pytest.mark.parametrize("whole", [True, False])
def test_it_is_what_a_slow_loop_says(whole):
    result, reference = noise(2, 3, 9, 11), 0.5 * noise(2, 3, 9, 11, seed=1)
    region = None if whole else noise(2, 1, 9, 11, seed=2)
    values = sharpness(result, reference, region=region)
    for b in range(2):
        weights = torch.ones(9, 11) if region is None else region[b, 0]
        both = [slow_gradient(images[b], weights) for images in (result, reference)]
        assert float(values[b]) == pytest.approx(abs(math.log(both[0] / both[1])), rel=1e-6)


def test_blur_and_noise_are_told_and_another_texture_is_not():
    reference = noise(1, 3, 64, 64)
    other, blurred = noise(1, 3, 64, 64, seed=1), F.avg_pool2d(reference, 3, 1, 1)
    assert float(sharpness(reference, reference)) == 0
    assert float(sharpness(other, reference)) < 0.05
    assert float(sharpness(blurred, reference)) > 0.7
    assert float(sharpness(reference, blurred)) == float(sharpness(blurred, reference))


def test_flat_pictures_are_equally_sharp():
    flat = torch.full((1, 3, 8, 8), 0.2)
    assert float(sharpness(flat, flat + 0.5)) == pytest.approx(0, abs=1e-6)


def test_a_region_without_neighbours_is_refused():
    region = torch.zeros(1, 1, 8, 8)
    region[..., ::2, ::2] = 1
    with pytest.raises(ValueError, match="no two neighbouring"):
        sharpness(noise(1, 3, 8, 8), noise(1, 3, 8, 8), region=region)
