"""A few queries and keys with their cells, for the tests of the operations on cells."""

import torch

from internal_methods.methods.attention_cells import look


def noise(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def small_view(cells=24, scale=1.0):
    """A view of 203 keys, some unknown, by 150 queries, two batch items, 5 channels."""
    queries, keys = scale * noise(2, 150, 5), noise(2, 203, 5, seed=1)
    return look(queries, keys, known=noise(2, 203, seed=2) > -1, cells=cells, backend="eager")
