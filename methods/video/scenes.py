"""Where one scene of a clip ends and another begins."""

import torch.nn.functional as F
from torch import Tensor

BINS = 16  # of the histogram of each channel
CELLS = (4, 4)  # of the frame, each with histograms of its own
COLOURS = 0.26  # share of pixels whose colour must change in half of the cells: of cuts 0.3 to 0.8
PIXELS = 0.09  # mean difference of the reduced frames, of their range


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
    """(C, 64, 64): small enough to forgive a shaking hand."""
    return F.interpolate(frame[None, :3].float(), size=(64, 64), mode="area")[0]


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
