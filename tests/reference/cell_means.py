"""Means over the cells of a tree, cell by cell."""

import numpy as np


def rows_of(cell, order, levels):
    """The rows that lie in a cell."""
    level = int(np.log2(cell + 1))
    span = len(order) >> level
    first = (cell + 1 - (1 << level)) * span
    return [i for i in order[first : first + span] if i >= 0]


def cell_means(rows, order, levels):
    """rows (M, D), order: (n, D), (n,), (n,) with the empty cell last."""
    cells = 2 << levels
    means, counts, squares = np.zeros((cells, rows.shape[1])), np.zeros(cells), np.zeros(cells)
    for cell in range(cells - 1):
        inside = rows[rows_of(cell, order, levels)]
        counts[cell] = len(inside)
        if len(inside):
            means[cell], squares[cell] = inside.mean(0), (inside**2).sum(1).mean()
    return means, counts, squares
