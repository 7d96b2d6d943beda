"""Search among the best cells, on every backend."""

import pytest
from small_cells import small_view

from reference import cell_search as reference


@pytest.mark.parametrize("neighbours, probes", [(1, 1), (3, 4), (31, 2), (7, 1000)])
def test_against_the_reference(backend, neighbours, probes):
    view = small_view()
    tree = view.tree
    how = dict(levels=tree.levels, neighbours=neighbours, probes=probes)
    found = backend(
        "cell_search", view.grouped, tree.listed, order=tree.order, cell_keys=tree.keys,
        counts=tree.counts, seen=view.seen, leaf=tree.leaf, **how,
    )  # fmt: skip
    assert found.shape == (*view.grouped.shape[:3], neighbours)
    for b in range(2):
        cell_keys, counts = tree.keys[b].double().numpy(), tree.counts[b].numpy()
        for group in range(found.shape[1]):
            for query in range(0, found.shape[2], 7):
                truth = reference.cell_search(
                    view.grouped[b, group, query].double().numpy(), view.keys[b].double().numpy(),
                    order=tree.order[b].tolist(), cell_keys=cell_keys, counts=counts,
                    seen=view.seen[b, group].tolist(), **how,
                )  # fmt: skip
                truth += [-1] * (neighbours - len(truth))
                assert found[b, group, query].tolist() == truth
