"""Pyramids: a picture at halved sizes, blurred a little before every second sample is kept.

Clips (B, C, T, H, W) likewise: it is their frames that are halved, never their number.
"""

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


def pyramid(image: Tensor, scales: int, wrap: tuple[bool, ...] = (False, False)) -> list[Tensor]:
    """The image at `scales` sizes, finest first.

    image: (B, C, H, W) floating. wrap: per axis, blur across the border of a torus; else mirrored;
        of clips the last two flags count.
    """
    levels = [image]
    for _ in range(scales - 1):
        levels.append(halved(levels[-1], wrap).contiguous())
    return levels


def masked_pyramid(
    values: Tensor, known: Tensor, scales: int, wrap: tuple[bool, ...] = (False, False)
) -> list[tuple[Tensor, Tensor]]:
    """A pyramid of what is known of an image, (values, known) at each scale, finest first.

    values: (B, C, H, W). known: (B, C, H, W) bool. A blurred pixel is made of what is known under
    the blur alone, and counts as known where that is more than half.
    """
    weights = known.to(values.dtype)
    levels = zip(
        pyramid(values * weights, scales, wrap), pyramid(weights, scales, wrap), strict=True
    )
    return [(v / w.clamp(min=0.5), w > 0.5) for v, w in levels]


def halved(image: Tensor, wrap: tuple[bool, ...] = (False, False)) -> Tensor:
    """Every second pixel of (B, C, H, W), from the first on, after a three-tap Gaussian blur."""
    side = math.exp(-0.5 / SIGMA**2)
    middle, side = 1 / (1 + 2 * side), side / (1 + 2 * side)
    for dim, around in ((-2, wrap[-2]), (-1, wrap[-1])):
        n = image.shape[dim]
        if n == 1:
            continue
        even, odd = image.unfold(dim, 1, 2).squeeze(-1), image.narrow(dim, 1, n - 1)
        odd = odd.unfold(dim, 1, 2).squeeze(-1)
        first = image.narrow(dim, n - 1 if around else 1, 1)
        before = torch.cat((first, odd), dim).narrow(dim, 0, even.shape[dim])
        after = odd
        if n % 2:
            last = image.narrow(dim, 0 if around else n - 2, 1)
            after = torch.cat((odd, last), dim)
        image = torch.add(before, after).mul_(side).add_(even, alpha=middle)
    return image


def enlarge(image: Tensor, size: tuple[int, int]) -> Tensor:
    """(B, C, h, w) on the grid of twice the samples, linear between them, cut to `size`."""
    image = F.pad(image, (0, 1, 0, 1), mode="replicate")
    doubled = (2 * image.shape[2] - 1, 2 * image.shape[3] - 1)
    larger = F.interpolate(image, doubled, mode="bilinear", align_corners=True)
    return larger[..., : size[0], : size[1]]
