"""Keys with large logits, looked for in the best cells that queries see, in numba."""

from collections import namedtuple
from functools import partial

import numpy as np
import torch
from numba import float32
from torch import Tensor

from .compile import jit
from .layout import numbers
from .simd import SLACK, product, weighted_rows
from .threads import run_pieces, stripes

PIECE = 4096  # queries of a piece of work, about
_NONE = float32(-np.inf)

# Of one batch item, all arrays flat: queries (G, S, D), listed (leaves, leaf, D) and order (leaves,
# leaf); the cells' keys (n, D) and counts (n,); seen (G, F); found (G, S, k).
Job = namedtuple(
    "Job",
    "queries listed order cell_keys counts seen found size channels cells levels leaf probes "
    "neighbours",
)


def why_not(queries: Tensor, listed: Tensor, *_, **__) -> str | None:
    if queries.device.type != "cpu":
        return f"the queries lie on {queries.device}"
    if torch.float64 in (queries.dtype, listed.dtype):
        return "it computes in float32"
    return None


@jit
def _search(p, first, end, cell_keys, logits, best, scores):
    """The groups first to end. Scratch: (D, F) keys of a group's cells, (F,) logits of a query, the
    places of its best cells and the scores of what it found."""
    channels, cells, k = p.channels, p.cells, p.neighbours
    inner = (np.int64(1) << p.levels) - 1
    for group in range(first, end):
        for f in range(cells):
            at = np.int64(p.seen[group * cells + f]) * channels
            for c in range(channels):
                cell_keys[c * cells + f] = p.cell_keys[at + c]
        for query in range(group * p.size, (group + 1) * p.size):
            at = query * channels
            weighted_rows(logits, cell_keys, cells, p.queries, at, channels, cells)
            many = 0
            for f in range(cells):
                if many == p.probes and logits[f] <= logits[best[many - 1]]:
                    continue
                if not p.counts[p.seen[group * cells + f]] > float32(0):
                    continue
                many = min(many + 1, p.probes)
                j = many - 1
                while j > 0 and logits[best[j - 1]] < logits[f]:
                    best[j] = best[j - 1]
                    j -= 1
                best[j] = f
            for j in range(k):
                scores[j] = _NONE
                p.found[query * k + j] = -1
            for i in range(many):
                cell = np.int64(p.seen[group * cells + best[i]])
                while cell < inner:
                    left, closer = 2 * cell + 1, _NONE
                    for child in range(left, left + 2):
                        if p.counts[child] > float32(0):
                            score = product(
                                p.queries, at, p.cell_keys, child * channels,
                                channels, channels, channels, 1,
                            )  # fmt: skip
                            if score > closer:
                                closer, cell = score, child
                for j in range((cell - inner) * p.leaf, (cell - inner + 1) * p.leaf):
                    key = np.int64(p.order[j])
                    if key < 0:
                        continue
                    score = product(
                        p.queries, at, p.listed, j * channels, channels, channels, channels, 1
                    )
                    if score > scores[k - 1]:
                        n = k - 1
                        while n > 0 and scores[n - 1] < score:
                            scores[n] = scores[n - 1]
                            p.found[query * k + n] = p.found[query * k + n - 1]
                            n -= 1
                        scores[n] = score
                        p.found[query * k + n] = key


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
    for b in range(batch):
        job = Job(
            *(numbers(t[b]) for t in (queries, listed)),
            order[b].int().numpy(),
            *(numbers(t[b]) for t in (cell_keys, counts)),
            seen[b].int().flatten().numpy(),
            found[b].numpy(),
            size,
            channels,
            cells,
            levels,
            leaf,
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
    )
