"""Attention to cells of keys, less the keys that were found, in numba."""

from collections import namedtuple
from functools import partial

import numpy as np
import torch
from numba import float32
from torch import Tensor

from .compile import inline, jit
from .layout import numbers
from .simd import SLACK
from .simd_patches import product
from .simd_rows import add_scaled, exponential, largest, weighted_rows
from .threads import run_pieces, stripes

PIECE = 512  # queries of a piece of work, about
_NONE = float32(-1e30)

# Of one batch item, all arrays flat: queries (G, S, D), keys (M, D), values (M, V), found
# (G, S, k) and places (G, S, k), the leaves that they lie in; the cells' keys (n, D), values
# (n, V), counts and spreads; seen (G, F); bend (D, V).
Job = namedtuple(
    "Job",
    "queries keys values found places cell_keys cell_values counts spreads seen bend "
    "size channels width neighbours cells levels output log_sum",
)


def why_not(queries: Tensor, keys: Tensor, values: Tensor, *_, **__) -> str | None:
    if queries.device.type != "cpu":
        return f"the queries lie on {queries.device}"
    if torch.float64 in (queries.dtype, keys.dtype, values.dtype):
        return "it computes in float32"
    if torch.is_grad_enabled() and any(t.requires_grad for t in (queries, keys, values)):
        return "it gives no gradients"
    return None


@inline
def _gather_cells(p, group, cell_keys, cell_values, counts, spreads, owner):
    """What a group sees, side by side: see _attend. Returns how many cells are not empty."""
    cells = 0
    for f in range(p.cells):
        cells += p.counts[p.seen[group * p.cells + f]] > float32(0)
    f, leaves = 0, np.int64(1) << p.levels
    for i in range(p.cells):
        cell = np.int64(p.seen[group * p.cells + i])
        if not p.counts[cell] > float32(0):
            continue
        counts[f], spreads[f] = p.counts[cell], p.spreads[cell] / float32(2 * p.channels)
        for c in range(p.channels):
            cell_keys[c * cells + f] = p.cell_keys[cell * p.channels + c]
        for c in range(p.width):
            cell_values[f * p.width + c] = p.cell_values[cell * p.width + c]
        level = 0
        while (np.int64(2) << level) - 1 <= cell:
            level += 1
        begin = (cell + 1 - (np.int64(1) << level)) << (p.levels - level)
        for leaf in range(begin, begin + (leaves >> level)):
            owner[leaf] = f
        f += 1
    return cells


@jit
def _attend(p, first, end, cell_keys, cell_values, owner, scratch):
    """The groups first to end. Their cells come into cell_keys (D, F) and cell_values (F, V), and
    owner, the cell that each leaf lies in; scratch has rows of F numbers, and one of V."""
    channels, width, k = p.channels, p.width, p.neighbours
    counts, spreads, logits, left = scratch[0], scratch[1], scratch[2], scratch[3]
    out_of, lost, tilts, bulk = scratch[4], scratch[5], scratch[6], scratch[7]
    for f in range(p.cells):
        out_of[f] = lost[f] = float32(0)
    for group in range(first, end):
        cells = _gather_cells(p, group, cell_keys, cell_values, counts, spreads, owner)
        for query in range(group * p.size, (group + 1) * p.size):
            at, found, to = query * channels, query * k, query * width
            weighted_rows(logits, cell_keys, cells, p.queries, at, channels, cells)
            for f in range(cells):
                left[f] = counts[f]
            for j in range(found, found + k):
                if p.found[j] >= 0:
                    cell, key = owner[p.places[j]], np.int64(p.found[j]) * channels
                    out_of[cell] += float32(1)
                    lost[cell] += product(
                        p.queries, at, p.keys, key, channels, channels, channels, 1
                    )
            for j in range(found, found + k):
                if p.found[j] >= 0:
                    cell = owner[p.places[j]]
                    if out_of[cell] > 0:
                        rest = counts[cell] - out_of[cell]
                        left[cell], total = rest, counts[cell] * logits[cell] - lost[cell]
                        logits[cell] = total / max(rest, float32(1))
                        if rest < float32(0.5):
                            left[cell], logits[cell] = float32(0), _NONE
                        out_of[cell] = lost[cell] = float32(0)
            most = _NONE
            if cells:
                most = largest(logits, cells)
            for c in range(width):
                p.output[to + c] = float32(0)
            if most == _NONE:
                p.log_sum[query] = -np.inf
                continue
            power = product(p.queries, at, p.queries, at, channels, channels, channels, 1)
            for f in range(cells):  # the weights of single keys
                more = float32(1) + power * spreads[f]
                logits[f] = exponential(logits[f] - most) * more
                tilts[f] = left[f] * spreads[f] / more
            weight = product(logits, 0, left, 0, cells, cells, cells, 1)
            tilt = product(logits, 0, tilts, 0, cells, cells, cells, 1)
            for j in range(found, found + k):
                if p.found[j] >= 0:
                    less = -logits[owner[p.places[j]]]
                    add_scaled(p.output, to, p.values, np.int64(p.found[j]) * width, width, less)
            for f in range(cells):
                logits[f] *= counts[f]
            weighted_rows(bulk, cell_values, width, logits, 0, cells, width)
            add_scaled(p.output, to, bulk, 0, width, float32(1))
            weighted_rows(bulk, p.bend, width, p.queries, at, channels, width)
            add_scaled(p.output, to, bulk, 0, width, tilt * float32(2 * channels))
            for c in range(width):
                p.output[to + c] /= weight
            p.log_sum[query] = np.log(weight) + most


def pooled_attention(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    found: Tensor,
    *,
    rank: Tensor,
    cell_keys: Tensor,
    cell_values: Tensor,
    counts: Tensor,
    spreads: Tensor,
    bend: Tensor,
    seen: Tensor,
    levels: int,
    leaf: int,
) -> tuple[Tensor, Tensor]:
    """See backends.eager.pooled_attention.pooled_attention."""
    batch, groups, size, channels = queries.shape
    width, cells = values.shape[2], seen.shape[2]
    output = torch.empty(batch, groups * size * width)
    log_sum = torch.empty(batch, groups * size)
    for b in range(batch):
        places = rank[b][found[b].clamp(min=0)] // leaf
        job = Job(
            *(numbers(t[b]) for t in (queries, keys, values)),
            *(t.int().flatten().numpy() for t in (found[b], places)),
            *(numbers(t[b]) for t in (cell_keys, cell_values, counts, spreads)),
            seen[b].int().flatten().numpy(),
            numbers(bend[b]),
            size,
            channels,
            width,
            found.shape[3],
            cells,
            levels,
            output[b].numpy(),
            log_sum[b].numpy(),
        )
        pieces = stripes(groups, max(1, PIECE // size))
        run_pieces(partial(_with_scratch, job), pieces)
    output = output.view(batch, groups, size, width).to(values.dtype)
    return output, log_sum.view(batch, groups, size)


def _with_scratch(job: Job, first: int, end: int) -> None:
    room = job.cells + SLACK
    _attend(
        job,
        first,
        end,
        np.empty(job.channels * job.cells + SLACK, np.float32),
        np.empty(job.width * job.cells + SLACK, np.float32),
        np.empty(1 << job.levels, np.int32),
        np.empty((8, max(room, job.width + SLACK)), np.float32),
    )
