"""Which cells of a tree of keys each group of queries sees, in numba."""

from collections import namedtuple
from functools import partial

import numpy as np
import torch
from numba import float32
from torch import Tensor

from ..eager.cell_frontier import FIRST
from .compile import inline, jit
from .layout import numbers
from .simd import SLACK
from .simd_patches import product
from .simd_rows import add_scaled
from .threads import run_pieces, stripes

PIECE = 8  # groups of a piece of work

# Of one batch item, flat: grouped (G, S, D), the cells' keys (n, D), counts (n,), spreads (n,);
# seen (G, F).
Job = namedtuple("Job", "grouped keys counts spreads seen size channels cells levels")


def why_not(grouped: Tensor, *_, **__) -> str | None:
    if grouped.device.type != "cpu":
        return f"the queries lie on {grouped.device}"
    if grouped.dtype == torch.float64:
        return "it computes in float32"
    return None


@inline
def _importance(p, cell, mean, power):
    """log(weight * uncertainty) of a cell for a query; -inf for a leaf."""
    doubt = p.spreads[cell] * power
    if cell >= (np.int64(1) << p.levels) - 1 or p.counts[cell] == 0 or doubt == 0:
        return float32(-np.inf)
    logit = product(
        p.keys, cell * p.channels, mean, 0, p.channels, p.channels, p.channels, 1
    )  # fmt: skip
    return float32(logit + np.log(p.counts[cell]) + float32(0.5) * np.log(doubt) + np.log1p(doubt))


@inline
def _at_rank(values, count, rank):
    """The rank-th largest (from 0) of the first `count` values, which are reordered."""
    low, high = 0, count - 1
    while low < high:
        pivot, i, j = values[(low + high) // 2], low, high
        while i <= j:
            while values[i] > pivot:
                i += 1
            while values[j] < pivot:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                i += 1
                j -= 1
        if rank <= j:
            high = j
        elif rank >= i:
            low = i
        else:
            break
    return values[rank]


@jit
def _choose(p, first, end, mean, weights, sorted_weights):
    """The groups first to end. Scratch: (D,) the mean query, and twice (F,)."""
    leaves, empty = (np.int64(1) << p.levels) - 1, (np.int64(2) << p.levels) - 1
    for group in range(first, end):
        for c in range(p.channels):
            mean[c] = float32(0)
        power = float32(0)
        for query in range(group * p.size, (group + 1) * p.size):
            at = query * p.channels
            add_scaled(mean, 0, p.grouped, at, p.channels, float32(1) / float32(p.size))
            power += product(
                p.grouped, at, p.grouped, at, p.channels, p.channels, p.channels, 1
            )  # fmt: skip
        power /= float32(p.size * p.channels)
        to, count = group * p.cells, min(np.int64(1) << p.levels, FIRST)
        for i in range(count):
            p.seen[to + i] = count - 1 + i
            weights[i] = _importance(p, count - 1 + i, mean, power)
        while count < p.cells:
            most = min(FIRST, p.cells - count, count)
            for i in range(count):
                sorted_weights[i] = weights[i]
            least, opened = _at_rank(sorted_weights, count, most - 1), 0
            above = 0
            for i in range(count):
                above += weights[i] > least
            equal = most - above  # of those just at the limit, the first ones
            for i in range(count):
                if weights[i] < least:
                    continue
                if weights[i] == least:
                    if equal == 0:
                        continue
                    equal -= 1
                cell = np.int64(p.seen[to + i])
                left, right = 2 * cell + 1, 2 * cell + 2
                if cell >= leaves:
                    left, right = cell, empty
                p.seen[to + i], p.seen[to + count + opened] = left, right
                weights[i] = _importance(p, left, mean, power)
                weights[count + opened] = _importance(p, right, mean, power)
                opened += 1
            count += most


def cell_frontier(
    grouped: Tensor, cell_keys: Tensor, counts: Tensor, spreads: Tensor, *, levels: int, cells: int
) -> Tensor:
    """See backends.eager.cell_frontier.cell_frontier."""
    batch, groups, size, channels = grouped.shape
    cells = min(cells, 1 << levels)
    seen = torch.empty(batch, groups * cells, dtype=torch.int32)
    for b in range(batch):
        given = (numbers(t[b]) for t in (grouped, cell_keys, counts, spreads))
        job = Job(*given, seen[b].numpy(), size, channels, cells, levels)
        run_pieces(partial(_with_scratch, job), stripes(groups, PIECE))
    return seen.view(batch, groups, cells).long()


def _with_scratch(job: Job, first: int, end: int) -> None:
    room = max(job.cells, FIRST)
    _choose(
        job,
        first,
        end,
        np.empty(job.channels + SLACK, np.float32),
        *np.empty((2, room), np.float32),
    )
