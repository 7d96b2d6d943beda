"""Local percentiles on the CPU, in numba."""

import math
from functools import partial

import numpy as np
import torch
from torch import Tensor

from .. import patches
from .compile import inline, jit
from .pixels import depth, volume
from .threads import frame_stripes, run_pieces
from .vote import inside

STRIPE = 16  # rows of the result that one piece of work makes


def why_not(distances: Tensor, **_) -> str | None:
    if distances.device.type != "cpu":
        return f"the distances lie on {distances.device}"
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
    distances, patch, percentile, floor, wrap, wanted, out, first_row, end_row, scratch
):
    """max(floor, percentile) for the wanted pixels of some rows; sorts only where above floor.

    distances, wanted, out: (T, H, W). patch: its depth and its side.
    """
    frames, height, width = distances.shape
    ahead, half = patch[0] // 2, patch[1] // 2
    t = first_row // height
    for y in range(first_row - t * height, end_row - t * height):
        for x in range(width):
            out[t, y, x] = floor
            if not wanted[t, y, x]:
                continue
            count = above = 0
            for dt in range(-ahead, ahead + 1):
                from_t = inside(t + dt, frames, wrap[0])
                for dy in range(-half, half + 1):
                    from_y = inside(y + dy, height, wrap[1])
                    if from_t < 0 or from_y < 0:
                        continue
                    for dx in range(-half, half + 1):
                        from_x = inside(x + dx, width, wrap[2])
                        if from_x >= 0 and distances[from_t, from_y, from_x] < np.inf:
                            scratch[count] = distances[from_t, from_y, from_x]
                            above += scratch[count] > floor
                            count += 1
            rank = max(math.ceil(percentile * count / 100), 1) - 1
            if count - above <= rank and count:
                out[t, y, x] = _select(scratch, 0, count, rank)


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
    size = distances.shape[2:]
    wrap = patches.flags(wrap, len(size))
    patches.check_percentile(distances, patch_size, percentile, mask)
    wanted = torch.ones_like(distances, dtype=torch.bool) if mask is None else mask.contiguous()
    given = distances.detach().float().contiguous()
    out = torch.empty(distances.shape, dtype=torch.float32)
    clip, patch = volume(size), (depth(size, patch_size), patch_size)
    pieces = frame_stripes(*clip[:2], STRIPE)
    for b in range(len(given)):
        work = partial(
            _percentiles,
            given[b].view(clip).numpy(),
            patch,
            float(percentile),
            np.float32(floor),
            (False,) * (3 - len(size)) + wrap,
            wanted[b].view(clip).numpy(),
            out[b].view(clip).numpy(),
        )
        numbers = patch[0] * patch[1] ** 2
        run_pieces(work, [(*piece, np.empty(numbers, np.float32)) for piece in pieces])
    return out
