"""Pieces of work on our own threads: kernels release the GIL, so plain Python threads run them.

The pieces of a job never depend on the number of threads, and every piece writes only its own part
of the result: that is what makes results the same for any number of them.
"""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from functools import cache

from .. import threads

_POLL_SECONDS = 0.1


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="internal-methods")


def stripes(height: int, rows: int) -> list[tuple[int, int]]:
    """The first and end row of each piece, `rows` high, of `height` rows."""
    return [(first, min(first + rows, height)) for first in range(0, height, rows)]


def frame_stripes(frames: int, height: int, rows: int) -> list[tuple[int, int]]:
    """`stripes` of clips, whose rows are counted on from frame to frame: none spans two frames."""
    parts = stripes(height, rows)
    return [(t * height + first, t * height + end) for t in range(frames) for first, end in parts]


def run_pieces(
    work: Callable[..., object], pieces: Iterable[tuple], poll: Callable[[], None] | None = None
) -> None:
    """Call `work(*piece)` for every piece, on at most threads.count() threads.

    poll is called here, in the caller's thread, every 0.1 s; if it or a piece raises, no further
    piece starts and the exception goes on to the caller once those under way have ended. Without
    poll the caller's thread works as well.
    """
    listed = list(pieces)
    pieces = iter(listed)
    stop = False

    def drain() -> None:
        for piece in pieces:  # a list iterator hands each piece to exactly one thread
            if stop:
                return
            work(*piece)

    count = min(threads.count(), len(listed))
    futures = [_pool().submit(drain) for _ in range(count - (poll is None))]
    try:
        if poll is None:
            drain()
        pending = set(futures)
        while pending:
            done, pending = wait(pending, timeout=_POLL_SECONDS, return_when=FIRST_EXCEPTION)
            for future in done:
                future.result()
            if poll is not None:
                poll()
    finally:
        stop = True
        wait(futures)
