"""Pyramids: a picture at halved sizes, blurred a little before every second sample is kept."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

SIGMA = 1.5  # of the Gaussian, cut to three taps


def level_sizes(size: tuple[int, int], scales: int) -> list[tuple[int, int]]:
    """The sizes of `scales` levels, finest first; every next side is half, rounded up."""
    sizes = [size]
    for _ in range(scales - 1):
        height, width = sizes[-1]
        sizes.append((-(-height // 2), -(-width // 2)))
    return sizes


def pyramid(image: Tensor, scales: int, wrap: tuple[bool, bool] = (False, False)) -> list[Tensor]:
    """The image at `scales` sizes, finest first.

    image: (B, C, H, W) floating. wrap: per axis, blur across the border of a torus; else mirrored.
    """
    levels = [image]
    for _ in range(scales - 1):
        levels.append(blur(levels[-1], wrap)[..., ::2, ::2].contiguous())
    return levels


def blur(image: Tensor, wrap: tuple[bool, bool] = (False, False)) -> Tensor:
    """(B, C, H, W) smoothed by a separable three-tap Gaussian of sigma 1.5."""
    side = math.exp(-0.5 / SIGMA**2)
    weights = torch.tensor([side, 1.0, side], dtype=image.dtype, device=image.device)
    weights = weights / weights.sum()
    flat = image.reshape(-1, 1, *image.shape[2:])
    flat = F.conv2d(_padded(flat, 0, wrap[0]), weights.view(1, 1, 3, 1))
    flat = F.conv2d(_padded(flat, 1, wrap[1]), weights.view(1, 1, 1, 3))
    return flat.view(*image.shape[:2], *flat.shape[2:])


def _padded(image: Tensor, axis: int, wraps: bool) -> Tensor:
    """One more row (column) on each side: from the other side on a torus, else mirrored."""
    sides = (0, 0, 1, 1) if axis == 0 else (1, 1, 0, 0)
    if wraps:
        return F.pad(image, sides, mode="circular")
    return F.pad(image, sides, mode="reflect" if image.shape[2 + axis] > 1 else "replicate")


def enlarge(image: Tensor, size: tuple[int, int]) -> Tensor:
    """(B, C, h, w) on the grid of twice the samples, linear between them, cut to `size`."""
    image = F.pad(image, (0, 1, 0, 1), mode="replicate")
    doubled = (2 * image.shape[2] - 1, 2 * image.shape[3] - 1)
    larger = F.interpolate(image, doubled, mode="bilinear", align_corners=True)
    return larger[..., : size[0], : size[1]]
