"""The values that a network works with."""

import pytest
import torch
from torch import Generator

from internal_methods.methods.diffusion.scale import Scale


def test_known_values_become_of_mean_0_and_deviation_a_half():
    images = 0.3 + 0.02 * torch.randn(1, 3, 40, 40, generator=Generator().manual_seed(0))
    holes = torch.zeros(1, 1, 40, 40)
    holes[..., :20] = 1
    images[..., :20] = 9  # what is hidden does not count
    scale = Scale.of(images, holes)
    known = scale.scaled(images[..., 20:])
    assert float(known.mean()) == pytest.approx(0, abs=1e-5)
    assert float(known.std()) == pytest.approx(0.5, abs=1e-3)
    assert scale.limits == pytest.approx((float(known.min()), float(known.max())), abs=1e-4)
    torch.testing.assert_close(scale.unscaled(known), images[..., 20:])


def test_it_is_widened_for_a_like_picture_and_moved_for_another():
    scale = Scale(0.4, 0.2, 0.0, 1.0)
    like = scale.suiting(torch.tensor([-0.125, 0.75]))
    assert like == Scale(0.4, 0.2, -0.125, 1.0)
    eight_bits = scale.suiting(torch.tensor([0.0, 255.0]))
    assert eight_bits.scaled(torch.tensor(102.0)) == pytest.approx(0)
    assert eight_bits.limits == pytest.approx(scale.limits)
    assert scale.suiting(torch.zeros(0)) == scale
