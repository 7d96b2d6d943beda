"""Where a metric looks: everywhere, in the hole, in a ring around it, or outside."""

import torch
import torch.nn.functional as F
from torch import Tensor

from ..morphology import grown

RING = 16  # pixels


def regions(mask: Tensor, ring: int = RING) -> dict[str, Tensor]:
    """The regions of (B, 1, H, W) masks, as (B, 1, H, W) bool.

    inside: mask > 0.5, the hole. ring: within `ring` pixels of the hole in the maximum norm, and
    not in it. outside: mask exactly 0, what a fill must not touch. all: everything. A feathered
    mask's faint part belongs to none but all (and the ring, where it is that near).
    """
    if ring < 1:
        raise ValueError(f"ring {ring} is not a width in pixels; use at least 1")
    inside = mask > 0.5
    around = torch.cat([grown(hole[None], ring) for hole in inside])
    return {
        "all": torch.ones_like(inside),
        "inside": inside,
        "ring": around & ~inside,
        "outside": mask == 0,
    }


def weighted_mean(values: Tensor, region: Tensor | None) -> Tensor:
    """(B,) float64: the mean of (B, C, H, W) over its channels and the region's pixels.

    region: (B or 1, 1, H, W) weights >= 0; None for all alike.
    Raises ValueError if the weights of a picture are all 0.
    """
    values = values.double()
    if region is None:
        return values.flatten(1).mean(dim=1)
    weights = region.double().expand(len(values), 1, *values.shape[2:])
    total = weights.flatten(1).sum(dim=1)
    if (total <= 0).any():
        raise ValueError("the region holds no pixels that the metric could be taken at")
    return (values * weights).flatten(1).sum(dim=1) / (total * values.shape[1])


def resized(region: Tensor, size: tuple[int, int]) -> Tensor:
    """A region for a map of another size: the share of every cell that it covers, float64."""
    return F.adaptive_avg_pool2d(region.double(), size)
