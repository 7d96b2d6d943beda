"""Scores as a picture: a panel for every metric, bars for one image, boxes for several."""

import math
import statistics
from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from ..lettering import as_tensor, font
from .scores import REGIONS, Score
from .table import Line, lines, methods_of, short

if TYPE_CHECKING:
    from PIL import Image, ImageDraw

PANEL, HEAD, FOOT, GAP = (250, 180), 26, 30, 18  # pixels
COLUMNS = 4
NAME, CELL, ROW = 250, 90, 26  # of the table of numbers
PAPER, INK, FAINT = "#ffffff", "#20242c", "#d5d9e0"
COLOURS = ["#3b6fb6", "#d1713d", "#4b9a63", "#a2528f", "#8a7a2f", "#4fa3ad", "#b04a4a", "#6b6b6b"]


def plot(scores: Sequence[Score], region: str = "auto") -> Tensor:
    """(1, 3, H, W) in [0, 1]: a panel for every metric, one bar or box for every method.

    region: all, inside, ring or outside; auto takes inside where a metric has it, else all. A
    method with several images has a box: median, quartiles, whiskers to the extremes, a dot
    for every image. The best mean is drawn with a bold outline. Infinite values stand at the top,
    marked inf. A single method has nothing to stand beside: its means are written out instead, a
    line for every metric and a column for every region.
    Raises ValueError for an unknown region, ImportError where Pillow is missing.
    """
    if region not in ("auto", *REGIONS):
        raise ValueError(f"region {region!r} is not one of auto, {', '.join(REGIONS)}")
    methods = methods_of(scores)
    picture = _numbers(scores) if len(methods) == 1 else _columns(scores, methods, region)
    return as_tensor(picture)


