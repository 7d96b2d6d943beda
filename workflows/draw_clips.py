"""Renders the example clips whose objects are to be removed, into workflows/inputs/.

    python workflows/draw_clips.py

`harbour`: a cyclist rides along a quay, seen by a hand-held camera. `fire`: flames of a simulated
fluid behind an iron rod, seen by a fixed one. Everything is computed from fixed seeds; the clips
are in the public domain (CC0). OpenCV is needed: pip install opencv-python-headless
"""

from collections.abc import Callable

import cv2
import numpy as np
from draw_inputs import fractal, grid, grown, mix, noise, save, save_clip, shrink, sky
from flames import Flames, glow
from PIL import Image, ImageDraw

FINE = 4  # the harbour is drawn this many times larger
WIDE, TALL = 420, 240  # units of the harbour, pixels of the clip
VIEW = (160, 256)  # (H, W) of the clip
WATER, QUAY = 112, 152  # units from the top: where the water begins, and where it ends

Colour = tuple[float, float, float]


class Drawing:
    """A picture in units of the clip's pixels, drawn finely."""

    def __init__(self, picture: np.ndarray):
        self.picture = picture  # (TALL * FINE, WIDE * FINE, 3)

    def area(self, draw: Callable[[ImageDraw.ImageDraw, Callable], None]) -> np.ndarray:
        """Where `draw` draws, True inside; it is given a pen and what scales points."""
        mask = Image.new("1", self.picture.shape[1::-1])
        draw(ImageDraw.Draw(mask), lambda *p: [(x * FINE, y * FINE) for x, y in p])
        return np.asarray(mask)

    def polygon(self, colour, *points: tuple[float, float]) -> np.ndarray:
        """colour: one, or a picture of this size."""
        inside = self.area(lambda pen, at: pen.polygon(at(*points), fill=1))
        self.picture = np.where(inside[..., None], colour, self.picture)
        return inside

    def box(self, colour, x: float, y: float, w: float, h: float) -> np.ndarray:
        return self.polygon(colour, (x, y), (x + w, y), (x + w, y + h), (x, y + h))

    def line(self, colour, width: float, *points: tuple[float, float]) -> None:
        wide = max(1, round(width * FINE))
        inside = self.area(lambda pen, at: pen.line(at(*points), fill=1, width=wide))
        self.picture = np.where(inside[..., None], colour, self.picture)


def bricks(rng, size: tuple[int, int], colour: Colour, w: float, h: float) -> np.ndarray:
    """Courses of bricks of w x h units, each of its own tint, with joints between them."""
    y, x = grid(*size)
    y, x = y / FINE / h, x / FINE / w
    row = np.floor(y).astype(int)
    x = x + 0.5 * (row % 2)
    column = np.floor(x).astype(int)
    tint = rng.uniform(0.72, 1.18, (row.max() + 1, column.max() + 1))[row, column]
    joint = (np.minimum(y % 1, 1 - y % 1) * h < 0.16) | (np.minimum(x % 1, 1 - x % 1) * w < 0.16)
    wall = np.asarray(colour) * tint[..., None]
    return np.where(joint[..., None], np.asarray(colour) * 0.55 + 0.12, wall)


def window(drawing: Drawing, x: float, y: float, w: float, h: float, frame: Colour, rng) -> None:
    drawing.box(frame, x - 0.8, y - 0.8, w + 1.6, h + 1.6)
    drawing.box((0.13, 0.17, 0.22), x, y, w, h)
    light = rng.uniform(0.25, 0.75)
    drawing.polygon((0.3 * light, 0.5 * light, 0.7 * light), (x, y), (x + w, y), (x, y + h * 0.8))
    if rng.uniform() < 0.3:
        drawing.box((0.86, 0.8, 0.66), x, y, w * rng.uniform(0.3, 0.45), h)  # a curtain
    drawing.line(frame, 0.7, (x + w / 2, y), (x + w / 2, y + h))
    drawing.line(frame, 0.6, (x, y + h * 0.42), (x + w, y + h * 0.42))
    drawing.box((0.8, 0.78, 0.72), x - 1.4, y + h + 0.8, w + 2.8, 1)


HOUSES = [
    (0.66, 0.27, 0.2), (0.86, 0.68, 0.36), (0.42, 0.5, 0.56), (0.75, 0.45, 0.3), (0.9, 0.86, 0.78),
    (0.34, 0.47, 0.38), (0.62, 0.2, 0.19), (0.83, 0.6, 0.42), (0.5, 0.56, 0.66),
]  # fmt: skip


