"""Means over all cells of a binary tree of rows, in plain torch; differentiable."""

import torch
from torch import Tensor


def why_not(rows: Tensor, order: Tensor, levels: int) -> str | None:
    return None


def cell_means(rows: Tensor, order: Tensor, levels: int) -> tuple[Tensor, Tensor, Tensor]:
    """The means of the rows of each cell, how many there are, and the means of their squares.

    rows: (B, M, D) floating. order: (B, leaves * leaf) int64, which rows the leaves hold, leaf
    after leaf, -1 = none. Cells are in heap order, those of cell n are 2n + 1 and 2n + 2, and an
    empty one comes last.
    Returns (B, n, D), (B, n) and (B, n), the last of squared norms; 0 for empty cells.
    """
    batch, _, width = rows.shape
    there = (order >= 0).to(rows.dtype)
    index = order.clamp(min=0)[..., None].expand(-1, -1, width)
    taken = rows.gather(1, index) * there[..., None]
    numbers = torch.cat((taken, there[..., None], taken.square().sum(2, keepdim=True)), 2)
    sums = [numbers.unflatten(1, (1 << levels, -1)).sum(2)]
    for level in range(levels - 1, -1, -1):
        sums.append(sums[-1].unflatten(1, (1 << level, 2)).sum(2))
    total = torch.cat((*reversed(sums), torch.zeros_like(sums[-1])), 1)
    counts = total[..., width]
    means = total / counts.detach().clamp(min=1)[..., None]
    return means[..., :width], counts, means[..., width + 1]
