"""Tables of numbers as coloured cells, several side by side."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from .lettering import as_tensor, font

if TYPE_CHECKING:
    from PIL import ImageDraw

CELL, GAP, TITLE, HEAD, FOOT = (56, 20), 18, 24, 20, 30  # pixels
ACROSS = 5  # panels on a line, at most
PAPER, INK, FAINT = "#ffffff", "#20242c", "#e4e7ec"
BLUE, WHITE, ORANGE = (42, 96, 168), (250, 250, 248), (214, 92, 34)
TEXT, SMALL = 12, 11

Colours = Callable[[float], tuple[int, int, int]]


@dataclass(frozen=True)
class Panel:
    """One table. values: a row for every row of the picture, a number for every column; NaN = none.

    colours: of a value. shown: how a value is written. note: a line below the title.
    """

    title: str
    values: Sequence[Sequence[float]]
    colours: Colours
    shown: Callable[[float], str]
    note: str = ""


def share(value: float) -> tuple[int, int, int]:
    """White for 0 to blue for 1."""
    return _mixed(WHITE, BLUE, value)


def against(limit: float, *, span: float = 10.0, high_is_good: bool = False) -> Colours:
    """White at the limit, blue on the good side of it and orange on the other.

    The colours are full at `span` times the limit and at the limit divided by it.
    """

    def colour(value: float) -> tuple[int, int, int]:
        away = math.log(max(value, 1e-30) / limit) / math.log(span)
        away = -away if high_is_good else away
        return _mixed(WHITE, ORANGE if away > 0 else BLUE, abs(away))

    return colour


def _mixed(start: tuple[int, int, int], end: tuple[int, int, int], part: float):
    part = min(1.0, max(0.0, part))
    red, green, blue = (round(a + (b - a) * part) for a, b in zip(start, end, strict=True))
    return red, green, blue


def heat_map(
    panels: Sequence[Panel],
    rows: Sequence[str],
    columns: Sequence[str],
    title: str = "",
    foot: str = "",
) -> Tensor:
    """(1, 3, H, W) in [0, 1]: the panels side by side, at most five on a line, with the names of
    the rows before the first of a line. Values that are missing are left white."""
    from PIL import Image, ImageDraw

    names = max((font(TEXT).getlength(name) for name in rows), default=0)
    left = GAP + int(names) + 8
    wide = max(CELL[0] * len(columns), *(_title_width(panel) for panel in panels), 1)
    high = TITLE + HEAD + CELL[1] * len(rows) + FOOT
    lines = max(1, -(-len(panels) // ACROSS))
    across = max(1, -(-len(panels) // lines))
    top = GAP + (TITLE if title else 0)
    width = max(left + across * (wide + GAP), GAP * 2 + int(font(TEXT + 2).getlength(title)))
    width = max(width, GAP * 2 + int(font(SMALL).getlength(foot)))
    picture = Image.new("RGB", (width, top + lines * high + (TITLE if foot else 0)), PAPER)
    draw = ImageDraw.Draw(picture)
    draw.text((GAP, GAP // 2), title, fill=INK, font=font(TEXT + 2))
    for number, panel in enumerate(panels):
        x = left + number % across * (wide + GAP)
        y = top + number // across * high
        if number % across == 0:
            for row, name in enumerate(rows):
                draw.text((GAP, y + TITLE + HEAD + row * CELL[1] + 3), name, INK, font(TEXT))
        _draw(draw, x, y, panel, columns)
    draw.text((GAP, top + lines * high), foot, fill=INK, font=font(SMALL))
    return as_tensor(picture)


def _title_width(panel: Panel) -> int:
    widths = font(TEXT).getlength(panel.title), font(SMALL).getlength(panel.note)
    return int(max(widths)) + 4


def _draw(draw: "ImageDraw.ImageDraw", x: int, y: int, panel: Panel, columns) -> None:
    draw.text((x, y), panel.title, fill=INK, font=font(TEXT))
    for column, name in enumerate(columns):
        middle = x + (column + 0.5) * CELL[0]
        _centred(draw, middle, y + TITLE, name, INK)
    top = y + TITLE + HEAD
    for row, values in enumerate(panel.values):
        for column, value in enumerate(values):
            corner = x + column * CELL[0], top + row * CELL[1]
            box = (*corner, corner[0] + CELL[0] - 1, corner[1] + CELL[1] - 1)
            if math.isnan(value):
                draw.rectangle(box, outline=FAINT)
                continue
            colour = panel.colours(value)
            draw.rectangle(box, fill=colour)
            dark = sum(colour) < 420
            _centred(draw, corner[0] + CELL[0] / 2, corner[1] + 3, panel.shown(value),
                     PAPER if dark else INK)  # fmt: skip
    draw.text((x, top + len(panel.values) * CELL[1] + 4), panel.note, fill=INK, font=font(SMALL))


def _centred(draw: "ImageDraw.ImageDraw", x: float, y: float, text: str, colour: str) -> None:
    draw.text((x - font(SMALL).getlength(text) / 2, y), text, fill=colour, font=font(SMALL))