def house(drawing: Drawing, rng, x: float, w: float, tall: float, colour: Colour) -> None:
    """A house with a gable, in bricks or plaster, its foot at the far quay."""
    size, foot, top = drawing.picture.shape[:2], WATER - 6, WATER - 6 - tall
    if rng.uniform() < 0.6:
        wall = bricks(rng, size, colour, 3.2, 1.5)
    else:
        wall = np.asarray(colour) * (0.8 + 0.35 * fractal(rng, *size, 40))[..., None]
    rise, roof = rng.uniform(9, 16), np.array(colour) * 0.35 + (0.18, 0.13, 0.12)
    kind = rng.integers(3)
    if kind == 0:  # steps
        steps = [(x + w / 2 + s * w / 2 * (1 - k / 4), top - rise * k / 4) for s in (-1, 1)
                 for k in (range(5) if s < 0 else range(4, -1, -1))]  # fmt: skip
        gable = []
        for a, b in zip(steps, steps[1:], strict=False):
            gable += [a, (a[0], b[1])] if b[1] < a[1] else [a, (b[0], a[1])]
        drawing.polygon(wall, (x, foot), *gable, (x + w, top), (x + w, foot))
    elif kind == 1:  # a pointed gable with its edge
        drawing.polygon(wall, (x, foot), (x, top), (x + w / 2, top - rise), (x + w, top),
                        (x + w, foot))  # fmt: skip
        drawing.line((0.9, 0.88, 0.84), 1.4, (x, top), (x + w / 2, top - rise), (x + w, top))
    else:  # a tiled roof seen from its long side
        drawing.box(wall, x, top, w, tall)
        tiles = bricks(rng, size, roof * 1.5, 2.0, 1.4)
        drawing.polygon(tiles, (x - 1, top), (x + 3, top - rise), (x + w - 3, top - rise),
                        (x + w + 1, top))  # fmt: skip
        cx = x + w * rng.uniform(0.2, 0.7)
        drawing.box(bricks(rng, size, (0.5, 0.28, 0.22), 2, 1), cx, top - rise - 6, 4.5, 9)
        drawing.box((0.3, 0.28, 0.27), cx - 0.6, top - rise - 6.8, 5.7, 1.2)
    frame = (0.93, 0.92, 0.88) if sum(colour) < 2.2 else (0.32, 0.36, 0.34)
    columns = max(2, round(w / 10))
    for storey in range(max(1, int((tall - 16) / 15))):
        for column in range(columns):
            cx = x + (column + 0.5) * w / columns
            window(drawing, cx - 2.4, top + 3.5 + 15 * storey, 4.8, 8, frame, rng)
    door = x + w * (0.25 if rng.uniform() < 0.5 else 0.68)
    drawing.box(frame, door - 3.6, foot - 14.4, 7.2, 14.4)
    drawing.box(rng.uniform(0.12, 0.45, 3), door - 2.8, foot - 13.4, 5.6, 13.4)
    drawing.box((0.75, 0.78, 0.6), door - 2, foot - 12.4, 4, 2.6)
    if w > 30:  # an awning in stripes
        ax = x + 4 if door > x + w / 2 else x + w * 0.45
        for k in range(6):
            stripe = (0.92, 0.9, 0.84) if k % 2 else np.array((0.72, 0.2, 0.18))
            x0, x1 = ax + 2.4 * k, ax + 2.5 * k - 0.9
            corners = (x0, foot - 13), (x0 + 2.4, foot - 13), (x1 + 2.5, foot - 8.4)
            drawing.polygon(stripe, *corners, (x1, foot - 8.4))
    drawing.line(np.array(colour) * 0.45, 0.5, (x, top), (x, foot))


