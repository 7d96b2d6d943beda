"""How far an engine that fills holes can be relied on: it also fills a rim of what is known."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..checks import largest_odd
from ..morphology import grown
from .smooth_fill import smooth_fill

RIM = 4  # pixels around a hole
BOXES = {(19, 61, 61): 2 / 3, (5, 9, 9): 1 / 3}  # frames, pixels to average over; their weights
GRAIN = 1 / 255  # root mean square by which all miss


def rim_of(hole: Tensor) -> Tensor:
    """(1, 1, T, H, W) bool: what is known next to the hole in each frame."""
    return grown(hole, (0, RIM, RIM)) & ~hole


def missed(clip: Tensor, filled: Tensor, rim: Tensor) -> Tensor:
    """(1, 1, T, H, W): by how much a fill of the rim misses it, and presumably the hole nearby.

    Mean squares over channels and around each pixel, a geometric mean of a wide neighbourhood, for
    few pixels say little, and a narrow one, for engines may do well in one place only; carried
    smoothly into where there is no rim. clip, filled: (1, C, T, H, W). rim: (1, 1, T, H, W) bool,
    not empty.
    """
    apart = (filled - clip).float().square().mean(1, keepdim=True) * rim
    made = torch.ones_like(apart)
    for box, weight in BOXES.items():
        made *= (_carried_on(apart, rim, box) + GRAIN**2) ** weight
    return made


def _carried_on(apart: Tensor, rim: Tensor, box: tuple[int, int, int]) -> Tensor:
    """Means of what is on the rim, over boxes, and smooth beyond; of all in frames without one."""
    total, count = (_wide_mean(each, box) for each in (apart, rim.float()))
    near = count > 0
    mean = torch.where(near, total / count.clamp(min=1e-9), apart.sum() / rim.sum())
    for t in range(rim.shape[2]):
        weight = near[0, 0, t].cpu().numpy().astype(np.float32)
        if 0 < weight.mean() < 1:
            spread = smooth_fill(mean[0, 0, t, ..., None].cpu().numpy(), weight)[..., 0]
            mean[0, 0, t] = torch.from_numpy(spread)
    return mean


def box_mean(values: Tensor, size: tuple[int, int, int]) -> Tensor:
    """(B, 1, T, H, W) averaged over boxes, which end at the borders and fit into the clip."""
    sides = values.shape[2:]
    box = [min(n, largest_odd(side)) for n, side in zip(size, sides, strict=True)]
    half = [n // 2 for n in box]
    return F.avg_pool3d(values, box, 1, half, count_include_pad=False)


def _wide_mean(values: Tensor, size: tuple[int, int, int]) -> Tensor:
    """The same for large boxes: one side after the other."""
    frames, tall, wide = size
    for box in ((frames, 1, 1), (1, tall, 1), (1, 1, wide)):
        values = box_mean(values, box)
    return values
