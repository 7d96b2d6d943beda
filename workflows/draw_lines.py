"""Draws the line drawings among the example pictures, pen and ink, into workflows/inputs/.

    python workflows/draw_lines.py

Six to learn from, two to erase in, and the strokes of an eraser. Everything is computed from fixed
seeds; the pictures are in the public domain (CC0).
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from pen import (
    FINE,
    HAIR,
    LINE,
    OUTLINE,
    SIDE,
    UNIT,
    Page,
    crown,
    curve,
    eye,
    grass,
    leaf,
    oval,
    scales,
    window,
)
from PIL import Image, ImageDraw

INPUTS = Path(__file__).parent / "inputs"


def cat() -> Page:
    """A cat's face."""
    page = Page(1)
    for s in (-1, 1):
        ear = [
            (50 + s * 31, 44),
            (50 + s * 33, 24),
            (50 + s * 31, 10),
            (50 + s * 19, 16),
            (50 + s * 9, 27),
        ]
        page.outline(curve(ear), OUTLINE)
        inner = curve([(50 + s * 28, 36), (50 + s * 29, 18), (50 + s * 16, 28)], closed=True)
        page.hatch(inner, 90 - s * 14, 1.2)
    head = [(50, 25), (66, 27), (79, 38), (84, 54), (79, 68), (68, 79), (50, 85)]
    head += [(100 - x, y) for x, y in head[-2:0:-1]]
    page.outline(curve(head, closed=True))
    for s in (-1, 1):
        lids = curve(
            [(50 + s * 9, 54), (50 + s * 16, 46.5), (50 + s * 25, 48), (50 + s * 20, 56)], True
        )
        page.outline(lids, LINE * 1.5)
        page.hatch(lids, 90, 1.1, HAIR * 0.8)
        page.blacken(oval(50 + s * 17.5, 51.4, 1.7, 4.2))
        page.hide(oval(50 + s * 17.5 - 0.6, 49.6, 0.6, 0.8))
        page.line([(50 + s * 8, 50), (50 + s * 15, 43.5), (50 + s * 26, 45)], LINE)
        page.line([(50, 68.5), (50 + s * 4, 73), (50 + s * 10, 70.5)], LINE * 1.4)
        for k in range(4):
            start = (50 + s * (11 + 1.2 * (k % 2)), 65.5 + 2.2 * k)
            end = (50 + s * (46 - k), 55 + 8.5 * k)
            middle = (50 + s * 30, 58.5 + 5.4 * k)
            page.line([start, middle, end], LINE * 0.9, swell=0.9)
        for k in range(7):  # fur on the cheeks
            x, y = 50 + s * (26 - 1.5 * k), 58 + 3.1 * k
            page.line([(x, y), (x + s * 2.5, y + 2.5), (x + s * 3, y + 5.5)], LINE)
        for k in range(3):  # stripes
            y = 36 + 3.2 * k
            page.line(
                [
                    (50 + s * (28 + 1.5 * k), y + 2),
                    (50 + s * 26, y + 3),
                    (50 + s * (22 - k), y + 1.5),
                ],
                1.3,
            )
    for x, foot in ((44, 37), (50, 40), (56, 37)):
        page.line([(x, 27), (x, 32), (50 + 0.8 * (x - 50), foot)], 1.5)
    nose = curve([(45.5, 62), (50, 61), (54.5, 62), (51.4, 66), (48.6, 66)], closed=True)
    page.outline(nose, LINE)
    page.hatch(nose, 20, 0.85)
    page.stroke([(50, 66), (50, 69)], LINE)
    page.hatch(curve([(30, 79), (50, 86), (70, 79), (64, 92), (50, 95), (36, 92)], True), 12, 1.6)
    for s in (-1, 1):
        page.line([(50 + s * 21, 80), (50 + s * 27, 88), (50 + s * 30, 98)], OUTLINE)
    return page


