"""Local percentiles on the CPU, in numba."""

import math
from functools import partial

import numpy as np
import torch
from torch import Tensor

from .. import patches
from .compile import inline, jit
from .threads import run_pieces, stripes
from .vote import _inside

STRIPE = 16  # rows of the result that one piece of work makes


def why_not(distances: Tensor, **_) -> str | None:
    if distances.device.type != "cpu":
        return f"the distances lie on {distances.device}"
    if distances.ndim != 4:
        return "it takes images, not clips"
    return None


@inline
def _select(numbers, begin, count, rank):
    """The rank-th smallest of numbers[begin : begin + count]; reorders them."""
    low, high, rank = begin, begin + count - 1, begin + rank
    while low < high:
        pivot, i, j = numbers[(low + high) // 2], low, high
        while i <= j:
            while numbers[i] < pivot:
                i += 1
            while numbers[j] > pivot:
                j -= 1
            if i <= j:
                numbers[i], numbers[j] = numbers[j], numbers[i]
                i += 1
                j -= 1
        if rank <= j:
            high = j
        elif rank >= i:
            low = i
        else:
            break
    return numbers[rank]


@jit
def _percentiles(
    distances, patch_size, percentile, floor, wrap, wanted, out, first_row, end_row, scratch
):
    """max(floor, percentile) for the wanted pixels of some rows; sorts only where above floor."""
    height, width = distances.shape
    half = patch_size // 2
    for y in range(first_row, end_row):
        for x in range(width):
            out[y, x] = floor
            if not wanted[y, x]:
                continue
            count = above = 0
            for dy in range(-half, half + 1):
                from_y = _inside(y + dy, height, wrap[0])
                for dx in range(-half, half + 1):
                    from_x = _inside(x + dx, width, wrap[1])
                    if from_y >= 0 and from_x >= 0 and distances[from_y, from_x] < np.inf:
                        scratch[count] = distances[from_y, from_x]
                        above += scratch[count] > floor
                        count += 1
            rank = max(math.ceil(percentile * count / 100), 1) - 1
            if count - above <= rank and count:
                out[y, x] = _select(scratch, 0, count, rank)


def local_percentile(
    distances: Tensor,
    *,
    patch_size: int,
    percentile: float = 75.0,
    floor: float = 0.0,
    wrap: tuple[bool, ...] = (False, False),
    mask: Tensor | None = None,
) -> Tensor:
    """See backends.eager.local_percentile.local_percentile."""
    wrap = patches.flags(wrap, 2)
    patches.check_percentile(distances, patch_size, percentile, mask)
    height = distances.shape[2]
    wanted = torch.ones_like(distances, dtype=torch.bool) if mask is None else mask.contiguous()
    given, out = distances.detach().float().contiguous(), torch.empty_like(distances).float()
    for b in range(len(given)):
        work = partial(
            _percentiles,
            given[b, 0].numpy(),
            patch_size,
            float(percentile),
            np.float32(floor),
            wrap,
            wanted[b, 0].numpy(),
            out[b, 0].numpy(),
        )
        rows = stripes(height, STRIPE)
        run_pieces(work, [(*piece, np.empty(patch_size**2, np.float32)) for piece in rows])
    return out
