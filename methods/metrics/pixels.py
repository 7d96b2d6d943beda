"""Differences pixel by pixel. The range of values is taken to be 1."""

import torch
from torch import Tensor

from .regions import weighted_mean


def l1(result: Tensor, reference: Tensor, *, region: Tensor | None = None) -> Tensor:
    """Mean absolute difference, (B,) float64. Images (B, C, H, W), region (B, 1, H, W) weights."""
    return weighted_mean((result.double() - reference.double()).abs(), region)


def l2(result: Tensor, reference: Tensor, *, region: Tensor | None = None) -> Tensor:
    """Mean squared difference (MSE), (B,) float64. Images (B, C, H, W), region weights."""
    return weighted_mean((result.double() - reference.double()).square(), region)


def psnr(result: Tensor, reference: Tensor, *, region: Tensor | None = None) -> Tensor:
    """Peak signal-to-noise ratio in dB, -10 log10(MSE) for a peak of 1; infinite where equal."""
    return -10 * l2(result, reference, region=region).log10()


def tv(result: Tensor, *, region: Tensor | None = None) -> Tensor:
    """Total variation: the sum of |dx| + |dy| over pixels and channels, (B,) float64.

    Anisotropic (Rudin, Osher and Fatemi 1992). Grows with the size of the picture or region, so
    compare equal sizes. A difference counts where both of its pixels lie in the region (the weights
    are multiplied).
    """
    image = result.double()
    total = image.new_zeros(len(image))
    for dim in (2, 3):
        step = image.diff(dim=dim).abs()
        if region is not None:
            low = region.double().narrow(dim, 0, image.shape[dim] - 1)
            step = step * low * region.double().narrow(dim, 1, image.shape[dim] - 1)
        total = total + step.flatten(1).sum(dim=1)
    if region is not None and not region.flatten(1).any(dim=1).all():
        raise ValueError("the region holds no pixels that the metric could be taken at")
    return total


def l1_map(result: Tensor, reference: Tensor) -> Tensor:
    """(B, 1, H, W): the absolute difference of every pixel, mean of its channels."""
    return torch.mean((result - reference).abs(), dim=1, keepdim=True)