def boat(drawing: Drawing, x: float, y: float, length: float, hull: Colour, mast: float) -> None:
    """A moored boat with cabin, mast, furled sail and rigging; its waterline at y."""
    rope = (0.2, 0.18, 0.16)
    drawing.polygon(hull, (x, y - 7), (x + length + 4, y - 9), (x + length - 2, y), (x + 4, y))
    drawing.polygon(np.array(hull) * 0.5, (x + 3, y - 1.8), (x + length - 1, y - 1.8),
                    (x + length - 2, y), (x + 4, y))  # fmt: skip
    drawing.line((0.93, 0.91, 0.86), 1.1, (x, y - 7), (x + length + 4, y - 9))
    drawing.box((0.9, 0.86, 0.76), x + length * 0.22, y - 13.5, length * 0.32, 6)
    drawing.box((0.45, 0.27, 0.16), x + length * 0.2, y - 14.6, length * 0.36, 1.5)
    for k in range(3):
        drawing.box((0.16, 0.2, 0.25), x + length * (0.25 + 0.095 * k), y - 12, length * 0.06, 2.8)
    foot = x + length * 0.62
    drawing.line((0.55, 0.38, 0.22), 1.3, (foot, y - 8), (foot, y - mast))
    drawing.line((0.5, 0.34, 0.2), 1.0, (foot, y - 17), (foot - length * 0.5, y - 19))
    drawing.line((0.9, 0.87, 0.78), 2.2, (foot - 1, y - 18.4), (foot - length * 0.46, y - 20.2))
    for end in (x + 1, x + length + 3, foot - 4, foot + 4):
        drawing.line(rope, 0.25, (foot, y - mast + 1), (end, y - 8))
    drawing.line(rope, 0.25, (foot, y - mast * 0.7), (foot - length * 0.5, y - 19))
    drawing.polygon((0.8, 0.2, 0.16), (foot, y - mast), (foot + 7, y - mast + 1.6),
                    (foot, y - mast + 3.6))  # fmt: skip
    for k in range(4):
        cx = x + length * (0.1 + 0.22 * k)
        drawing.box((0.88, 0.52, 0.16), cx, y - 5.4, 1.7, 3.4)  # fenders


def water(drawing: Drawing, rng) -> None:
    """The quay's mirror image, wavering, down to the near quay."""
    size = drawing.picture.shape[:2]
    y, x = grid(*size)
    depth = np.clip((y - WATER * FINE) / FINE, 0, None)
    waves = noise(rng, *size, 90) - 0.5 + 0.6 * (noise(rng, *size, 40) - 0.5)
    swell = np.sin(y / FINE * (2.6 - 0.018 * depth) + 5 * waves)
    rows = np.clip(2 * WATER * FINE - y - depth * FINE * 0.25 + 6 * swell, 0, WATER * FINE - 1)
    columns = np.clip(x + (2 + 0.3 * depth) * FINE * waves, 0, size[1] - 1)
    mirrored = cv2.remap(drawing.picture.astype(np.float32), columns.astype(np.float32),
                         rows.astype(np.float32), cv2.INTER_LINEAR)  # fmt: skip
    tinted = mix((0.1, 0.2, 0.23), mirrored * (0.8, 0.9, 0.92), np.full(size, 0.66))
    glitter = np.clip(swell * 0.5 + 2.6 * waves - 0.62, 0, 1) * np.clip(depth / 6, 0, 1)
    tinted = mix(tinted, (0.88, 0.93, 0.94), glitter * 0.75)
    place = (y > WATER * FINE) & (y < QUAY * FINE)
    drawing.picture = np.where(place[..., None], tinted, drawing.picture)


