"""Coloured tables: the right colour in the right cell."""

import math

import pytest
import torch

from internal_methods.methods.heat_map import (
    BLUE,
    CELL,
    HEAD,
    ORANGE,
    TITLE,
    WHITE,
    Panel,
    against,
    heat_map,
    share,
)

RED = (200, 10, 20)


def test_colours_of_shares():
    assert share(0.0) == WHITE and share(1.0) == BLUE
    assert share(-3.0) == WHITE and share(7.0) == BLUE


def test_colours_against_a_limit():
    lower = against(0.1)
    assert lower(0.1) == WHITE and lower(1.0) == lower(50.0) == ORANGE
    assert lower(0.01) == lower(0.0) == BLUE
    higher = against(1.0, high_is_good=True)
    assert higher(1.0) == WHITE and higher(10.0) == BLUE and higher(0.1) == ORANGE
    assert sum(higher(2.0)) > sum(higher(5.0))


def cells(picture, rows, columns):
    """The colour of the upper left pixel of every cell of the only panel, found by its grid."""
    pixels = (picture[0].movedim(0, -1) * 255).round().int()
    red = (pixels == torch.tensor(RED)).all(-1).nonzero()
    top, left = red.min(0).values.tolist()
    return [
        [tuple(pixels[top + row * CELL[1], left + column * CELL[0]].tolist()) for column in columns]
        for row in rows
    ]


def test_a_value_is_in_its_cell():
    values = [[0.0, 1.0, 2.0], [3.0, 4.0, math.nan]]
    colours = [RED, (1, 2, 3), (40, 50, 60), (70, 80, 90), (100, 110, 120)]
    panel = Panel("x", values, lambda value: colours[int(value)], str)
    picture = heat_map([panel], ["first", "second"], ["a", "b", "c"])
    found = cells(picture, range(2), range(3))
    assert found[0] == colours[:3] and found[1][:2] == colours[3:]
    assert sum(found[1][2]) > 600  # nothing was measured: no colour


@pytest.mark.parametrize(("count", "lines", "across"), [(1, 1, 1), (5, 1, 5), (7, 2, 4)])
def test_panels_are_side_by_side_and_then_below(count, lines, across):
    panel = Panel("a panel", [[0.5]] * 3, share, str)
    picture = heat_map([panel] * count, ["row"] * 3, ["column"])
    assert picture.shape[:2] == (1, 3) and 0 <= picture.min() and picture.max() <= 1
    high, wide = TITLE + HEAD + 3 * CELL[1], CELL[0]
    assert lines * high < picture.shape[2] < (lines + 1) * high
    assert across * wide < picture.shape[3] < 2 * (across + 1) * wide


def test_a_long_title_fits():
    panel = Panel("p", [[0.5]], share, str)
    short, long = (heat_map([panel], ["row"], ["a"], title="word " * n) for n in (1, 60))
    assert long.shape[3] > short.shape[3] + 500
