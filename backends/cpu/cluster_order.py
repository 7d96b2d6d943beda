"""An order of points in which every binary block is a tight cluster, in numba."""

import numpy as np
import torch
from numba import float32
from torch import Tensor

from ..eager.cluster_order import SAMPLE, STEPS
from .compile import inline, jit
from .kdtree import halve
from .layout import numbers
from .simd import SLACK
from .simd_patches import product
from .simd_rows import add_scaled
from .threads import run_pieces

FORKS = 3  # levels above the pieces that threads split on
_TINY = float32(1e-30)


def why_not(points: Tensor, levels: int) -> str | None:
    if points.device.type != "cpu":
        return f"the points lie on {points.device}"
    if points.dtype == torch.float64:
        return "it computes in float32"
    return None


@inline
def _direct(points, channels, order, first, end, direction, middle, sum_):
    """Set `direction` to about the first principal component of order[first:end]."""
    stride = max(1, (end - first) // SAMPLE)
    for c in range(channels):
        middle[c] = sum_[c] = direction[c] = float32(0)
    count = 0
    for i in range(first, end, stride):
        add_scaled(middle, 0, points, np.int64(order[i]) * channels, channels, float32(1))
        count += 1
    for c in range(channels):
        middle[c] /= float32(count)
    for i in range(first, end, stride):
        at = np.int64(order[i]) * channels
        for c in range(channels):
            difference = points[at + c] - middle[c]
            sum_[c] += difference * difference
    widest = 0
    for c in range(channels):
        if sum_[c] > sum_[widest]:
            widest = c
    direction[widest] = float32(1)
    for _ in range(STEPS):
        offset = product(middle, 0, direction, 0, channels, channels, channels, 1)
        total = float32(0)
        for c in range(channels):
            sum_[c] = float32(0)
        for i in range(first, end, stride):
            at = np.int64(order[i]) * channels
            along = product(points, at, direction, 0, channels, channels, channels, 1) - offset
            add_scaled(sum_, 0, points, at, channels, along)
            total += along
        add_scaled(sum_, 0, middle, 0, channels, -total)
        length = np.sqrt(product(sum_, 0, sum_, 0, channels, channels, channels, 1))
        for c in range(channels):
            direction[c] = sum_[c] / max(length, _TINY)


@jit
def _split(points, channels, order, keys, first, size, levels, direction, middle, sum_):
    """Order order[first : first + size] down to its blocks of size / 2**levels."""
    for level in range(levels):
        block = size >> level
        for start in range(first, first + size, block):
            end = start + block
            _direct(points, channels, order, start, end, direction, middle, sum_)
            for i in range(start, end):
                at = np.int64(order[i]) * channels
                keys[i] = product(points, at, direction, 0, channels, channels, channels, 1)
            halve(keys, order, start, end, start + block // 2)


def cluster_order(points: Tensor, levels: int) -> Tensor:
    """See backends.eager.cluster_order.cluster_order; within the smallest blocks the order is
    another. Results do not depend on the number of threads."""
    batch, count, channels = points.shape
    order = np.tile(np.arange(count, dtype=np.int32), (batch, 1))
    keys = np.empty((batch, count), np.float32)
    given = [numbers(item) for item in points]

    def work(b: int, first: int, size: int, levels: int) -> None:
        scratch = np.empty((3, channels + SLACK), np.float32)
        _split(given[b], channels, order[b], keys[b], first, size, levels, *scratch)

    fork = min(FORKS, levels)
    run_pieces(work, [(b, 0, count, fork) for b in range(batch)])
    branch = count >> fork
    firsts = range(0, count, branch) if levels > fork else ()
    run_pieces(work, [(b, first, branch, levels - fork) for b in range(batch) for first in firsts])
    return torch.from_numpy(order).long()
