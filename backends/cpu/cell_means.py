"""Means over all cells of a binary tree of rows, in numba."""

import numpy as np
import torch
from numba import float32
from torch import Tensor

from .compile import jit
from .layout import numbers
from .simd_patches import product
from .simd_rows import add_scaled
from .threads import run_pieces


def why_not(rows: Tensor, order: Tensor, levels: int) -> str | None:
    if rows.device.type != "cpu":
        return f"the rows lie on {rows.device}"
    if rows.dtype == torch.float64:
        return "it computes in float32"
    if torch.is_grad_enabled() and rows.requires_grad:
        return "it gives no gradients"
    return None


@jit
def _average(rows, order, width, levels, leaf, means, counts, squares):
    """All cells, from sums over leaves upwards; the last three begin as zeros."""
    leaves = np.int64(1) << levels
    for n in range(leaves):
        cell = leaves - 1 + n
        for i in range(n * leaf, (n + 1) * leaf):
            if order[i] >= 0:
                at = np.int64(order[i]) * width
                add_scaled(means, cell * width, rows, at, width, float32(1))
                squares[cell] += product(rows, at, rows, at, width, width, width, 1)
                counts[cell] += float32(1)
    for cell in range(leaves - 2, -1, -1):
        child = 2 * cell + 1
        for c in range(width):
            left, right = means[child * width + c], means[(child + 1) * width + c]
            means[cell * width + c] = left + right
        squares[cell] = squares[child] + squares[child + 1]
        counts[cell] = counts[child] + counts[child + 1]
    for cell in range(2 * leaves - 1):
        share = float32(1) / max(counts[cell], float32(1))
        squares[cell] *= share
        for c in range(width):
            means[cell * width + c] *= share


def cell_means(rows: Tensor, order: Tensor, levels: int) -> tuple[Tensor, Tensor, Tensor]:
    """See backends.eager.cell_means.cell_means."""
    batch, _, width = rows.shape
    cells, leaf, listed = 2 << levels, order.shape[1] >> levels, order.numpy()
    means = torch.zeros(batch, cells, width)
    counts, squares = torch.zeros(2, batch, cells)

    def work(b: int) -> None:
        out = (t[b].view(-1).numpy() for t in (means, counts, squares))
        _average(numbers(rows[b]), listed[b], width, levels, leaf, *out)

    run_pieces(work, [(b,) for b in range(batch)])
    return means, counts, squares