def owl() -> Page:
    """An owl on a branch."""
    page = Page(2)
    branch = curve([(2, 88), (30, 84), (60, 86), (98, 80)])
    page.stroke(branch, 1.1, swell=0.3)
    page.stroke(branch + (0, 5.5), 1.1, swell=0.3)
    page.hatch(np.concatenate([branch + (0, 2.5), branch[::-1] + (0, 5.5)]), 8, 1.1)
    leaf(page, (88, 82), (96, 66), 0.6)
    leaf(page, (12, 87), (4, 72), 0.6, shade=-1)
    body = [(50, 10), (64, 11), (73, 22), (76, 42), (73, 66), (62, 84), (50, 88)]
    body += [(100 - x, y) for x, y in body[-2:0:-1]]
    page.outline(curve(body, closed=True))
    breast = curve(
        [(50, 42), (60, 46), (65, 60), (60, 76), (50, 84), (40, 76), (35, 60), (40, 46)], True
    )
    scales(page, breast, 5.2, turn=90, width=LINE)
    for s in (-1, 1):
        wing = curve(
            [
                (50 + s * 22, 38),
                (50 + s * 29, 52),
                (50 + s * 27, 70),
                (50 + s * 17, 83),
                (50 + s * 17, 58),
            ],
            True,
        )
        page.outline(wing)
        for k in range(5):
            x = 50 + s * (18.5 + 1.9 * k)
            page.line([(x, 46 + k), (x + s * 0.8, 60), (x - s * 1.5, 80 - 3.4 * k)], LINE)
        page.hatch(wing, 90 - s * 30, 2.2, HAIR * 0.9)
        x, y = at = np.array([50 + s * 11.5, 29])
        for a in np.linspace(0, 2 * np.pi, 34, endpoint=False):
            d = np.array([np.cos(a), np.sin(a)])
            far = 11.2 + page.rng.uniform(-0.8, 0.5)
            page.stroke([at + 7.2 * d, at + far * d], LINE, swell=0.8)
        eye(page, x, y, 6.2)
        page.line([(50 + s * 2, 20), (50 + s * 12, 13), (50 + s * 23, 5)], 1.5)
        page.line([(50 + s * 23, 5), (50 + s * 23.5, 13), (50 + s * 22, 20)], OUTLINE)
        for k in range(3):
            foot = 50 + s * (5 + 3 * k)
            page.outline(oval(foot, 87.5, 1.4, 3), LINE)
    beak = curve([(47.5, 30), (50, 28), (52.5, 30), (50, 38)], closed=True)
    page.outline(beak, LINE * 1.4)
    page.hatch(beak, 70, 0.9)
    return page


def house() -> Page:
    """A cottage with a tiled roof, a fence and a tree."""
    page = Page(3)
    crown(page, 82, 34, 15, 20)
    wall = np.array([(18, 48), (66, 48), (66, 82), (18, 82)])
    page.hide(wall)
    gable = np.array([(66, 48), (75, 30), (84, 50), (84, 79), (66, 82)])
    page.hide(gable)
    for a, b in (
        (wall[0], wall[3]),
        (wall[1], wall[2]),
        (wall[3], wall[2]),
        (wall[2], gable[3]),
        (gable[2], gable[3]),
    ):
        page.stroke([a, b], OUTLINE, swell=0.3)
    page.hatch(gable, 62, 1.7)
    page.outline(np.array([(30, 14), (37, 14), (37, 30), (30, 30)]), LINE)
    roof = np.array([(10, 51), (26, 24), (75, 24), (66, 51)])
    page.hide(roof)
    scales(page, roof, 4.6, turn=90, width=LINE)
    for a, b in zip(roof, np.roll(roof, -1, 0), strict=True):
        page.stroke([a, b], 1.1, swell=0.3)
    page.stroke([(75, 24), (86, 51)], 1.1, swell=0.3)
    turns = np.linspace(0, 5 * np.pi, 160)
    curl = 1.2 + 0.16 * turns
    smoke = (34 + 1.5 * turns + curl * np.cos(turns), 11 - 0.45 * turns + curl * np.sin(turns))
    page.stroke(np.stack(smoke, 1), LINE)
    for x in (24, 53):
        window(page, x, 57, 8, 10)
    window(page, 72, 58, 6, 9)
    door = curve([(38, 82), (38, 63), (42, 58.5), (46, 63), (46, 82)], each=12)
    page.outline(door, LINE * 1.3)
    page.hatch(door, 90, 1.5, LINE * 0.8)
    page.blacken(oval(44.6, 71.5, 0.6, 0.6))
    for x in np.arange(3, 99, 5.2):
        if 33 < x < 50:
            continue
        top = 81 + page.rng.uniform(-0.5, 0.5)
        page.outline(
            np.array([(x, 93), (x, top), (x + 1.3, top - 2.2), (x + 2.6, top), (x + 2.6, 93)]), LINE
        )
    for y in (84.5, 89):
        page.stroke([(1, y), (34, y)], LINE, swell=0.2)
        page.stroke([(52, y), (99, y)], LINE, swell=0.2)
    for s in (-1, 1):
        page.line([(42 + s * 4, 83), (42 + s * 6, 90), (42 + s * 12, 99)], OUTLINE)
    grass(page, 96, 2, 28, 18)
    grass(page, 96, 58, 98, 24)
    return page


