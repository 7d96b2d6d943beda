"""Mean and variance of samples against numpy, and in words."""

import numpy as np
import pytest
import torch

from internal_methods.methods.diffusion.statistics import sample_statistics, variance_words


def samples(count=5) -> torch.Tensor:
    return torch.rand(count, 3, 4, 6, generator=torch.Generator().manual_seed(0))


def test_mean_and_variance_are_numpys():
    made = samples()
    mean, variance = sample_statistics(made)
    assert mean.shape == variance.shape == (1, 3, 4, 6) and mean.dtype == torch.float32
    assert np.allclose(mean[0], made.numpy().mean(0), atol=1e-6)
    assert np.allclose(variance[0], made.numpy().astype(float).var(0, ddof=1), atol=1e-7)


def test_the_variance_of_what_never_changes_is_nothing():
    made = samples(1).expand(4, -1, -1, -1)
    mean, variance = sample_statistics(made)
    assert torch.equal(mean, made[:1]) and not variance.any()


def test_words_tell_of_the_region():
    variance = torch.zeros(1, 1, 4, 4)
    variance[..., 0, :2] = torch.tensor([0.04, 0.16])
    region = torch.zeros_like(variance)
    region[..., 0, :2] = 1
    told = variance_words(variance, region, 7)
    assert told.startswith("7 samples: variance 0.1 in the mean, 0.16 at most")
    assert "0.0125 in the mean" in variance_words(variance, None, 7)
    assert "the mask is empty" in variance_words(variance, 0 * region, 7)


def test_one_sample_has_no_variance():
    with pytest.raises(ValueError, match="2 or more"):
        sample_statistics(samples(1))
