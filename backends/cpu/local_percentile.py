"""Local percentiles on the CPU, in numba.

Numbers go as whole ones from 0 on, in the same order, which are compared many at a time. A window
is made of columns, which it shares with the windows beside it: each is gathered once. Its
percentile is near that of the window before, and is found from there.
"""

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from numba import int32
from torch import Tensor

from .. import patches
from .compile import inline, jit
from .pixels import depth, volume
from .threads import frame_stripes, run_pieces
from .vote import inside

STRIPE = 16  # rows of the result that one piece of work makes
NEAR = 8  # numbers between a guess and the percentile that are passed one by one
STRIDE = 17  # between numbers that are tried where it is farther
NONE = np.int32(2**31 - 1)  # greater than all numbers


def why_not(distances: Tensor, **_) -> str | None:
    if distances.device.type != "cpu":
        return f"the distances lie on {distances.device}"
    return None


@inline
def _count(keys, length, key):
    """How many of keys[:length] are less than `key`, and how many are not greater."""
    less = up_to = int32(0)
    for i in range(length):
        less = int32(less + int32(keys[i] < key))
        up_to = int32(up_to + int32(keys[i] <= key))
    return less, up_to


@inline
def _below(keys, length, key):
    """The greatest of keys[:length] that is less than `key`; there is one."""
    found = int32(0)
    for i in range(length):  # a branch would keep the loop from being vectorised
        found = max(found, int32(keys[i] & -int32(keys[i] < key)))
    return found


@inline
def _above(keys, length, key):
    """The least of keys[:length] that is greater than `key`; there is one."""
    found = NONE
    for i in range(length):
        found = min(found, int32(keys[i] | (NONE & -int32(keys[i] <= key))))
    return found


@inline
def _select(keys, length, rank, guess):
    """The rank-th smallest of keys[:length], found from a guess on."""
    low, high, place = int32(0), NONE, 0
    less, up_to = _count(keys, length, guess)
    while rank < less or rank >= up_to:
        if rank < less:
            guess = high = _below(keys, length, guess)
        else:
            guess = low = _above(keys, length, guess)
        if max(less - rank, rank - up_to) > NEAR:
            place = (place + STRIDE) % length
            while keys[place] < low or keys[place] > high:
                place = place + 1 if place + 1 < length else 0
            guess = keys[place]
        less, up_to = _count(keys, length, guess)
    return guess


@jit
def _percentiles(
    keys, patch, percentile, floor, wrap, wanted, out, first_row, end_row, window, tallies
):
    """The percentile of the wanted pixels of some rows; NONE where it is not above the floor.

    keys, wanted, out: (T, H, W). patch: its depth and its side. window: room for all keys of one,
    column by column. tallies: (3, side) int64, of each column: which it is, how many keys it has,
    and how many of them are above the floor.
    """
    frames, height, width = keys.shape
    ahead, half, side = patch[0] // 2, patch[1] // 2, patch[1]
    length, guess = patch[0] * side, int32(0)
    at, counts, aboves = tallies
    t = first_row // height
    for y in range(first_row - t * height, end_row - t * height):
        for c in range(side):
            at[c] = -side  # nowhere
        for x in range(width):
            out[t, y, x] = NONE
            if not wanted[t, y, x]:
                continue
            count = above = 0
            for column in range(x - half, x + half + 1):
                c = column % side
                if at[c] != column:
                    at[c], counts[c], aboves[c] = column, 0, 0
                    from_x = inside(column, width, wrap[2])
                    place = c * length
                    for dt in range(-ahead, ahead + 1):
                        from_t = inside(t + dt, frames, wrap[0])
                        for dy in range(-half, half + 1):
                            from_y = inside(y + dy, height, wrap[1])
                            key = NONE
                            if from_t >= 0 and from_y >= 0 and from_x >= 0:
                                key = keys[from_t, from_y, from_x]
                            window[place] = key
                            place += 1
                            counts[c] += key < NONE
                            aboves[c] += floor < key < NONE
                count += counts[c]
                above += aboves[c]
            rank = max(math.ceil(percentile * count / 100), 1) - 1
            if count - above <= rank and count:
                guess = _select(window, side * length, rank, guess)
                out[t, y, x] = guess


def _ordered(numbers: Tensor, floor: float) -> tuple[Tensor, int, Callable[[Tensor], Tensor]]:
    """float32 as int32 from 0 on of the same order, what is not finite as NONE; the greatest of
    them that is not above the floor; and the way back."""
    finite = numbers.isfinite()
    if bool((numbers >= 0).logical_or_(~finite).all()):  # then their bits have their order
        keys = (numbers + 0.0).view(torch.int32)
        bits = torch.tensor(floor + 0.0, dtype=torch.float32).view(torch.int32)
        low = int(bits) if floor >= 0 else -1
        return keys.masked_fill(~finite, int(NONE)), low, lambda found: found.view(torch.float32)
    values, keys = numbers.masked_fill(~finite, torch.inf).unique(return_inverse=True)
    low = int((values <= torch.tensor(floor, dtype=torch.float32)).sum()) - 1
    keys = keys.int().masked_fill_(~finite, int(NONE))
    return keys, low, lambda found: values[found.clamp(max=len(values) - 1).long()]


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
    keys, low, back = _ordered(given, floor)
    out = torch.empty(distances.shape, dtype=torch.int32)
    clip, patch = volume(size), (depth(size, patch_size), patch_size)
    pieces = frame_stripes(*clip[:2], STRIPE)
    for b in range(len(given)):
        work = partial(
            _percentiles,
            keys[b].view(clip).numpy(),
            patch,
            float(percentile),
            np.int32(low),
            (False,) * (3 - len(size)) + wrap,
            wanted[b].view(clip).numpy(),
            out[b].view(clip).numpy(),
        )
        numbers = patch[0] * patch[1] ** 2
        run_pieces(
            work,
            [
                (*piece, np.empty(numbers, np.int32), np.empty((3, patch_size), np.int64))
                for piece in pieces
            ],
        )
    return back(out).masked_fill(out == int(NONE), floor)