def near_quay(drawing: Drawing, rng) -> None:
    """Setts that widen towards the viewer, a kerb, bollards and a lamp."""
    size = drawing.picture.shape[:2]
    y, x = grid(*size)
    far = np.clip((y / FINE - QUAY) / (TALL - QUAY), 1e-3, 1)
    along, across = (x / FINE - WIDE / 2) / (0.62 + 0.5 * far) / 7, 15 * far**0.8
    row = np.floor(across).astype(int)
    along = along + rng.uniform(0, 1, row.max() + 1)[row] + 80
    column = np.floor(along).astype(int)
    tint = rng.uniform(0.7, 1.15, (row.max() + 1, column.max() + 1))[row, column]
    warm = rng.uniform(0, 1, (row.max() + 1, column.max() + 1))[row, column]
    edge = np.minimum(
        np.minimum(along % 1, 1 - along % 1) * 7, np.minimum(across % 1, 1 - across % 1) * 4
    )
    stone = mix((0.5, 0.5, 0.52), (0.6, 0.52, 0.44), warm) * tint[..., None]
    stone = stone * (0.7 + 0.6 * fractal(rng, *size, 70))[..., None]
    stone = mix((0.2, 0.19, 0.18), stone, edge / 0.55)
    drawing.picture = np.where((y > QUAY * FINE)[..., None], stone, drawing.picture)
    kerb = bricks(rng, size, (0.68, 0.66, 0.62), 17, 40)
    kerb = kerb * (0.75 + 0.5 * fractal(rng, *size, 90))[..., None]
    drawing.box(kerb, 0, QUAY - 2, WIDE, 6)
    drawing.box((0.24, 0.24, 0.24), 0, QUAY + 4, WIDE, 1)
    for x0 in range(22, WIDE, 64):
        drawing.box((0.13, 0.14, 0.16), x0 - 2.4, QUAY - 8, 4.8, 11)
        drawing.box((0.18, 0.19, 0.22), x0 - 3.6, QUAY - 10, 7.2, 3)
        drawing.line((0.5, 0.52, 0.55), 0.7, (x0 - 1.4, QUAY - 7), (x0 - 1.4, QUAY + 2))
        drawing.line(
            (0.5, 0.42, 0.3), 0.8, (x0, QUAY - 5), (x0 + 14, QUAY - 1), (x0 + 26, QUAY - 6)
        )
    for x0 in (118, 322):
        drawing.line((0.1, 0.13, 0.14), 2, (x0, QUAY + 6), (x0, 58))
        drawing.line((0.1, 0.13, 0.14), 4, (x0, QUAY + 6), (x0, QUAY - 10))
        drawing.polygon((0.97, 0.9, 0.66), (x0 - 3, 48), (x0 + 3, 48), (x0 + 2, 58), (x0 - 2, 58))
        drawing.polygon((0.1, 0.13, 0.14), (x0 - 4, 48), (x0, 43), (x0 + 4, 48))


def harbour() -> np.ndarray:
    """The whole scene, finely drawn, (TALL * FINE, WIDE * FINE, 3)."""
    rng = np.random.default_rng(17)
    size = TALL * FINE, WIDE * FINE
    drawing = Drawing(sky(rng, *size))
    y, x = grid(*size)
    hill = (50 + 10 * np.sin(x / FINE / 60) + 7 * noise(rng, 4, size[1], 14)[1]) * FINE
    wood = mix((0.3, 0.42, 0.4), (0.5, 0.6, 0.5), fractal(rng, *size, 60))
    drawing.picture = np.where((y > hill)[..., None], wood, drawing.picture)
    left = -8.0
    index = 0
    while left < WIDE:
        w = rng.uniform(22, 42)
        house(drawing, rng, left, w, rng.uniform(40, 66), HOUSES[index % len(HOUSES)])
        left, index = left + w + (rng.uniform(4, 9) if rng.uniform() < 0.25 else 0), index + 1
    wall = bricks(rng, size, (0.47, 0.45, 0.42), 5, 1.7)
    drawing.box(wall, 0, WATER - 6, WIDE, 6)
    drawing.line((0.8, 0.78, 0.74), 1, (0, WATER - 6), (WIDE, WATER - 6))
    for x0, y0, length, hull, mast in (
        (14, 119, 46, (0.16, 0.3, 0.5), 66), (96, 117, 38, (0.72, 0.2, 0.16), 58),
        (150, 124, 58, (0.92, 0.9, 0.84), 82), (238, 118, 42, (0.15, 0.42, 0.34), 60),
        (296, 125, 60, (0.2, 0.22, 0.28), 86), (372, 118, 40, (0.85, 0.6, 0.2), 60),
    ):  # fmt: skip
        boat(drawing, x0, min(y0, WATER), length, hull, mast)
    water(drawing, rng)
    near_quay(drawing, rng)
    return drawing.picture * 0.97


def limb(drawing: Drawing, colour, width: float, *points: tuple[float, float]) -> None:
    """A line with round ends and joints."""
    drawing.line(colour, width, *points)
    for x, y in points:
        ends = [(x - width / 2, y - width / 2), (x + width / 2, y + width / 2)]
        inside = drawing.area(lambda pen, at, ends=ends: pen.ellipse(
            [c for p in at(*ends) for c in p], fill=1))  # fmt: skip
        drawing.picture = np.where(inside[..., None], colour, drawing.picture)


