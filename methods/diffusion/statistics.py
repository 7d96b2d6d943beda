"""What several samples have in common, and where they differ."""

import math

import torch
from torch import Tensor

from ..checks import check_image


def sample_statistics(samples: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of every pixel and channel, (1, C, H, W) each, of samples (n, C, H, W).

    The mean of many samples approaches the mean of all that the model holds for possible, which is
    what a regression predicts (Cherel 2024, V.3.3.3). The variance is that of the possible
    pictures, estimated without bias: with n - 1.
    Raises ValueError for a single sample.
    """
    check_image(samples, "samples")
    if len(samples) < 2:
        raise ValueError("the variance is that of several samples, and this is one; make 2 or more")
    precise = torch.float32 if samples.device.type == "mps" else torch.float64
    variance, mean = torch.var_mean(samples.to(precise), dim=0, keepdim=True)
    return mean.to(samples), variance.to(samples)


def variance_words(variance: Tensor, region: Tensor | None, count: int) -> str:
    """In a line: mean and largest variance (1, 1, H, W), of where region (1, 1, H, W) is > 0."""
    values = variance if region is None else variance[(region > 0).expand_as(variance)]
    if not values.numel():
        return f"{count} samples; the mask is empty"
    mean, most = float(values.mean()), float(values.max())
    return (
        f"{count} samples: variance {mean:.3g} in the mean, {most:.3g} at most; standard deviation "
        f"{math.sqrt(mean):.3g} and {math.sqrt(most):.3g}"
    )
