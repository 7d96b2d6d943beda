"""How a training went, as a picture and in words."""

import math
from collections.abc import Sequence

from torch import Tensor

from .lettering import as_tensor, font

SIZE, LEFT, EDGE = (640, 360), 84, 36  # pixels
PAPER, INK, FAINT, LINE, DOTS = "#ffffff", "#20242c", "#d5d9e0", "#3b6fb6", "#b9cbe3"
SMOOTHED = 0.1  # share of the training over which the line is a mean


def loss_curve(losses: Sequence[float], name: str = "squared error") -> Tensor:
    """(1, 3, H, W) in [0, 1]: every step a dot, their running mean a line, on a logarithmic scale.

    losses: one for every step, positive; others are left out.
    Raises ImportError where Pillow is missing.
    """
    from PIL import Image, ImageDraw

    picture = Image.new("RGB", SIZE, PAPER)
    draw = ImageDraw.Draw(picture)
    known = [(step, value) for step, value in enumerate(losses, 1) if value > 0]
    draw.text((LEFT, 8), f"{name} by step" if known else "no training", fill=INK, font=font(14))
    if not known:
        return as_tensor(picture)
    low, high = (math.log10(pick(v for _, v in known)) for pick in (min, max))
    low, high = (low, high) if high - low > 0.1 else (low - 0.1, high + 0.1)
    width, height = SIZE[0] - LEFT - EDGE, SIZE[1] - 2 * EDGE

    def place(step: float, value: float) -> tuple[float, float]:
        up = (math.log10(value) - low) / (high - low)
        return LEFT + width * step / len(losses), EDGE + height * (1 - up)

    for share in (0, 0.25, 0.5, 0.75, 1):
        value = 10 ** (low + share * (high - low))
        x, y = place(0, value)
        draw.line((x, y, x + width, y), fill=FAINT)
        draw.text((8, y - 7), f"{value:.2g}", fill=INK, font=font(12))
        step = round(share * len(losses))
        x, y = place(step, 10**low)
        draw.text((x - 4 * len(str(step)), y + 8), str(step), fill=INK, font=font(12))
    for step, value in known:
        x, y = place(step, value)
        draw.ellipse((x - 1, y - 1, x + 1, y + 1), fill=DOTS)
    draw.line([place(step, value) for step, value in _running_mean(known)], fill=LINE, width=2)
    return as_tensor(picture)


def _running_mean(known: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    """Means of the last values at every step."""
    span, total, means = max(1, round(SMOOTHED * len(known))), 0.0, []
    for index, (step, value) in enumerate(known):
        total += value - (known[index - span][1] if index >= span else 0.0)
        means.append((step, max(total / min(span, index + 1), known[index][1] * 1e-6)))
    return means


def loss_words(losses: Sequence[float], name: str = "squared error") -> str:
    """The training in a line: steps, the error at the beginning and at the end."""
    if not losses:
        return "no training"
    span = max(1, round(SMOOTHED * len(losses)))
    first, last = (sum(part) / span for part in (losses[:span], losses[-span:]))
    return f"{len(losses)} steps, {name} {first:.5f} in the first {span}, {last:.5f} in the last"
