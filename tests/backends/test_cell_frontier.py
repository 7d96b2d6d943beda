"""Which cells groups see, on every backend."""

import pytest
import torch
from small_cells import noise, small_view

from reference import cell_frontier as reference
from reference.cell_means import rows_of


@pytest.mark.parametrize("cells", [32, 40, 1000])
@pytest.mark.parametrize("scale", [0.3, 3.0])
def test_against_the_reference(backend, cells, scale):
    view = small_view(scale=scale)
    tree, empty = view.tree, view.tree.counts.shape[1] - 1
    how = dict(levels=tree.levels, cells=cells)
    given = view.grouped, tree.keys, tree.counts, tree.spreads
    seen = backend("cell_frontier", *given, **how)
    assert seen.shape == (*view.grouped.shape[:2], min(cells, 1 << tree.levels))
    for b in range(2):
        for group in range(seen.shape[1]):
            rest = (t[b].double().numpy() for t in given[1:])
            truth = reference.cell_frontier(view.grouped[b, group].double().numpy(), *rest, **how)
            assert set(seen[b, group].tolist()) - {empty} == truth


def test_every_key_is_seen_once(backend):
    view = small_view()
    tree = view.tree
    given = view.grouped, tree.keys, tree.counts, tree.spreads
    seen = backend("cell_frontier", *given, levels=tree.levels, cells=37)
    for b in range(2):
        keys = sorted(i for i in tree.order[b].tolist() if i >= 0)
        for group in seen[b].tolist():
            cells = [cell for cell in group if cell < tree.counts.shape[1] - 1]
            order = tree.order[b].tolist()
            assert sorted(i for c in cells for i in rows_of(c, order, tree.levels)) == keys


def test_equal_keys_are_not_worth_opening(backend):
    means = noise(1, 1, 3).expand(1, 128, 3).contiguous()
    counts = torch.tensor([[64.0 / (1 << (n + 1).bit_length() - 1) for n in range(127)] + [0.0]])
    seen = backend(
        "cell_frontier", noise(1, 1, 9, 3), means, counts, torch.zeros(1, 128), levels=6, cells=64
    )
    assert len(set(seen[0, 0].tolist())) >= 32
