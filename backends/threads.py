"""How many threads work: torch's own number, for torch and for the kernels on the CPU alike."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock, local

import torch

FEW = 8  # threads up to which kernels gain more than the rest of a network loses on one of them

_lock, _here = Lock(), local()
_inside = 0
_count = 1


def count() -> int:
    """The number of threads that kernels may use."""
    return _count if _inside else torch.get_num_threads()


def few() -> bool:
    """Whether kernels are worth while that leave the rest of a network to a single thread."""
    return count() <= FEW


@contextmanager
def kernels_only() -> Iterator[None]:
    """Within, torch works on one thread and leaves the processor to the kernels.

    For methods that alternate kernels with many small tensor operations: torch's worker threads
    keep spinning after each, and on a busy machine that slows the whole down severalfold. The
    number of threads is as before when the last of several such blocks has ended, in each thread.
    """
    global _inside, _count
    if getattr(_here, "inside", False):
        yield
        return
    with _lock:
        if not _inside:
            _count = torch.get_num_threads()
        _inside += 1
    torch.set_num_threads(1)
    _here.inside = True
    try:
        yield
    finally:
        _here.inside = False
        with _lock:
            _inside -= 1
            torch.set_num_threads(_count)
