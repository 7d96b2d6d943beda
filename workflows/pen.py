"""A pen for the line drawings among the example pictures, and what it draws more than once."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from PIL import Image, ImageChops, ImageDraw

SIDE = 320  # pixels of a picture
FINE = 4  # drawn this many times larger
UNIT = SIDE * FINE / 100  # the page is 100 x 100, x to the right and y down
OUTLINE, LINE, HAIR = 0.82, 0.5, 0.34  # widths of the pen

Points = Sequence[tuple[float, float]] | np.ndarray


def curve(points: Points, closed: bool = False, each: int = 24) -> np.ndarray:
    """A smooth line (n, 2) through the points (Catmull-Rom)."""
    p = np.asarray(points, float)
    if closed:
        p = np.concatenate([p[-1:], p, p[:2]])
    else:
        p = np.concatenate([2 * p[:1] - p[1:2], p, 2 * p[-1:] - p[-2:-1]])
    t = np.linspace(0, 1, each, endpoint=False)[:, None]
    pieces = []
    for a, b, c, d in zip(p, p[1:], p[2:], p[3:], strict=False):
        squares, cubes = 2 * a - 5 * b + 4 * c - d, 3 * (b - c) + d - a
        pieces.append(b + 0.5 * ((c - a) * t + squares * t**2 + cubes * t**3))
    return np.concatenate([*pieces, p[-2:-1]])


def oval(x: float, y: float, rx: float, ry: float, turn: float = 0, part=(0.0, 1.0)) -> np.ndarray:
    """An ellipse, or the part of it from one share of a turn to another."""
    angle = 2 * np.pi * np.linspace(*part, 48)
    u, v = rx * np.cos(angle), ry * np.sin(angle)
    cos, sin = np.cos(np.radians(turn)), np.sin(np.radians(turn))
    return np.stack([x + u * cos - v * sin, y + u * sin + v * cos], 1)


class Page:
    """Paper and a pen whose line swells and trembles."""

    def __init__(self, seed: int):
        self.rng = np.random.default_rng(seed)
        self.ink = Image.new("L", (SIDE * FINE,) * 2)  # 255 where there is ink

    def stroke(
        self, line: Points, width: float = LINE, swell: float = 0.75, tremble: float = 1.0
    ) -> None:
        """A line, thin where it begins and ends by the share `swell` of its width."""
        line = np.asarray(line, float)
        along = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])
        length = along[-1]
        if length == 0:
            return
        at = np.linspace(0, length, max(3, int(length * UNIT / 1.5)))
        x, y = (np.interp(at, along, column) for column in line.T)
        x, y = (c + 0.16 * tremble * self._drift(at, 7) for c in (x, y))
        share = at / length
        profile = 1 - swell + swell * np.sin(np.pi * share) ** 0.7
        radius = UNIT * width / 2 * profile * (1 + 0.22 * self._drift(at, 5))
        pen = ImageDraw.Draw(self.ink)
        for cx, cy, r in zip(x * UNIT, y * UNIT, np.maximum(radius, 0.8), strict=True):
            pen.ellipse((cx - r, cy - r, cx + r, cy + r), fill=255)

    def line(self, points: Points, width: float = LINE, swell: float = 0.75) -> None:
        """A stroke through the points."""
        self.stroke(curve(points), width, swell)

    def _drift(self, at: np.ndarray, period: float) -> np.ndarray:
        """Slow noise in about [-1, 1] along a line, changing over `period`."""
        knots = np.arange(0, at[-1] + 2 * period, period)
        return np.interp(at, knots, self.rng.uniform(-1, 1, len(knots)))

    def outline(self, shape: Points, width: float = OUTLINE) -> None:
        """A closed smooth shape in a few strokes, hiding what lies behind it."""
        self.hide(shape)
        if len(shape) < 12:  # straight edges
            for ends in zip(shape, np.roll(shape, -1, 0), strict=True):
                self.stroke(ends, width, swell=0.3)
            return
        shape = np.roll(shape, -int(self.rng.integers(len(shape))), 0)
        shape = np.concatenate([shape, shape[:3]])
        cuts = np.linspace(0, len(shape) - 1, 4).astype(int)
        for first, last in zip(cuts, cuts[1:], strict=False):
            self.stroke(shape[max(0, first - 1) : last + 2], width, swell=0.45)

    def hide(self, shape: Points) -> None:
        """Bare paper inside a closed line."""
        ImageDraw.Draw(self.ink).polygon([tuple(p) for p in np.asarray(shape) * UNIT], fill=0)

    def blacken(self, shape: Points) -> None:
        ImageDraw.Draw(self.ink).polygon([tuple(p) for p in np.asarray(shape) * UNIT], fill=255)

    @contextmanager
    def within(self, shape: Points) -> Iterator[None]:
        """What is drawn in the block is seen inside the closed line alone."""
        before, self.ink = self.ink, Image.new("L", self.ink.size)
        yield
        self.ink = ImageChops.lighter(before, ImageChops.multiply(self.ink, inside(shape)))

    def hatch(
        self, shape: Points, angle: float, gap: float = 1.5, width: float = HAIR, bend: float = 0.0
    ) -> None:
        """Parallel lines inside a closed line; `bend` curves them."""
        room = np.asarray(inside(shape)) > 0
        turn = np.radians(angle)
        across, down = (
            np.array([np.cos(turn), np.sin(turn)]),
            np.array([-np.sin(turn), np.cos(turn)]),
        )
        middle = np.mean(shape, 0)
        t = np.linspace(-75, 75, 900)
        for offset in np.arange(-70, 70, gap):
            offset += self.rng.uniform(-0.2, 0.2) * gap
            line = middle + t[:, None] * across + (offset + bend * (t / 10) ** 2)[:, None] * down
            px = np.rint(line * UNIT).astype(int)
            seen = ((px >= 0) & (px < SIDE * FINE)).all(1)
            seen[seen] = room[px[seen, 1], px[seen, 0]]
            for run in np.split(np.arange(len(t)), np.flatnonzero(np.diff(seen.astype(int))) + 1):
                run = run[int(self.rng.integers(0, 4)) : len(run) - int(self.rng.integers(0, 4))]
                if len(run) > 6 and seen[run[0]]:
                    self.stroke(line[run], width, swell=0.6, tremble=0.4)

    def picture(self) -> Image.Image:
        """Ink on paper, (SIDE, SIDE)."""
        ink = np.asarray(self.ink, float).reshape(SIDE, FINE, SIDE, FINE).mean((1, 3)) / 255
        tone = (0.97 - 0.9 * ink)[..., None] * np.ones(3)
        return Image.fromarray(np.rint(tone * 255).astype(np.uint8))


def inside(shape: Points) -> Image.Image:
    """255 inside the closed line."""
    mask = Image.new("L", (SIDE * FINE,) * 2)
    ImageDraw.Draw(mask).polygon([tuple(p) for p in np.asarray(shape) * UNIT], fill=255)
    return mask


def leaf(page: Page, base, tip, broad: float, veins: int = 5, shade: int = 1) -> None:
    """A leaf with veins, one half of it (`shade` 1 or -1) hatched."""
    base, tip = np.asarray(base, float), np.asarray(tip, float)
    along = tip - base
    side = np.array([-along[1], along[0]]) * broad
    rib = curve([base, base + 0.5 * along + 0.08 * side, tip])
    halves = [
        curve(
            [base, base + 0.3 * along + s * 0.42 * side, base + 0.65 * along + s * 0.36 * side, tip]
        )
        for s in (1, -1)
    ]
    page.hide(np.concatenate([halves[0], halves[1][::-1]]))
    for half in halves:
        page.stroke(half, LINE * 1.15, swell=0.5)
    page.stroke(rib, LINE, swell=0.5)
    for step in np.linspace(0.18, 0.78, veins):
        at = rib[int(step * (len(rib) - 1))]
        for half in halves:
            edge = half[min(len(half) - 1, int((step + 0.16) * (len(half) - 1)))]
            page.stroke(
                curve([at, 0.5 * (at + edge) + 0.02 * along, at + 0.86 * (edge - at)]), HAIR
            )
    shaded = np.concatenate([rib, halves[0 if shade > 0 else 1][::-1]])
    page.hatch(shaded, np.degrees(np.arctan2(along[1], along[0])) + 24 * shade, 1.15, HAIR * 0.9)


def scales(page: Page, shape: Points, size: float, turn: float = 0.0, width: float = HAIR) -> None:
    """Rows of arcs that overlap like tiles, inside a closed line, opening towards -x at turn 0."""
    shape = np.asarray(shape)
    middle, reach = shape.mean(0), np.abs(shape - shape.mean(0)).max() * 1.5
    angle = np.radians(turn)
    rotate = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    with page.within(shape):
        for row, u in enumerate(np.arange(-reach, reach, 0.72 * size)):
            for v in np.arange(-reach, reach, size) + 0.5 * size * (row % 2):
                arc = oval(u, v, 0.62 * size, 0.5 * size, part=(-0.25, 0.25))
                page.stroke(middle + arc @ rotate, width, swell=0.55, tremble=0.5)


def eye(page: Page, x: float, y: float, r: float) -> None:
    """A round eye with a ring, a pupil and a light in it."""
    page.outline(oval(x, y, r, r), LINE)
    page.hatch(oval(x, y, r * 0.85, r * 0.85), 35, 0.9, HAIR * 0.8)
    page.blacken(oval(x, y, 0.6 * r, 0.6 * r))
    page.hide(oval(x - 0.25 * r, y - 0.28 * r, 0.19 * r, 0.19 * r))


def grass(page: Page, y: float, left: float, right: float, count: int, tall: float = 5) -> None:
    """Blades along the ground."""
    for x in np.sort(page.rng.uniform(left, right, count)):
        h, lean = page.rng.uniform(0.4, 1) * tall, page.rng.uniform(-0.5, 0.5) * tall
        foot = y + page.rng.uniform(-0.7, 0.7)
        page.stroke(
            curve([(x, foot), (x + 0.25 * lean, foot - 0.6 * h), (x + lean, foot - h)]), LINE
        )


def window(page: Page, x: float, y: float, w: float, h: float) -> None:
    """A window with a cross and dark panes."""
    frame = np.array([(x, y), (x + w, y), (x + w, y + h), (x, y + h)])
    page.outline(frame, LINE * 1.4)
    page.hatch(frame, 45, 1.1)
    page.stroke([(x + w / 2, y), (x + w / 2, y + h)], OUTLINE, swell=0.1)
    page.stroke([(x, y + h / 2), (x + w, y + h / 2)], OUTLINE, swell=0.1)


def crown(page: Page, x: float, y: float, rx: float, ry: float) -> None:
    """A tree: a trunk, and foliage in lobes that are shaded below."""
    trunk = curve([(x - 2.6, 92), (x - 1.8, y + 10), (x + 1.8, y + 10), (x + 2.8, 92)], each=12)
    page.hide(trunk)
    page.stroke(trunk[: len(trunk) // 3 + 2], OUTLINE)
    page.stroke(trunk[-len(trunk) // 3 - 1 :], OUTLINE)
    page.hatch(trunk, 84, 1.0)
    lobes = [(a, page.rng.uniform(0.5, 0.62)) for a in np.linspace(0, 2 * np.pi, 9, endpoint=False)]
    for a, far in sorted(lobes, key=lambda lobe: np.sin(lobe[0])) + [(0.0, 0.05)]:
        cx, cy = x + far * rx * np.cos(a), y + far * ry * np.sin(a)
        edge = oval(cx, cy, 0.46 * rx, 0.42 * ry)[:-1]
        angle = np.linspace(0, 2 * np.pi * 8, len(edge))
        edge = edge + 0.05 * rx * np.abs(np.sin(angle / 2))[:, None] * (edge - (cx, cy)) / (
            0.45 * rx
        )
        page.outline(edge, LINE * 1.3)
        below = np.concatenate(
            [oval(cx, cy, 0.44 * rx, 0.4 * ry, part=(0, 0.5)), [(cx - 0.1 * rx, cy + 0.08 * ry)]]
        )
        page.hatch(below, 35, 1.3)