def wheel(drawing: Drawing, x: float, y: float, r: float, angle: float) -> None:
    turn = np.linspace(0, 2 * np.pi, 49)
    rim = [(x + r * np.cos(a), y + r * np.sin(a)) for a in turn]
    for a in angle + np.arange(10) * 2 * np.pi / 10:
        drawing.line((0.7, 0.7, 0.72), 0.3, (x, y), (x + r * np.cos(a), y + r * np.sin(a)))
    drawing.line((0.1, 0.1, 0.11), 1.7, *rim)
    limb(drawing, (0.25, 0.25, 0.27), 2, (x, y))


def knee(hip: tuple[float, float], foot: tuple[float, float], length: float) -> tuple[float, float]:
    """Where a leg of two equal parts bends, forwards."""
    middle, along = (np.add(hip, foot)) / 2, np.subtract(foot, hip)
    half = np.hypot(*along) / 2
    out = np.sqrt(max(length**2 - half**2, 0)) * np.array([along[1], -along[0]]) / (2 * half)
    return tuple(middle + out)


def cyclist(picture: np.ndarray, x: float, y: float, turned: float) -> np.ndarray:
    """Someone on a bicycle, riding to the right; the wheels stand on the ground at (x, y)."""
    ground = picture.copy()
    yy, xx = grid(*picture.shape[:2])
    below = ((xx / FINE - x) / 27) ** 2 + ((yy / FINE - y - 1.5) / 3.2) ** 2
    drawing = Drawing(ground * (1 - 0.5 * np.clip(1.3 - below, 0, 1)[..., None]))  # the shadow
    r, skin, coat = 9.0, (0.86, 0.62, 0.48), (0.9, 0.68, 0.12)
    rear, front, crank = (x - 15, y - r), (x + 15, y - r), (x - 1.5, y - r - 0.5)
    seat, bar = (x - 6.5, y - 22.5), (x + 11, y - 24)
    hip, neck, hand = (x - 6.5, y - 25.5), (x + 2, y - 42), (bar[0] + 0.8, bar[1] - 0.8)
    feet = [(crank[0] + 4.2 * np.cos(turned + s), crank[1] + 4.2 * np.sin(turned + s))
            for s in (np.pi, 0)]  # fmt: skip
    trousers = [(0.11, 0.13, 0.22), (0.18, 0.22, 0.36)]

    def leg(side: int) -> None:
        foot = feet[side]
        limb(drawing, trousers[side], 4.0, hip, knee(hip, foot, 11.4), foot)
        limb(drawing, (0.35, 0.16, 0.1), 2.6, foot, (foot[0] + 3, foot[1] + 0.4))

    leg(0)
    for centre in (rear, front):
        wheel(drawing, *centre, r, turned * 0.45)
    frame = (0.1, 0.42, 0.35)
    head = (x + 9, y - 21)
    for points in ((rear, crank, seat, rear), (crank, head), ((x - 5.6, y - 20.5), head),
                   (front, (x + 9.6, y - 22)), ((x + 9.6, y - 22), bar)):  # fmt: skip
        drawing.line(frame, 1.4, *points)
    drawing.line((0.12, 0.12, 0.13), 1.4, bar, (bar[0] - 2.2, bar[1] - 0.5))
    limb(drawing, (0.2, 0.13, 0.1), 2.2, (seat[0] - 2.4, seat[1]), (seat[0] + 2.6, seat[1]))
    leg(1)
    drawing.box((0.45, 0.3, 0.18), x - 22, y - 26, 9, 7)  # a basket
    for k in range(4):
        drawing.line((0.7, 0.52, 0.33), 0.5, (x - 22, y - 25 + 1.8 * k), (x - 13, y - 25 + 1.8 * k))
    limb(drawing, coat, 8.4, (hip[0] + 0.8, hip[1] - 1.5), (neck[0] - 1.6, neck[1] + 3.2))
    limb(drawing, np.array(coat) * 0.8, 3.4, (neck[0] - 0.5, neck[1] + 3.4),
         (x + 4.5, y - 31.5), hand)  # fmt: skip
    limb(drawing, skin, 2.4, hand)
    limb(drawing, (0.72, 0.16, 0.15), 3.4, (neck[0] - 0.8, neck[1] + 0.6), (neck[0] + 1, neck[1]))
    limb(drawing, skin, 7.2, (neck[0] + 2.4, neck[1] - 4.6))
    limb(
        drawing,
        (0.22, 0.24, 0.42),
        3.4,
        (neck[0] - 0.2, neck[1] - 7.4),
        (neck[0] + 4.6, neck[1] - 7.6),
    )
    limb(drawing, (0.22, 0.24, 0.42), 1.4, (neck[0] + 4, neck[1] - 6.4), (neck[0] + 8, neck[1] - 6))
    return drawing.picture


