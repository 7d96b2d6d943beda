"""An order of points in which every binary block is a tight cluster, in plain torch."""

import torch
from torch import Tensor

SAMPLE = 64  # points that a direction is taken from
STEPS = 2  # of power iteration


def why_not(points: Tensor, levels: int) -> str | None:
    return None


def cluster_order(points: Tensor, levels: int) -> Tensor:
    """The order in which a balanced binary tree lists points.

    points: (B, N, D) floating, N a multiple of 2**levels. Each block of N / 2**l points of the
    order, for every level l, is split at the median along the direction in which a sample of it
    varies most, lower half first.
    Returns (B, N) int64.
    """
    batch, count, channels = points.shape
    rest = points.detach()
    order = torch.arange(count, device=points.device).expand(batch, count)
    for level in range(levels):
        blocks = rest.reshape(batch << level, count >> level, channels)
        along = (blocks @ _direction(blocks)).squeeze(2)
        split = along.argsort(dim=1, stable=True)
        rest = blocks.gather(1, split[:, :, None].expand_as(blocks)).view(points.shape)
        order = order.reshape(along.shape).gather(1, split).view(batch, count)
    return order


def _direction(blocks: Tensor) -> Tensor:
    """(n, D, 1): about the first principal component of every block of (n, points, D)."""
    some = blocks[:, :: max(1, blocks.shape[1] // SAMPLE)]
    some = some - some.mean(1, keepdim=True)
    widest = some.square().sum(1).argmax(1)
    direction = torch.zeros_like(some[:, 0]).scatter_(1, widest[:, None], 1)[:, :, None]
    for _ in range(STEPS):
        direction = some.transpose(1, 2) @ (some @ direction)
        length = direction.norm(dim=1, keepdim=True)
        direction = direction / length.clamp(min=torch.finfo(length.dtype).tiny)
    return direction
