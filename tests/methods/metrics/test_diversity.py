"""Pixel diversity against numpy and in closed form."""

import math

import numpy as np
import pytest
import torch

from internal_methods.methods.metrics.diversity import deviation_picture, diversity


def test_two_samples_deviate_by_half_their_difference():
    samples = torch.tensor([0.2, 0.6]).view(2, 1, 1, 1).expand(2, 1, 3, 4)
    assert diversity(samples) == pytest.approx(0.2)
    reference = torch.tensor([0.0, 1.0]).repeat(6).view(1, 1, 3, 4)  # deviation 0.5
    assert diversity(samples, reference) == pytest.approx(0.4)


def test_numpy_says_the_same():
    samples = torch.rand((5, 3, 7, 6), generator=torch.Generator().manual_seed(0))
    reference = torch.rand((1, 3, 9, 9), generator=torch.Generator().manual_seed(1))
    array = samples.double().numpy()
    by_hand = np.sqrt(((array - array.mean(axis=0)) ** 2).sum(axis=0) / 5)
    picture = deviation_picture(samples)
    assert picture.shape == (1, 3, 7, 6) and picture.dtype == samples.dtype
    np.testing.assert_allclose(picture[0], by_hand, rtol=1e-5)
    spread = reference.double().numpy()[0].std(axis=(1, 2)).mean()
    assert diversity(samples, reference) == pytest.approx(by_hand.mean() / spread)


def test_one_colour_and_one_sample():
    flat = torch.full((1, 3, 5, 5), 0.3)
    assert diversity(flat.expand(4, -1, -1, -1), flat) == 0
    assert diversity(torch.cat([flat, flat + 0.1]), flat) == math.inf
    with pytest.raises(ValueError, match="at least 2"):
        diversity(flat)
    with pytest.raises(ValueError, match="channels"):
        diversity(flat.expand(2, -1, -1, -1), flat[:, :1])
