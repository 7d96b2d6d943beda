"""Means over cells, on every backend."""

import torch
from small_cells import noise, small_view

from reference import cell_means as reference


def test_against_the_reference(backend):
    tree = small_view().tree
    rows = noise(2, 203, 7, seed=3)
    means, counts, squares = backend("cell_means", rows, tree.order, tree.levels)
    for b in range(2):
        truth = reference.cell_means(rows[b].double().numpy(), tree.order[b].tolist(), tree.levels)
        for ours, theirs in zip((means, counts, squares), truth, strict=True):
            torch.testing.assert_close(
                ours[b].double(), torch.from_numpy(theirs), rtol=1e-5, atol=1e-5
            )


def test_one_leaf(backend):
    rows = noise(1, 3, 2)
    means, counts, squares = backend("cell_means", rows, torch.tensor([[2, -1, 0]]), 0)
    torch.testing.assert_close(means[0, 0], rows[0, [0, 2]].mean(0))
    assert counts[0].tolist() == [2, 0] and squares[0, 1] == 0
