"""Seams: torus textures have none, their crops do, and the numbers are those of a slow loop."""

import math

import numpy as np
import pytest
import torch

from internal_methods.methods import make_tileable
from internal_methods.methods.metrics.tileability import seam_x, seam_y, tileability


def periodic_noise(height=96, width=120, cells=9.0, seed=0):
    """A texture on a torus, (1, 3, H, W)."""
    rng = np.random.default_rng(seed)
    spectrum = np.fft.rfft2(rng.standard_normal((3, height, width)))
    y = np.fft.fftfreq(height)[:, None] * height
    x = np.fft.rfftfreq(width)[None] * width
    field = np.fft.irfft2(spectrum * np.exp(-np.hypot(y, x) / cells), (height, width))
    return torch.from_numpy(0.5 + 0.15 * field / field.std())[None].float()


def slow_seam_x(image):
    pixels, worst = image.double().numpy(), 0.0
    channels, height, width = pixels.shape
    for scale in (1, 2, 4):
        if min(height, width) < 8 * scale:
            break

        def break_at(joint, scale=scale):
            """Between columns joint - 1 and joint, of the torus."""
            total = 0.0
            for channel in range(channels):
                for row in range(height - scale + 1):
                    means = []
                    for stretch in (-2, -1, 0, 1):
                        start = joint + stretch * scale
                        columns = [(start + i) % width for i in range(scale)]
                        means.append(pixels[channel, row : row + scale][:, columns].mean())
                    total += abs(means[3] - 3 * means[2] + 3 * means[1] - means[0])
            return total / (channels * (height - scale + 1))

        inside = [break_at(joint) for joint in range(2 * scale, width - 2 * scale + 1)]
        worst = max(worst, (break_at(0) + 1 / 255) / (np.mean(inside) + 1 / 255))
    return worst


@pytest.mark.parametrize("size", [(17, 41), (33, 34), (9, 8)])
def test_the_numbers_are_those_of_a_slow_loop(size):
    image = torch.rand(2, 2, *size, generator=torch.Generator().manual_seed(1))
    image[1] = image[1].cumsum(2) / size[1]  # a ramp with noise
    wanted = torch.tensor([slow_seam_x(one) for one in image], dtype=torch.float64)
    torch.testing.assert_close(seam_x(image), wanted, rtol=1e-9, atol=0)
    torch.testing.assert_close(seam_y(image.transpose(2, 3)), wanted, rtol=1e-9, atol=0)


@pytest.mark.parametrize("seam", [seam_x, seam_y])
def test_a_torus_has_no_seam_and_a_crop_of_it_has(seam):
    for seed in range(4):
        image = periodic_noise(seed=seed)
        assert 0.8 < float(seam(image)) < 1.25
        assert float(seam(image[..., 5:-6, 7:-8])) > 3


def test_rolling_a_tile_changes_little():
    image = periodic_noise(seed=5)
    values = torch.cat([seam_x(image.roll((3 * i, 11 * i), (2, 3))) for i in range(10)])
    assert values.max() - values.min() < 0.5 and values.max() < 1.3


def test_a_ramp_jumps_where_it_wraps_and_a_hard_pattern_goes_on():
    ramp = torch.linspace(0, 1, 64).expand(1, 1, 64, 64)
    assert float(seam_x(ramp)) > 100 and float(seam_y(ramp)) == pytest.approx(1)
    columns = torch.arange(64) % 8 < 4
    stripes = columns.float().expand(1, 1, 64, 64)
    assert float(seam_x(stripes)) < 2.1 and float(seam_x(stripes.roll(2, 3))) < 1.1
    assert float(seam_x(stripes[..., :-3])) > float(seam_x(stripes.roll(2, 3)))


def test_a_change_of_light_under_noise_is_seen():
    noise = 0.1 * torch.randn(1, 3, 128, 128, generator=torch.Generator().manual_seed(0))
    assert float(seam_x(0.5 + noise)) < 1.2
    assert float(seam_x(0.5 + noise + torch.linspace(-0.06, 0.06, 128))) > 1.7


def test_a_flat_picture_has_no_seam():
    assert seam_x(torch.full((2, 3, 20, 20), 0.3)).tolist() == [1.0, 1.0]
    dot = torch.zeros(1, 3, 40, 40)
    dot[..., 20, 20] = 1
    assert math.isfinite(float(seam_x(dot))) and float(seam_x(dot)) < 1


def test_making_tileable_lowers_the_score():
    image = periodic_noise(height=120, width=150, cells=7)[..., 5:-20, 7:-30]
    tile, _ = make_tileable(image, band=0.3, iterations=3)
    for seam in (seam_x, seam_y):
        assert float(seam(tile)) < 1.5 < 2.5 < float(seam(image))


def test_rows_name_the_picture_and_the_method():
    rows = tileability(periodic_noise()[..., :-7].repeat(2, 1, 1, 1), method="photo")
    assert [(row.method, row.image, row.metric, row.better) for row in rows] == [
        ("photo", image, metric, "lower") for image in "01" for metric in ("seam_x", "seam_y")
    ]
    assert rows[0].value == float(seam_x(periodic_noise()[..., :-7])) > rows[1].value
    assert "100 %" in rows[0].note and "100 %" not in rows[1].note


def test_bad_input():
    with pytest.raises(ValueError, match="at least 8"):
        seam_x(torch.rand(1, 3, 7, 30))
    with pytest.raises(ValueError, match="names do not fit"):
        tileability(torch.rand(2, 3, 30, 30), images=["a"])
