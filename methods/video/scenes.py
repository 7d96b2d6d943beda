"""Where one scene of a clip ends and another begins."""

import torch.nn.functional as F
from torch import Tensor

from ..checks import check_clip
from ..steps import Poll

FLASH = 4  # frames; what looks again as before after fewer is a flash, not a scene
BINS = 16  # of the histogram of each channel
SMALL = (64, 64)  # pixels that a frame is reduced to: small enough to forgive a shaking hand
CELLS = (4, 4)  # of the frame, each with histograms of its own
COLOURS = 0.26  # share of pixels whose colour must change in half of the cells: of cuts 0.3 to 0.8
PIXELS = 0.09  # mean difference of the reduced frames, of their range


def scene_cuts(clip: Tensor, *, poll: Poll | None = None) -> list[int]:
    """The frames of a clip (1, C, T, H, W) at which a new scene begins; frame 0 is not named.

    poll: called before every frame; may raise to interrupt.
    """
    check_clip(clip, "the clip")
    if len(clip) != 1:
        raise ValueError(f"there are {len(clip)} clips; look for their cuts one by one")
    cuts = SceneCuts()
    found = []
    for t in range(clip.shape[2]):
        if poll is not None:
            poll()
        found += cuts.feed(clip[0, :, t])
    return found + cuts.finish()


class SceneCuts:
    """Cuts of a stream of frames, found up to FLASH frames after they have passed.

    A frame that differs from the one before it, as `is_cut` says, begins a new scene unless the
    next frames look like the old one again: lightning, a photographer's flash, a burst of fire,
    something that passes close by the camera.
    """

    def __init__(self) -> None:
        self._next = 0
        self._last: Tensor | None = None
        self._new: list[tuple[int, Tensor]] = []  # frames that differ from the last one

    def feed(self, frame: Tensor) -> list[int]:
        """Take the next frame (C, H, W), all of one size. Returns the cuts that are now certain."""
        number, self._next = self._next, self._next + 1
        return self._take(number, _small(frame))

    def finish(self) -> list[int]:
        """No frame follows: the cuts that remain."""
        found = []
        while self._new:
            found += self._confirmed()
        return found

    def _take(self, number: int, frame: Tensor) -> list[int]:
        if self._last is None or not is_cut(self._last, frame):
            self._last, self._new = frame, []
            return []
        self._new.append((number, frame))
        return self._confirmed() if len(self._new) == FLASH else []

    def _confirmed(self) -> list[int]:
        """The first of the new frames begins a scene; the others are looked at again from there."""
        (cut, self._last), *rest = self._new
        self._new = []
        found = [cut]
        for number, frame in rest:
            found += self._take(number, frame)
        return found


def is_cut(before: Tensor, after: Tensor) -> bool:
    """Whether a new scene begins with the frame `after`.

    before, after: (C, H, W), two frames that follow each other, nominally in [0, 1]. A cut changes
    the colours in most places and the picture as a whole; what moves does either alone.
    """
    small = [_small(frame) for frame in (before, after)]
    if float((small[0] - small[1]).abs().mean()) < PIXELS:
        return False
    changed = (_histograms(small[0]) - _histograms(small[1])).abs().sum(-1) / 2
    return bool(changed.mean(0).median() > COLOURS)


def _small(frame: Tensor) -> Tensor:
    """(C, 64, 64)."""
    return F.interpolate(frame[None, :3].detach().float(), size=SMALL, mode="area")[0]


def _histograms(small: Tensor) -> Tensor:
    """(C, cells, BINS), the share of the pixels in each bin, neighbouring bins mixed a little."""
    rows, columns = CELLS
    channels, height, width = small.shape
    cells = small.reshape(channels, rows, height // rows, columns, width // columns)
    cells = cells.permute(0, 1, 3, 2, 4).reshape(channels, rows * columns, -1)
    bins = (cells.clamp(0, 1) * BINS).long().clamp(max=BINS - 1)
    counts = F.one_hot(bins, BINS).float().mean(2)
    mixed = F.avg_pool1d(F.pad(counts, (1, 1), mode="replicate"), 3, 1)
    return mixed / mixed.sum(-1, keepdim=True)