def fish() -> Page:
    """A fish among bubbles and weed."""
    page = Page(4)
    back = curve([(10, 50), (20, 37), (40, 29), (60, 33), (78, 46)])
    belly = curve([(78, 54), (60, 68), (40, 72), (20, 63), (10, 50)])
    body = np.concatenate([back, belly])
    tail = curve(
        [(76, 46), (86, 36), (97, 27), (93, 40), (91, 50), (94, 61), (97, 74), (86, 65), (76, 54)]
    )
    top = curve([(30, 32), (38, 16), (52, 14), (66, 22), (68, 39)])
    low = curve([(38, 70), (44, 84), (52, 86), (56, 67)])
    for fin in (tail, top, low):
        page.outline(fin)
    for k in range(9):
        u = k / 8
        page.line([(78, 46 + 8 * u), (86, 42 + 16 * u), (94.5, 31 + 39 * u)], LINE)
        page.line([(34 + 32 * u, 34), (40 + 26 * u, 27), (43 + 21 * u, 17 + 6 * u * u)], LINE)
        page.line([(41 + 13 * u, 68), (44 + 9 * u, 76), (45 + 7 * u, 83)], HAIR)
    page.outline(body)
    scaly = np.concatenate([back[36:], belly[:-36], [(30, 58), (33, 50), (30, 40)]])
    scales(page, scaly, 5.4, turn=0, width=LINE)
    page.line([(29, 35), (33, 44), (33, 56), (28, 67)], OUTLINE)
    page.hatch(np.concatenate([belly, [(24, 56), (45, 64), (62, 62)]]), 14, 1.6)
    eye(page, 20, 46, 3.9)
    page.line([(10.5, 52), (14, 54), (18, 54)], LINE * 1.3)
    fin = curve([(38, 52), (50, 50), (56, 57), (48, 61), (38, 55)])
    page.outline(fin, LINE * 1.4)
    for k in range(5):
        page.line([(39, 53.5), (46, 54 + 0.8 * k), (52.5, 51.8 + 2 * k)], HAIR)
    for x, y, r in ((8, 34, 2.2), (5, 25, 1.6), (11, 20, 2.6), (7, 10, 3.2), (18, 8, 1.5)):
        page.outline(oval(x, y, r, r), LINE)
        page.stroke(oval(x, y, 0.6 * r, 0.6 * r, part=(0.5, 0.75)), HAIR)
    for x in (66, 72, 80, 86, 14, 21):
        sway = page.rng.uniform(-4, 4)
        weed = [
            (x, 100),
            (x - sway, 92),
            (x + sway, 84),
            (x - 0.3 * sway, 76 + page.rng.uniform(0, 6)),
        ]
        page.line(weed, 1.6, swell=0.9)
    return page


def sunflower() -> Page:
    """A sunflower with two leaves."""
    page = Page(5)
    stem = curve([(50, 50), (52, 70), (49, 100)])
    for side in (-1.2, 1.2):
        page.stroke(stem + (side, 0), OUTLINE, swell=0.3)
    page.hatch(np.concatenate([stem + (1.2, 0), stem[::-1] + (0.1, 0)]), 80, 0.9)
    leaf(page, (51, 84), (83, 70), 0.62, veins=6)
    leaf(page, (50, 90), (17, 76), 0.62, veins=6, shade=-1)
    middle = np.array([50, 38])
    for ring, (count, reach) in enumerate(((17, 33), (17, 28))):
        for a in np.linspace(0, 2 * np.pi, count, endpoint=False) + ring * np.pi / count:
            d = np.array([np.cos(a), np.sin(a)])
            side = np.array([-d[1], d[0]])
            far = reach + page.rng.uniform(-2, 1.5)
            bow = page.rng.uniform(-1, 1)
            petal = [
                middle + 11 * d - 2.6 * side,
                middle + 0.68 * far * d - 4.1 * side,
                middle + far * d + bow * side,
            ]
            petal += [middle + 0.68 * far * d + 4.1 * side, middle + 11 * d + 2.6 * side]
            page.outline(curve(petal), LINE * 1.3)
            for k in (-1, 0, 1):
                start, end = (
                    middle + 13 * d + 1.1 * k * side,
                    middle + (0.82 - 0.1 * abs(k)) * far * d + 1.4 * k * side,
                )
                page.stroke([start, end], HAIR)
    page.outline(oval(*middle, 14, 14))
    for n in range(1, 190):  # seeds on the spiral of the golden angle
        r, a = 0.98 * np.sqrt(n), n * 2.39996
        x, y = middle + r * np.array([np.cos(a), np.sin(a)])
        page.stroke(oval(x, y, 0.46, 0.46), HAIR if r < 9 else LINE)
    return page