def seen(picture: np.ndarray, at: tuple[float, float], turn: float, zoom: float) -> np.ndarray:
    """The clip's view of the scene: its centre (x, y), turned by degrees."""
    height, width = (2 * side for side in VIEW)  # twice as large, then shrunk
    half = shrink(picture, FINE // 2).astype(np.float32)
    cos, sin = np.cos(np.radians(turn)) / zoom, np.sin(np.radians(turn)) / zoom
    x, y = 2 * at[0], 2 * at[1]
    view = np.array([[cos, -sin, x - (cos * width - sin * height) / 2],
                     [sin, cos, y - (sin * width + cos * height) / 2]])  # fmt: skip
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    moved = cv2.warpAffine(half, view, (width, height), flags=flags)
    return shrink(moved.reshape(height, width, -1))


def ride(frames: int = 36) -> tuple[np.ndarray, np.ndarray]:
    """The harbour behind the cyclist, (T, 160, 256, 3), and a mask with a margin, (T, 160, 256)."""
    empty, rng = harbour(), np.random.default_rng(5)
    shake = [np.convolve(rng.normal(0, 1, frames + 8), np.ones(9) / 9, "valid") for _ in range(4)]
    clip, masks = [], []
    for t in range(frames):
        share = t / (frames - 1)
        at = 158 + 88 * share + 2.4 * shake[0][t], 117 + 2 * shake[1][t] + 3 * np.sin(3 * share)
        turn, zoom = (
            1.3 * shake[2][t] + 0.8 * np.sin(5 * share),
            1 + 0.05 * share + 0.012 * shake[3][t],
        )
        x = 30 + 330 * share
        left = round(x - 40)  # the scene is wider than the camera ever sees
        place = slice(max(left, 0) * FINE, (left + 80) * FINE)
        filled = empty.copy()
        filled[:, place] = cyclist(
            empty[:, place], x - max(left, 0), 184 + 3 * np.sin(4 * share), 0.95 * t
        )
        changed = (np.abs(filled - empty).sum(-1) > 0.02).astype(float)
        clip.append(seen(filled, at, turn, zoom))
        masks.append(grown(seen(changed[..., None], at, turn, zoom)[..., 0] > 0.02, 3))
    return np.stack(clip), np.stack(masks)


def fire(frames: int = 30) -> tuple[np.ndarray, np.ndarray]:
    """Flames behind an iron rod, (T, 128, 192, 3), and the rod's mask, (128, 192)."""
    height, width = 256, 384
    above, below = 72, 24  # what is not in the picture: smoke, and the embers
    flames, clip = Flames(above + height + below, width, 9), []
    for _ in range(220):
        flames.advance()
    y, x = grid(height, width)
    offset = x - (292 + 0.07 * y)
    rod = (np.abs(offset) < 5) & (y > 34)
    knob = np.hypot(x - 294, y - 32) < 11
    for _ in range(frames):
        for _ in range(3):
            flames.advance()
        lit = glow(flames.heat[above : above + height])
        halo = cv2.GaussianBlur(lit, (0, 0), 22)
        picture = 1 - (1 - np.clip(lit, 0, 1)) * (1 - 0.35 * halo)
        iron = 0.1 + 0.22 * np.clip(1 - np.abs(offset + 2) / 3, 0, 1)[..., None] + halo * 0.25
        picture = np.where((rod | knob)[..., None], iron, picture)
        clip.append(shrink(picture))
    return np.stack(clip), grown(shrink((rod | knob)[..., None].astype(float))[..., 0] > 0, 3)


def main() -> None:
    clip, masks = ride()
    save_clip("harbour.mp4", clip, 12, {"crf": "15"})
    save_clip("harbour_mask.mp4", masks[..., None].repeat(3, 3), 12, {"qp": "0"})  # without loss
    clip, mask = fire()
    save_clip("fire.mp4", clip, 24, {"crf": "12"})
    save("fire_mask.png", mask[..., None].repeat(3, 2))


if __name__ == "__main__":
    main()
