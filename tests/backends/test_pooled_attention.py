"""Attention to cells, on every backend."""

import numpy as np
import pytest
import torch
from small_cells import noise, small_view

from reference import pooled_attention as reference


@pytest.mark.parametrize("scale", [0.2, 1.0, 4.0])
def test_against_the_reference(backend, scale):
    view = small_view(scale=scale)
    tree, values = view.tree, noise(2, 203, 3, seed=5)
    cell_values, bend = tree.pool(values, "eager")
    found = (view.grouped.flatten(1, 2) @ view.keys.transpose(1, 2)).topk(6).indices
    found = torch.where((tree.order[:, None, None] == found[..., None]).any(3), found, -1)
    found = found.view(*view.grouped.shape[:3], 6)
    found[:, :, ::5] = -1
    output, log_sum = backend(
        "pooled_attention", view.grouped, view.keys, values, found, rank=tree.rank,
        cell_keys=tree.keys, cell_values=cell_values, counts=tree.counts, spreads=tree.spreads,
        bend=bend, seen=view.seen, levels=tree.levels, leaf=tree.leaf,
    )  # fmt: skip
    for b in range(2):
        exact = [t[b].double().numpy() for t in (view.keys, values)]
        for group in range(output.shape[1]):
            for query in range(0, output.shape[2], 5):
                truth, total = reference.pooled_attention(
                    view.grouped[b, group, query].double().numpy(), *exact,
                    set(found[b, group, query].tolist()), order=tree.order[b].tolist(),
                    spreads=tree.spreads[b].double().numpy(), bend=bend[b].double().numpy(),
                    seen=view.seen[b, group].tolist(), levels=tree.levels,
                )  # fmt: skip
                np.testing.assert_allclose(output[b, group, query], truth, rtol=2e-3, atol=2e-4)
                np.testing.assert_allclose(log_sum[b, group, query], total, rtol=1e-4, atol=1e-4)