def tree() -> Page:
    """A tree on a hill before mountains."""
    page = Page(6)
    ridge = curve(
        [(0, 60), (12, 46), (20, 51), (34, 32), (45, 47), (54, 42), (70, 58), (84, 48), (100, 60)]
    )
    page.stroke(ridge, OUTLINE, swell=0.3)
    page.hatch(np.array([(34, 32), (45, 47), (50, 62), (38, 62)]), 66, 1.5)
    page.hatch(np.array([(12, 46), (20, 51), (25, 63), (16, 63)]), 66, 1.5)
    page.hatch(np.array([(84, 48), (100, 60), (100, 66), (88, 66)]), 66, 1.5)
    page.outline(oval(84, 18, 8, 8), LINE)
    for a in np.linspace(0, 2 * np.pi, 20, endpoint=False):
        d = np.array([np.cos(a), np.sin(a)])
        page.stroke([(84, 18) + 9.6 * d, (84, 18) + (12.5 + 1.5 * (round(a * 10) % 2)) * d], LINE)
    hill = curve([(-4, 84), (24, 74), (56, 72), (104, 86)])
    page.hide(np.concatenate([hill, [(104, 104), (-4, 104)]]))
    page.stroke(hill, OUTLINE, swell=0.2)
    crown(page, 46, 40, 27, 30)
    for s in (-1, 1):
        page.line([(46 + s * 2.6, 90), (46 + s * 5, 93), (46 + s * 10, 94.5)], OUTLINE)
    page.hatch(oval(58, 94, 17, 2.6), 3, 1.1)
    for x, y in ((9, 14), (17, 9), (23, 18), (12, 25), (6, 34)):
        for s in (-1, 1):
            page.line([(x, y), (x + s * 2, y - 1.6), (x + s * 4.2, y - 0.4)], LINE)
    grass(page, 97, 2, 98, 40, 6)
    grass(page, 82, 70, 98, 10, 4)
    grass(page, 82, 2, 22, 10, 4)
    return page


def bird() -> Page:
    """A bird on a leafy twig: to erase in."""
    page = Page(7)
    twig = curve([(0, 78), (26, 81), (56, 76), (100, 84)])
    page.stroke(twig, OUTLINE, swell=0.2)
    page.stroke(twig + (0, 3), OUTLINE, swell=0.2)
    page.hatch(np.concatenate([twig + (0, 1.4), twig[::-1] + (0, 3)]), 10, 0.9)
    for base, tip, shade in (
        ((14, 80), (4, 96), 1), ((24, 82), (32, 98), -1), ((78, 80), (92, 68), 1),
        ((72, 81), (80, 97), 1), ((90, 84), (98, 97), -1), ((8, 78), (16, 63), 1)
    ):  # fmt: skip
        leaf(page, base, tip, 0.62, veins=4, shade=shade)
    tail = curve([(66, 62), (84, 50), (97, 40), (98, 47), (88, 56), (70, 70)])
    page.outline(tail)
    for k in range(4):
        page.line([(70, 65 - k), (84, 54.5 - 0.8 * k), (95.5, 44.5 - 0.7 * k)], LINE)
    body = [
        (22, 34),
        (26, 24),
        (36, 20),
        (46, 26),
        (54, 38),
        (68, 52),
        (72, 64),
        (62, 73),
        (46, 76),
        (32, 70),
    ]
    body += [(24, 57), (23, 44)]
    body = curve(body, closed=True)
    page.outline(body)
    scales(
        page,
        curve([(25, 46), (34, 44), (42, 56), (48, 74), (33, 70), (25, 58)], True),
        4.4,
        80,
        LINE,
    )
    wing = curve([(40, 42), (50, 42), (62, 52), (76, 62), (64, 66), (50, 64), (41, 54)], True)
    page.outline(wing)
    with page.within(wing):
        scales(page, curve([(40, 42), (50, 42), (57, 49), (52, 56), (42, 54)], True), 4.2, 35, LINE)
        for k in range(6):
            page.line(
                [(46 + 1.6 * k, 60 - 1.5 * k), (58, 61 - 1.2 * k), (75, 62.5 - 0.4 * k)], LINE
            )
    page.hatch(curve([(56, 66), (70, 65), (62, 72), (46, 75)], True), 20, 1.2)
    page.hatch(curve([(27, 24), (36, 20), (45, 26), (38, 29), (31, 28)], True), 25, 1.2)
    beak = curve([(22.5, 33), (12, 38), (23, 39)], each=10)
    page.outline(beak, LINE * 1.5)
    page.stroke([(23, 36.4), (14, 37.6)], HAIR)
    eye(page, 31.5, 33, 3.4)
    for x in (44, 54):
        page.stroke([(x, 74), (x - 1, 78)], 1.1)
        for k in (-1, 0, 1):
            page.line([(x - 1, 77.5), (x - 1 + 1.6 * k, 79.5), (x - 1 + 2.2 * k, 82)], OUTLINE)
    return page


