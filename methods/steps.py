"""What a long method reports while it works."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from torch import Tensor


@dataclass(frozen=True)
class Step:
    """A finished piece of work, given to `callback(step)`; an exception raised there ends the work.

    done, total: pieces finished and planned (a method that ends early jumps ahead).
    level, levels: the scale at work, 0 = coarsest, and their number.
    image: (B, C, h, w), the picture as it stands at that scale.
    level_done: this was the last piece of its scale.
    """

    done: int
    total: int
    level: int
    levels: int
    image: Tensor
    level_done: bool = False


Callback = Callable[[Step], None]
Poll = Callable[[], None]  # called now and then by work inside a step; may raise to interrupt it


class Progress:
    """Counts finished pieces over all scales of a method and tells its callback, if it has one."""

    def __init__(self, callback: Callback | None, total: int, levels: int):
        self.callback, self.total, self.levels = callback, total, levels
        self.latest: Step | None = None

    def report(self, image: Tensor, level: int, done: int, level_done: bool = False) -> None:
        if self.callback is not None:
            self.latest = Step(done, self.total, level, self.levels, image, level_done)
            self.callback(self.latest)
            self.latest = replace(self.latest, level_done=False)

    def poll(self) -> None:
        """The last step again, so that work inside a long search can be interrupted."""
        if self.callback is not None and self.latest is not None:
            self.callback(self.latest)
