"""Filled shapes as masks, many at a time, in plain torch.

A shape is given by where each of its rows begins and ends. These places are marked with +1 and -1,
and one running sum along the rows fills all shapes of all masks at once. So it needs neither OpenCV
nor a plotting library, has no call per shape, and gives the same pixels on every system.

Pixel (y, x) has its centre at (y, x) for strokes, which begin on a pixel, and at (y + 0.5, x + 0.5)
for outlines and boxes, whose sides lie between pixels.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Marks:
    """Where the running sum changes: in which mask, row and column (int64, (N,) each), by how much.

    A column may be the one behind the last.
    """

    mask: Tensor
    row: Tensor
    column: Tensor
    change: Tensor  # int16


def strokes(
    mask: Tensor, start: Tensor, end: Tensor, radius: Tensor, size: tuple[int, int]
) -> Marks:
    """The marks of straight strokes with round ends: all pixels within `radius` of a segment.

    mask: (N,) int64. start, end: (N, 2) float64, (y, x). radius: (N,); negative draws nothing.
    """
    height, width = size
    low, high = torch.minimum(start[:, 0], end[:, 0]), torch.maximum(start[:, 0], end[:, 0])
    which, row = _rows((low - radius).ceil(), (high + radius).floor() + 1, height)
    origin, step, reach = start[which], (end - start)[which], radius[which]
    above = row - origin[:, 0]
    rise, run = step.unbind(1)
    length = torch.hypot(rise, run).clamp(min=1e-9)
    level = rise.abs() < 1e-9
    slope = torch.where(level, 1.0, rise)
    reached = [(above - reach) / slope, (above + reach) / slope]
    # the part of the segment, 0 to 1, whose discs touch the row
    first = torch.where(level, 0.0, torch.minimum(*reached)).clamp(0, 1)
    last = torch.where(level, 1.0, torch.maximum(*reached)).clamp(0, 1)

    def border(side: int) -> Tensor:
        """The outermost point of those discs: where their common tangent touches, or at an end."""
        touching = (above + side * rise.sign() * reach * run / length) / slope
        touching = torch.where(level, (side * run > 0).double(), touching)
        along = torch.minimum(torch.maximum(touching, first), last)
        away = (reach**2 - (above - along * rise) ** 2).clamp(min=0).sqrt()
        return origin[:, 1] + along * run + side * away

    return _spans(mask[which], row, border(-1).ceil(), border(1).floor() + 1, width)


def boxes(mask: Tensor, corners: Tensor, size: tuple[int, int]) -> Marks:
    """The marks of boxes. mask: (N,). corners: (N, 4), top, left, bottom, right, ends excluded."""
    top, left, bottom, right = corners.double().unbind(1)
    which, row = _rows(top, bottom, size[0])
    return _spans(mask[which], row, left[which], right[which], size[1])


def outlines(mask: Tensor, points: Tensor, size: tuple[int, int]) -> Marks:
    """The marks of closed polygons; inside is where the outline winds around at least once.

    mask: (N,). points: (N, P, 2) float64, (y, x), may lie outside the picture.
    """
    start = points.flatten(0, 1)
    end = points.roll(-1, 1).flatten(0, 1)
    low, high = torch.minimum(start[:, 0], end[:, 0]), torch.maximum(start[:, 0], end[:, 0])
    which, row = _rows((low - 0.5).ceil(), (high - 0.5).ceil(), size[0])
    origin, step = start[which], (end - start)[which]
    x = origin[:, 1] + (row + 0.5 - origin[:, 0]) * step[:, 1] / step[:, 0]
    column = (x - 0.5).ceil().clamp(0, size[1]).long()
    change = torch.where(step[:, 0] > 0, 1, -1).to(torch.int16)
    return Marks(mask.repeat_interleave(points.shape[1])[which], row, column, change)


def paint(count: int, size: tuple[int, int], *marks: Marks) -> Tensor:
    """The masks (count, 1, H, W), float32 in {0, 1}, of what was marked."""
    height, width = size
    sums = torch.zeros(count * height * (width + 1), dtype=torch.int16)
    for some in marks:
        place = (some.mask * height + some.row) * (width + 1) + some.column
        sums.index_add_(0, place, some.change)
    filled = sums.view(count, 1, height, width + 1).cumsum(3, dtype=torch.int16)
    return (filled[..., :width] != 0).float()


def _rows(first: Tensor, end: Tensor, height: int) -> tuple[Tensor, Tensor]:
    """The rows first to end - 1 of N shapes, one after the other: which shape, which row."""
    first, end = first.clamp(0, height).long(), end.clamp(0, height).long()
    counts = (end - first).clamp(min=0)
    which = torch.arange(len(counts)).repeat_interleave(counts)
    before = counts.cumsum(0) - counts
    return which, torch.arange(len(which)) - before[which] + first[which]


def _spans(mask: Tensor, row: Tensor, first: Tensor, end: Tensor, width: int) -> Marks:
    """The marks of one stretch of pixels a row, first to end - 1."""
    first, end = first.clamp(0, width).long(), end.clamp(0, width).long()
    end = torch.maximum(first, end)
    ones = torch.ones(len(row), dtype=torch.int16)
    return Marks(mask.repeat(2), row.repeat(2), torch.cat((first, end)), torch.cat((ones, -ones)))