def mushrooms() -> Page:
    """Mushrooms in grass: another to erase in."""
    page = Page(8)
    for x, foot, size in ((68, 90, 0.8), (38, 93, 1.25), (86, 95, 0.5)):
        stalk = curve(
            [
                (x - 5 * size, foot),
                (x - 3.6 * size, foot - 20 * size),
                (x - 4 * size, foot - 34 * size),
                (x + 4 * size, foot - 34 * size),
                (x + 3.6 * size, foot - 20 * size),
                (x + 5.4 * size, foot),
            ]
        )
        page.outline(stalk)
        page.hatch(
            np.concatenate([stalk[-58:], [(x, foot), (x + size, foot - 34 * size)]]), 86, 1.2
        )
        y = foot - 34 * size
        gills = oval(x, y, 22 * size, 5.5 * size)
        page.outline(gills)
        for a in np.linspace(0.04, 0.46, 22) * 2 * np.pi:
            d = np.array([np.cos(a) * 22, np.sin(a) * 5.5]) * size
            page.stroke([(x, y) + 0.28 * d, (x, y) + 0.96 * d], HAIR)
        cap = np.concatenate(
            [
                oval(x, y, 22 * size, 24 * size, part=(0.5, 1)),
                oval(x, y, 22 * size, 2.2 * size, part=(0, 0.5)),
            ]
        )
        page.outline(cap)
        shade = np.concatenate(
            [
                oval(x, y, 21 * size, 23 * size, part=(0.74, 1)),
                oval(x, y, 14 * size, 20 * size, part=(1, 0.78)),
            ]
        )
        page.hatch(shade, 60, 1.3)
        for dx, dy, r in (
            (-10, -8, 3),
            (-2, -16, 2.6),
            (4, -7, 3.4),
            (11, -11, 2.4),
            (-16, -4, 1.8),
            (-9, -17, 1.6),
        ):
            page.outline(oval(x + dx * size, y + dy * size, r * size, r * 0.85 * size), LINE)
    leaf(page, (14, 97), (4, 76), 0.5)
    leaf(page, (60, 98), (55, 80), 0.5, shade=-1)
    grass(page, 95, 2, 98, 60, 9)
    grass(page, 99, 2, 98, 50, 7)
    return page


def eraser() -> Image.Image:
    """Where the eraser went over the bird: the back of it, its breast and a leaf."""
    mask = Image.new("L", (SIDE * FINE,) * 2)
    pen = ImageDraw.Draw(mask)
    for line, width in (
        (curve([(60, 40), (66, 48), (60, 54), (70, 60)]), 5),
        (curve([(26, 52), (31, 60), (36, 66)]), 5),
        (curve([(82, 78), (88, 72), (93, 70)]), 5),
    ):
        for x, y in line * UNIT:
            r = width * UNIT / 2
            pen.ellipse((x - r, y - r, x + r, y + r), fill=255)
    small = mask.resize((SIDE, SIDE), Image.Resampling.BOX).point(lambda v: 255 * (v > 127))
    return small.convert("RGB")


LEARNT_FROM: dict[str, Callable[[], Page]] = {
    "cat": cat, "owl": owl, "house": house, "fish": fish, "sunflower": sunflower, "tree": tree,
}  # fmt: skip
ERASED_IN: dict[str, Callable[[], Page]] = {"bird": bird, "mushrooms": mushrooms}


def main() -> None:
    INPUTS.mkdir(exist_ok=True)
    for name, drawn in (LEARNT_FROM | ERASED_IN).items():
        drawn().picture().save(INPUTS / f"lines_{name}.png", optimize=True)
    eraser().save(INPUTS / "lines_eraser.png", optimize=True)


if __name__ == "__main__":
    main()
