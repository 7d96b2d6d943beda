"""Filled shapes against slow loops that ask of every pixel whether it is inside."""

import math

import pytest
import torch

from internal_methods.methods import drawing

SIZE = (23, 31)


def numbers(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def slow_stroke(start, end, radius):
    mask = torch.zeros(SIZE)
    (y0, x0), (y1, x1) = start, end
    long = (y1 - y0) ** 2 + (x1 - x0) ** 2
    for y in range(SIZE[0]):
        for x in range(SIZE[1]):
            along = ((y - y0) * (y1 - y0) + (x - x0) * (x1 - x0)) / long if long else 0.0
            along = min(1.0, max(0.0, along))
            away = math.hypot(y - y0 - along * (y1 - y0), x - x0 - along * (x1 - x0))
            mask[y, x] = away <= radius
    return mask


def slow_outline(points):
    """Where the angles under which a pixel sees the sides add up to a full turn or more."""
    mask = torch.zeros(SIZE)
    for y in range(SIZE[0]):
        for x in range(SIZE[1]):
            seen = [math.atan2(py - y - 0.5, px - x - 0.5) for py, px in points]
            turns = [b - a for a, b in zip(seen, seen[1:] + seen[:1], strict=True)]
            total = sum((turn + math.pi) % (2 * math.pi) - math.pi for turn in turns)
            mask[y, x] = abs(total) > math.pi
    return mask


SEGMENTS = [  # y0, x0, y1, x1
    (4, 3, 18, 25), (18, 25, 4, 3), (20, 4, 5, 20), (7, 3, 7, 28), (7, 28, 7, 3), (2, 9, 20, 9),
    (10, 10, 10, 10), (-6, -4, 30, 40), (10, -9, 11, 60), (-30, 5, -20, 9),
    (9.5, 3.25, 10.5, 27.75),
]  # fmt: skip


@pytest.mark.parametrize("radius", [0.5, 1.0, 2.5, 6.3])
@pytest.mark.parametrize("segment", SEGMENTS)
def test_a_stroke_holds_the_pixels_near_its_segment(segment, radius):
    start, end = torch.tensor([segment[:2]]).double(), torch.tensor([segment[2:]]).double()
    reach = torch.tensor([radius], dtype=torch.float64)
    marks = drawing.strokes(torch.zeros(1, dtype=torch.long), start, end, reach, SIZE)
    drawn = drawing.paint(1, SIZE, marks)
    assert torch.equal(drawn[0, 0], slow_stroke(segment[:2], segment[2:], radius))


def test_random_strokes_are_united_mask_by_mask():
    ends = numbers(12, 2, 2) * torch.tensor([30.0, 40.0]) - 4
    radius = numbers(12, seed=1) * 4
    mask = torch.arange(12) % 3
    drawn = drawing.paint(3, SIZE, drawing.strokes(mask, ends[:, 0], ends[:, 1], radius, SIZE))
    for i in range(3):
        each = [slow_stroke(*ends[j].tolist(), float(radius[j])) for j in range(i, 12, 3)]
        assert torch.equal(drawn[i, 0], torch.stack(each).amax(0))


@pytest.mark.parametrize("seed", range(6))
def test_an_outline_is_filled_where_it_winds_around(seed):
    points = numbers(1, 9, 2, seed=seed) * torch.tensor([33.0, 43.0]) - 5  # crosses itself
    marks = drawing.outlines(torch.zeros(1, dtype=torch.long), points, SIZE)
    drawn = drawing.paint(1, SIZE, marks)
    assert torch.equal(drawn[0, 0], slow_outline(points[0].tolist()))


def test_boxes_are_cut_at_the_sides():
    corners = torch.tensor([[2, 3, 7, 9], [-4, 20, 3, 50]])
    drawn = drawing.paint(2, SIZE, drawing.boxes(torch.arange(2), corners, SIZE))
    wanted = torch.zeros(2, 1, *SIZE)
    wanted[0, :, 2:7, 3:9] = 1
    wanted[1, :, :3, 20:] = 1
    assert torch.equal(drawn, wanted)
