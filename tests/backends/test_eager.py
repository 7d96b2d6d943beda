"""What only plain torch promises: scratch within a budget, and the same bits on every thread."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from internal_methods import backends


class Largest(TorchDispatchMode):
    """Notes the bytes of the largest tensor that anything makes."""

    def __init__(self):
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, (tuple, list)) else (result,):
            if isinstance(tensor, torch.Tensor):
                self.bytes = max(self.bytes, tensor.untyped_storage().nbytes())
        return result


def pair(size):
    generator = torch.Generator().manual_seed(0)
    return [torch.rand(1, 3, size, size, generator=generator) for _ in range(2)]


@pytest.mark.parametrize("kwargs", [dict(exact=True), dict(), dict(neighbours=3)])
def test_scratch_keeps_to_the_memory_given(kwargs):
    images = pair(32)
    largest = []
    for memory in (256 << 20, 200_000):
        with Largest() as watch:
            backends.run(
                "nearest_patch",
                *images,
                patch_size=5,
                iterations=1,
                memory=memory,
                backend="eager",
                **kwargs,
            )
        largest.append(watch.bytes)
    assert largest[1] <= 200_000 < largest[0]


@pytest.mark.parametrize("exact", [False, True])
def test_the_number_of_threads_changes_no_bit(exact):
    images, found = pair(40), []
    threads = torch.get_num_threads()
    try:
        for count in (1, 2, 5):
            torch.set_num_threads(count)
            found.append(
                backends.run(
                    "nearest_patch",
                    *images,
                    patch_size=5,
                    iterations=1,
                    exact=exact,
                    backend="eager",
                )
            )
    finally:
        torch.set_num_threads(threads)
    for positions, distances in found[1:]:
        assert (positions == found[0][0]).all()
        assert (distances == found[0][1]).all()
