"""Keys with large logits, looked for in the best cells that queries see, in numba."""

from collections import namedtuple
from functools import partial

import numpy as np
import torch
from numba import float32
from torch import Tensor

from ..eager.cell_search import BLOCK
from .compile import inline, jit
from .layout import numbers
from .simd import SLACK
from .simd_patches import product
from .simd_rows import weighted_rows
from .threads import run_pieces, stripes

PIECE = 512  # queries of a piece of work, about
_NONE = float32(-np.inf)

# Of one batch item, all arrays flat: queries (G, S, D), the keys block after block (blocks, D,
# room) and which they are, order (blocks, room); the cells' keys (n, D) and counts (n,); seen
# (G, F); found (G, S, k). Block n is cell before + n.
Job = namedtuple(
    "Job",
    "queries blocks order cell_keys counts seen found size channels cells before room probes "
    "neighbours",
)


def why_not(queries: Tensor, listed: Tensor, *_, **__) -> str | None:
    if queries.device.type != "cpu":
        return f"the queries lie on {queries.device}"
    if torch.float64 in (queries.dtype, listed.dtype):
        return "it computes in float32"
    return None


@jit
def _search(p, first, end, cell_keys, logits, best, scores, near):
    """The groups first to end. Scratch: (D, F) keys of a group's cells, (F,) logits of a query, the
    places of its best cells, the scores of what it found and those of a block."""
    channels, cells, k = p.channels, p.cells, p.neighbours
    for group in range(first, end):
        for f in range(cells):
            at = np.int64(p.seen[group * cells + f]) * channels
            for c in range(channels):
                cell_keys[c * cells + f] = p.cell_keys[at + c]
        for query in range(group * p.size, (group + 1) * p.size):
            at, to = query * channels, query * k
            weighted_rows(logits, cell_keys, cells, p.queries, at, channels, cells)
            many, least = 0, _NONE
            for f in range(cells):
                if logits[f] <= least or not p.counts[p.seen[group * cells + f]] > float32(0):
                    continue
                many = min(many + 1, p.probes)
                j = many - 1
                while j > 0 and logits[best[j - 1]] < logits[f]:
                    best[j] = best[j - 1]
                    j -= 1
                best[j] = f
                if many == p.probes:
                    least = logits[best[many - 1]]
            for j in range(k):
                scores[j] = _NONE
                p.found[to + j] = -1
            for i in range(many):
                cell = np.int64(p.seen[group * cells + best[i]])
                while cell > 2 * p.before:
                    cell = (cell - 1) // 2
                while cell < p.before:
                    left, closer = 2 * cell + 1, _NONE
                    for child in range(left, left + 2):
                        if p.counts[child] > float32(0):
                            score = product(
                                p.queries, at, p.cell_keys, child * channels,
                                channels, channels, channels, 1,
                            )  # fmt: skip
                            if score > closer:
                                closer, cell = score, child
                best[i] = cell - p.before
                again = False
                for j in range(i):
                    again |= best[j] == best[i]
                if not again:
                    _look_into(p, np.int64(best[i]), at, to, scores, near)


@inline
def _look_into(p, block, at, to, scores, near):
    """Let the keys of a block compete for the query whose numbers begin at `at`."""
    rows, k = p.blocks[block * p.room * p.channels :], p.neighbours
    weighted_rows(near, rows, p.room, p.queries, at, p.channels, p.room)
    for i in range(p.room):
        if near[i] > scores[k - 1] and p.order[block * p.room + i] >= 0:
            n = k - 1
            while n > 0 and scores[n - 1] < near[i]:
                scores[n] = scores[n - 1]
                p.found[to + n] = p.found[to + n - 1]
                n -= 1
            scores[n] = near[i]
            p.found[to + n] = p.order[block * p.room + i]


def cell_search(
    queries: Tensor,
    listed: Tensor,
    *,
    order: Tensor,
    cell_keys: Tensor,
    counts: Tensor,
    seen: Tensor,
    levels: int,
    leaf: int,
    neighbours: int,
    probes: int,
) -> Tensor:
    """See backends.eager.cell_search.cell_search."""
    batch, groups, size, channels = queries.shape
    cells = seen.shape[2]
    found = torch.empty(batch, groups * size * neighbours, dtype=torch.int32)
    blocks = 1 << max(0, levels - BLOCK)
    for b in range(batch):
        job = Job(
            numbers(queries[b]),
            numbers(listed[b].view(blocks, -1, channels).transpose(1, 2)),
            order[b].int().numpy(),
            *(numbers(t[b]) for t in (cell_keys, counts)),
            seen[b].int().flatten().numpy(),
            found[b].numpy(),
            size,
            channels,
            cells,
            blocks - 1,
            order.shape[1] // blocks,
            min(probes, cells),
            neighbours,
        )
        run_pieces(partial(_with_scratch, job), stripes(groups, max(1, PIECE // size)))
    return found.view(batch, groups, size, neighbours).long()


def _with_scratch(job: Job, first: int, end: int) -> None:
    _search(
        job,
        first,
        end,
        np.empty(job.channels * job.cells + SLACK, np.float32),
        np.empty(job.cells + SLACK, np.float32),
        np.empty(job.probes, np.int32),
        np.empty(job.neighbours, np.float32),
        np.empty(job.room + SLACK, np.float32),
    )