def _columns(scores: Sequence[Score], methods: list[str], region: str) -> "Image.Image":
    """The panels of several methods."""
    from PIL import Image, ImageDraw

    panels = _panels(scores, region)
    across = min(COLUMNS, max(1, len(panels)))
    width = across * (PANEL[0] + GAP) + GAP
    legend = _legend(methods, width)
    top = max((y for _, y, _ in legend), default=0) + 26
    down = max(1, -(-len(panels) // across))
    picture = Image.new("RGB", (width, top + down * (PANEL[1] + GAP) + GAP), PAPER)
    draw = ImageDraw.Draw(picture)
    colours = {method: COLOURS[i % len(COLOURS)] for i, method in enumerate(methods)}
    for x, y, method in legend:
        draw.rectangle((x, y + 2, x + 12, y + 14), fill=colours[method])
        draw.text((x + 18, y), _cut(method, 40), fill=INK, font=font(13))
    if not panels:
        draw.text((GAP, top), "no values", fill=INK, font=font(13))
    for number, line in enumerate(panels):
        left = GAP + number % across * (PANEL[0] + GAP)
        _panel(draw, left, top + number // across * (PANEL[1] + GAP), line, colours)
    return picture


def _numbers(scores: Sequence[Score]) -> "Image.Image":
    """The means of one method."""
    from PIL import Image, ImageDraw

    method, found = scores[0].method, lines(scores)
    regions = [region for region in REGIONS if any(line.region == region for line in found)]
    metrics = {line.metric: line.better for line in found}
    means = {(line.metric, line.region): line.mean(method) for line in found}
    width = 2 * GAP + NAME + CELL * len(regions)
    picture = Image.new("RGB", (width, 2 * GAP + ROW * (len(metrics) + 2)), PAPER)
    draw = ImageDraw.Draw(picture)

    def write(row: int, column: int, text: str) -> None:
        x = GAP if column < 0 else GAP + NAME + (column + 1) * CELL - font(14).getlength(text)
        draw.text((x, GAP + row * ROW), text, fill=INK, font=font(14))

    write(0, -1, _cut(method, 60))
    for column, region in enumerate(regions):
        write(1, column, region)
    for row, (metric, better) in enumerate(metrics.items(), start=2):
        draw.line((GAP, GAP + row * ROW - 4, width - GAP, GAP + row * ROW - 4), fill=FAINT)
        write(row, -1, f"{metric} ({better} is better)" if better else metric)
        for column, region in enumerate(regions):
            value = means.get((metric, region), math.nan)
            write(row, column, "-" if math.isnan(value) else short(value))
    return picture


def _panels(scores: Sequence[Score], region: str) -> list[Line]:
    """The lines to show: those of the region that have a value."""
    known = [line for line in lines(scores) if any(line.values.values())]
    inside = {line.metric for line in known if line.region == "inside"}

    def wanted(line: Line) -> bool:
        if region != "auto":
            return line.region == region
        return line.region == ("inside" if line.metric in inside else "all")

    return [line for line in known if wanted(line)]


def _legend(methods: list[str], width: int) -> list[tuple[int, int, str]]:
    """(x, y, method): entries side by side, as many to a line as fit."""
    placed, x, y = [], GAP, GAP
    for method in methods:
        needed = int(font(13).getlength(_cut(method, 40))) + 40
        if x > GAP and x + needed > width:
            x, y = GAP, y + 22
        placed.append((x, y, method))
        x += needed
    return placed


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 3] + "..."


def _panel(draw: "ImageDraw.ImageDraw", left: int, top: int, line: Line, colours) -> None:
    """One metric: title, axis, and a column for every method."""
    width, height = PANEL
    bottom = top + height - FOOT
    better = f", {line.better} is better" if line.better else ""
    draw.text((left, top), f"{line.metric} ({line.region}{better})", fill=INK, font=font(12))
    finite = [v for values in line.values.values() for v in values if math.isfinite(v)]
    low, high = min([0.0, *finite]), max([0.0, *finite])
    if all(len(values) < 2 for values in line.values.values()) or low == high:
        high = high if high > low else low + 1
    else:
        low, high = min(finite), max(finite)  # boxes need no zero
        low, high = low - 0.05 * (high - low), high + 0.05 * (high - low)

    def place(value: float) -> float:
        """The row of a value."""
        if not math.isfinite(value):
            return top + HEAD if value > 0 else bottom
        return bottom - (value - low) / (high - low) * (bottom - top - HEAD)

    draw.line((left, bottom, left + width, bottom), fill=FAINT)
    draw.line((left, top + HEAD, left + width, top + HEAD), fill=FAINT)
    step, best = width / max(1, len(line.values)), line.best()
    for number, (method, values) in enumerate(line.values.items()):
        if not values:
            continue
        middle = left + (number + 0.5) * step
        half = min(26.0, 0.35 * step)
        outline, bold = (INK, 2) if method in best else (colours[method], 1)
        if len(values) == 1:
            rows = sorted((place(values[0]), place(max(low, min(0.0, high)))))
            box = (middle - half, rows[0], middle + half, rows[1])
            draw.rectangle(box, fill=colours[method], outline=outline, width=bold)
        else:
            _box(draw, middle, half, values, place, (colours[method], outline, bold))
        text = short(line.mean(method))
        shift = font(11).getlength(text) / 2
        draw.text((middle - shift, bottom + 5), text, fill=INK, font=font(11))


def _box(draw, middle, half, values, place, style) -> None:
    """Median, quartiles, whiskers to the extremes, and a dot for every value."""
    colour, outline, bold = style
    rows = sorted(place(value) for value in values)
    high, half_way, low = statistics.quantiles(rows, n=4, method="inclusive")
    draw.line((middle, rows[0], middle, rows[-1]), fill=colour)
    for end in (rows[0], rows[-1]):
        draw.line((middle - half / 2, end, middle + half / 2, end), fill=colour)
    draw.rectangle((middle - half, high, middle + half, low), PAPER, outline, bold)
    draw.line((middle - half, half_way, middle + half, half_way), fill=colour, width=2)
    for y in rows:
        draw.ellipse((middle - 2, y - 2, middle + 2, y + 2), fill=colour)
