"""Random masks to train with, to test with and to compare methods on: strokes, boxes, both.

Mask i of a batch depends on the seed and on i alone: what a larger batch, or a training run that
asks for one mask at a time (`first`), draws under a number is always the same.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from ..backends import random
from ..backends.threads import kernels_only
from . import drawing
from .checks import by

KINDS = ("thin", "medium", "wide", "box", "mixed")
PIXELS = 2**21  # of the masks that are drawn at once
PLACES = ("centre", "random", "at")

Span = tuple[float, float]
Whole = tuple[int, int]


def brush_masks(
    size: tuple[int, int],
    *,
    count: int = 1,
    seed: int = 0,
    first: int = 0,
    strokes: Whole = (1, 3),
    segments: Whole = (4, 12),
    angle: Span = (48.0, 96.0),
    length: Span = (0.0, 0.0),
    width: Span = (12.0, 40.0),
) -> Tensor:
    """Zigzag brush strokes, as of somebody who wipes something out.

    A stroke begins anywhere and goes on for some straight segments; the angle to the vertical is
    drawn anew for each and mirrored for every second, so that the brush goes to and fro. Ends are
    kept within the picture; the whole mask is flipped along either axis or not, by chance.
    size: (H, W). first: number of the first mask. All other arguments are (least, most), both
    included: strokes of a mask, segments of a stroke, angle in degrees, length of a segment and
    width of a stroke in pixels. A greatest length of 0 is a quarter of the diagonal.
    Returns (count, 1, H, W), float32 in {0, 1}, 1 = hole; never empty.
    Raises ValueError for ranges that are empty or below what makes sense.
    Yu et al. 2019, Free-Form Image Inpainting with Gated Convolution (arXiv:1806.03589), algorithm
    1; the numbers are those of the code published with it. Differs: lengths are uniform, as in the
    paper (there: normal), and there are no circles at the joints, since ours are round anyway.
    """
    length = (length[0], length[1] or max(length[0], math.hypot(*size) / 4))
    for name, span, least in (
        ("strokes", strokes, 1), ("segments", segments, 1), ("angle", angle, -math.inf),
        ("length", length, 0), ("width", width, 1),
    ):  # fmt: skip
        _check_span(name, span, least)
    most = (strokes[1], segments[1])

    def draw(index: Tensor) -> Tensor:
        dice = _Dice(seed, index, *most)
        turn = torch.deg2rad(dice.within(angle))
        turn = torch.where(torch.arange(most[1]) % 2 == 0, -turn, turn)
        start = torch.stack([dice.mask_whole((0, side - 1), most[0]) for side in size], 2).double()
        path = _walk(start, turn, dice.within(length), size)
        for axis in (0, 1):
            flipped = dice.mask_share(1) < 0.5
            path[..., axis] = torch.where(flipped[..., None], size[axis] - 1 - path[..., axis],
                                          path[..., axis])  # fmt: skip
        radius = dice.within(width)[:, :, :1].expand(-1, -1, most[1]) / 2
        there = dice.chosen(strokes, segments)
        return drawing.paint(len(index), size, _stroked(path, radius, there, size))

    return _batches(draw, size, first, count)


@dataclass(frozen=True)
class LargeMasks:
    """The numbers behind a kind of LaMa's masks; ranges are (least, most), both included.

    strokes: of a mask. segments: of a stroke. angles: of so many directions, 1 radian apart, each
    segment takes one. length, width: of a segment, in pixels. box_share: of the masks, those made
    of boxes instead. boxes: of a mask. box_size: their sides in pixels. margin: pixels between them
    and the sides of the picture.
    """

    strokes: Whole
    length: Whole
    width: Whole
    segments: Whole = (1, 5)
    angles: int = 4
    box_share: float = 0.0
    boxes: Whole = (1, 4)
    box_size: Whole = (30, 150)
    margin: int = 10

    def scaled(self, by: float) -> "LargeMasks":
        """The same with all that is in pixels `by` times as large."""
        spans = {
            name: tuple(max(1, round(by * n)) for n in getattr(self, name))
            for name in ("length", "width", "box_size")
        }
        return replace(self, **spans, margin=round(by * self.margin))

    def changed(self, **numbers: float | Whole) -> "LargeMasks":
        """The same with other numbers; of these, -1 stands for the number that was."""
        new = {}
        for name, given in numbers.items():
            mine = getattr(self, name)
            if isinstance(given, tuple):
                new[name] = tuple(old if n == -1 else n for n, old in zip(given, mine, strict=True))
            else:
                new[name] = mine if given == -1 else given
        return replace(self, **new)


PUBLISHED = {
    ("thin", 256): LargeMasks((4, 50), (10, 49), (5, 14)),
    ("thin", 512): LargeMasks((4, 70), (10, 109), (5, 24)),
    ("medium", 256): LargeMasks(
        (4, 5), (10, 109), (5, 54), boxes=(1, 5), box_size=(10, 50), margin=0
    ),
    ("medium", 512): LargeMasks((4, 10), (10, 209), (5, 104), boxes=(1, 5), margin=0),
    ("wide", 256): LargeMasks((1, 5), (10, 209), (5, 104), boxes=(1, 3)),
    ("wide", 512): LargeMasks((1, 5), (10, 459), (5, 254), box_size=(30, 300)),
    ("mixed", 256): LargeMasks((1, 5), (10, 209), (5, 104)),
}
BOX_SHARE = {"thin": 0.0, "medium": 3 / 13, "wide": 3 / 13, "mixed": 0.5}  # 3 / 13: odds 0.3 to 1


def published_large_masks(kind: str, size: tuple[int, int]) -> LargeMasks:
    """LaMa's numbers for a kind of mask: of the nearer published size, in proportion to (H, W).

    thin, medium, wide ("thick" in the code): the sets that it is evaluated on. mixed: what it is
    trained on, strokes or boxes with equal odds. box: the boxes of it alone.
    """
    if kind not in KINDS:
        raise ValueError(f"kind {kind!r} is not one of {', '.join(KINDS)}")
    side = min(size)
    known = 512 if (kind, 512) in PUBLISHED and side > 362 else 256
    numbers = PUBLISHED["mixed" if kind == "box" else kind, known]
    return replace(numbers, box_share=BOX_SHARE.get(kind, 1.0)).scaled(side / known)


def large_masks(
    size: tuple[int, int],
    kind: str = "wide",
    *,
    count: int = 1,
    seed: int = 0,
    first: int = 0,
    numbers: LargeMasks | None = None,
) -> Tensor:
    """Large masks, each of strokes or of boxes.

    size: (H, W). kind: thin, medium, wide, box, mixed: see `published_large_masks`, which gives the
    numbers where `numbers` does not. first: number of the first mask.
    Returns (count, 1, H, W), float32 in {0, 1}, 1 = hole; never empty.
    Raises ValueError for an unknown kind, for empty ranges, and for boxes that do not fit.
    Suvorov et al. 2022, Resolution-robust Large Mask Inpainting (arXiv:2109.07161), and its
    published settings. Differs: the greatest number of strokes is what the settings say, not one
    more, and sizes of boxes include the greatest.
    """
    numbers = numbers or published_large_masks(kind, size)
    _check_numbers(numbers)
    largest = _largest_box(numbers, size)
    most = (numbers.strokes[1], numbers.segments[1])

    def draw(index: Tensor) -> Tensor:
        dice = _Dice(seed, index, *most)
        turn = 0.01 + dice.whole((0, numbers.angles - 1)).double()
        turn = torch.where(torch.arange(most[0])[:, None] % 2 == 0, -turn, turn)
        start = torch.stack([dice.mask_whole((0, side - 1), most[0]) for side in size], 2).double()
        path = _walk(start, turn, dice.whole(numbers.length).double(), size)
        radius = dice.whole(numbers.width).double() / 2
        boxed = dice.mask_share(1) < numbers.box_share
        there = dice.chosen(numbers.strokes, numbers.segments) & ~boxed[..., None]
        marks = [_stroked(path, radius, there, size)]
        if numbers.box_share > 0:
            marks.append(_boxed(dice, boxed, numbers, largest, size))
        return drawing.paint(len(index), size, *marks)

    return _batches(draw, size, first, count)


def box_masks(
    size: tuple[int, int],
    box: tuple[int, int],
    *,
    place: str = "centre",
    at: tuple[int, int] = (0, 0),
    margin: int = 0,
    count: int = 1,
    seed: int = 0,
    first: int = 0,
) -> Tensor:
    """A box in each mask.

    size, box: (H, W). place: "centre"; "at", where `at` is (y, x) of the box's upper left pixel and
    what lies outside is cut off; or "random", at least `margin` pixels from the sides.
    first: number of the first mask.
    Returns (count, 1, H, W), float32 in {0, 1}, 1 = hole.
    Raises ValueError for a box that does not fit, or lies outside.
    """
    if place not in PLACES:
        raise ValueError(f"place {place!r} is not one of {', '.join(PLACES)}")
    if min(box) < 1:
        raise ValueError(f"a box of {by(box)} is empty; its sides have to be positive")
    edge = margin if place == "random" else 0
    room = [side - 2 * edge - long for side, long in zip(size, box, strict=True)]
    if place != "at" and min(room) < 0:
        told = f" with a margin of {edge}" if edge else ""
        raise ValueError(f"a box of {by(box)}{told} does not fit {by(size)}; make it smaller")
    if place == "at" and not all(
        -long < start < side for start, long, side in zip(at, box, size, strict=True)
    ):
        raise ValueError(f"a box of {by(box)} at {at} (y, x) lies outside {by(size)}")

    def draw(index: Tensor) -> Tensor:
        dice = _Dice(seed, index, 1, 1)
        corners = []
        for axis in (0, 1):
            start = torch.full(index.shape, at[axis] if place == "at" else room[axis] // 2)
            if place == "random":
                start = edge + dice.mask_whole((0, room[axis]), 1)[:, 0]
            corners.append(start)
        ends = [start + long for start, long in zip(corners, box, strict=True)]
        marks = drawing.boxes(torch.arange(len(index)), torch.stack((*corners, *ends), 1), size)
        return drawing.paint(len(index), size, marks)

    return _batches(draw, size, first, count)


class _Dice:
    """Random numbers of the masks `index` (N,): every throw is numbered, so none depends on others.

    A throw for all segments gives (N, strokes, segments), for all strokes (N, strokes).
    """

    def __init__(self, seed: int, index: Tensor, strokes: int, segments: int):
        self.seed, self.index, self.thrown = seed, index, 0
        self.strokes, self.segments = strokes, segments

    def share(self) -> Tensor:
        """Uniform in [0, 1) for every segment."""
        self.thrown += 1
        stroke, segment = torch.arange(self.strokes)[:, None], torch.arange(self.segments)
        return random.uniform(self.seed, self.index[:, None, None], self.thrown, stroke, segment)

    def mask_share(self, things: int) -> Tensor:
        """Uniform in [0, 1) for every thing of a mask, (N, things)."""
        self.thrown += 1
        return random.uniform(self.seed, self.index[:, None], self.thrown, torch.arange(things))

    def within(self, span: Span) -> Tensor:
        return span[0] + (span[1] - span[0]) * self.share()

    def whole(self, span: Whole) -> Tensor:
        return _whole(self.share(), span)

    def mask_whole(self, span: Whole, things: int) -> Tensor:
        return _whole(self.mask_share(things), span)

    def chosen(self, strokes: Whole, segments: Whole) -> Tensor:
        """Which strokes and segments are drawn at all, bool."""
        used = torch.arange(self.strokes) < self.mask_whole(strokes, 1)
        lengths = self.mask_whole(segments, self.strokes)
        return used[..., None] & (torch.arange(self.segments) < lengths[..., None])


def _whole(share: Tensor, span: Whole | Tensor) -> Tensor:
    """Uniform integers, both limits included, from uniform numbers in [0, 1)."""
    least, most = span[0], span[1]
    return (least + (share * (most - least + 1)).floor()).long()


def _batches(
    draw: Callable[[Tensor], Tensor], size: tuple[int, int], first: int, count: int
) -> Tensor:
    """The masks number first to first + count - 1, a few at a time."""
    if count < 1 or min(size) < 1:
        raise ValueError(f"{count} masks of {by(size)}: both have to be positive")
    masks = torch.empty(count, 1, *size)
    step = max(1, PIXELS // (size[0] * size[1]))
    with kernels_only():
        for start in range(0, count, step):
            stop = min(count, start + step)
            masks[start:stop] = draw(torch.arange(first + start, first + stop))
    return masks


def _walk(start: Tensor, turn: Tensor, length: Tensor, size: tuple[int, int]) -> Tensor:
    """The joints of strokes, (N, S, G + 1, 2): from start (N, S, 2) on, each kept in the picture.

    turn: (N, S, G) radians from the downward vertical. length: likewise, in pixels.
    """
    most = torch.tensor([side - 1.0 for side in size], dtype=torch.float64)
    steps = length[..., None] * torch.stack((turn.cos(), turn.sin()), -1)
    joints = [start]
    for segment in range(turn.shape[2]):
        joints.append(torch.minimum((joints[-1] + steps[:, :, segment]).clamp(min=0), most))
    return torch.stack(joints, 2)


def _stroked(path: Tensor, radius: Tensor, there: Tensor, size: tuple[int, int]) -> drawing.Marks:
    """The marks of the segments that are there. path: as of `_walk`. radius, there: (N, S, G)."""
    mask = torch.arange(len(path))[:, None, None].expand_as(there)[there]
    start, end = path[:, :, :-1][there], path[:, :, 1:][there]
    return drawing.strokes(mask, start, end, radius[there], size)


def _boxed(
    dice: _Dice, boxed: Tensor, numbers: LargeMasks, largest: int, size: tuple[int, int]
) -> drawing.Marks:
    """The marks of the boxes of those masks that are made of boxes. boxed: (N, 1)."""
    most = numbers.boxes[1]
    there = boxed & (torch.arange(most) < dice.mask_whole(numbers.boxes, 1))
    corners = []
    sides = [dice.mask_whole((numbers.box_size[0], largest), most) for _ in (0, 1)]
    for side, whole in zip(sides, size, strict=True):
        free = whole - 2 * numbers.margin - side
        corners.append(numbers.margin + (dice.mask_share(most) * (free + 1)).floor().long())
    ends = [start + side for start, side in zip(corners, sides, strict=True)]
    mask = torch.arange(len(boxed))[:, None].expand_as(there)[there]
    return drawing.boxes(mask, torch.stack((*corners, *ends), -1)[there], size)


def _largest_box(numbers: LargeMasks, size: tuple[int, int]) -> int:
    """The longest side of a box that fits."""
    largest = min(numbers.box_size[1], *(side - 2 * numbers.margin for side in size))
    if numbers.box_share > 0 and largest < numbers.box_size[0]:
        raise ValueError(
            f"boxes of at least {numbers.box_size[0]} pixels and a margin of {numbers.margin} do "
            f"not fit {by(size)}; make either smaller"
        )
    return largest


def _check_numbers(numbers: LargeMasks) -> None:
    for field in fields(numbers):
        value = getattr(numbers, field.name)
        if isinstance(value, tuple):
            _check_span(field.name, value, 1)
    if not 0 <= numbers.box_share <= 1:
        raise ValueError(f"box_share {numbers.box_share} is not between 0 and 1")
    if numbers.angles < 1 or numbers.margin < 0:
        raise ValueError(
            f"angles {numbers.angles} has to be positive, margin {numbers.margin} at least 0"
        )


def _check_span(name: str, span: Span, least: float) -> None:
    if span[0] < least:
        raise ValueError(f"{name} begins at {span[0]}, has to be at least {least}")
    if span[1] < span[0]:
        raise ValueError(f"{name}: {span[0]} to {span[1]} is no range; the second is smaller")
