"""Random shapes that stand still or move: holes in clips, to train and to test with."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..backends import random
from ..backends.threads import kernels_only
from . import drawing
from .checks import by

MOTIONS = ("static", "moving", "both")
CURVE = 24  # straight pieces that stand for one Bezier curve


@dataclass(frozen=True)
class Motion:
    """How large a hole is and how it moves.

    height, width: (least, most) of the box around it, pixels. speed: likewise, pixels per frame, at
    the beginning. acceleration: standard deviation of its change from frame to frame. turn:
    likewise, of the direction, radians. bounce: greatest speed after it has met a side.
    """

    height: tuple[float, float]
    width: tuple[float, float]
    speed: tuple[float, float] = (0.0, 2.0)
    acceleration: float = 1.0
    turn: float = 0.25
    bounce: float = 3.0

    @classmethod
    def within(cls, size: tuple[int, int]) -> "Motion":
        """The published default: from half the picture to all of it along each axis."""
        return cls((size[0] / 2, size[0]), (size[1] / 2, size[1]))

    @classmethod
    def of(cls, mask: Tensor) -> "Motion":
        """Size and motion of a given mask, (1, 1, T, H, W), 1 = hole; frames without hole are left
        out.

        The box and the speed of the centre are means over the frames; turn is taken where it moves
        by more than half a pixel, acceleration everywhere. One frame stands still.
        Raises ValueError if the mask is empty.
        """
        if mask.dim() != 5 or mask.shape[:2] != (1, 1):
            raise ValueError(f"mask has shape {tuple(mask.shape)}, expected (1, 1, T, H, W)")
        hole = mask[0, 0] > 0.5
        frames = hole.flatten(1).any(1).nonzero()[:, 0]
        if not len(frames):
            raise ValueError("the mask is empty: it has no size to take over")
        sides, centres = [], []
        for axis in (1, 2):
            counts = hole[frames].sum(3 - axis).double()  # of the hole's pixels, along this axis
            place = torch.arange(counts.shape[1], dtype=torch.float64)
            centres.append((counts * place).sum(1) / counts.sum(1))
            there = counts > 0
            long = counts.shape[1] - there.flip(1).int().argmax(1) - there.int().argmax(1)
            sides.append(float(long.double().mean()))
        passed = frames.diff().double()
        steps = torch.stack(centres, 1).diff(dim=0) / passed[:, None]
        speeds = steps.norm(dim=1)
        speed = float(speeds.mean()) if len(speeds) else 0.0
        turns = torch.atan2(steps[:, 1], steps[:, 0])[speeds > 0.5].diff()
        turns = torch.remainder(turns + math.pi, 2 * math.pi) - math.pi
        return cls(
            (sides[0], sides[0]),
            (sides[1], sides[1]),
            (speed, speed),
            _deviation(speeds.diff()),
            _deviation(turns),
            2 * speed,
        )


def moving_masks(
    size: tuple[int, int],
    frames: int,
    *,
    count: int = 1,
    seed: int = 0,
    first: int = 0,
    motion: str = "both",
    like: Motion | None = None,
    edges: tuple[int, int] = (6, 8),
    jitter: tuple[float, float] = (0.6, 0.8),
) -> Tensor:
    """Clips of one closed smooth shape each, which stands still or moves and bounces off the sides.

    size: (H, W). motion: static, moving, or both: half of the clips stand still, by chance. like:
    size and motion, default `Motion.within(size)`; `Motion.of(mask)` takes those of a given mask.
    edges: (least, most) cubic Bezier curves along the outline. jitter: (least, most), how much the
    radius of their 3 edges + 1 control points varies, as a share of its mean; 0 gives a disc.
    first: number of the first clip; clip i depends on seed and i alone, and its first frames do not
    depend on how many follow.
    Returns (count, 1, T, H, W), float32 in {0, 1}, 1 = hole.
    Raises ValueError for ranges that are empty and shapes larger than the picture.
    Chang et al. 2019, Free-form Video Inpainting (arXiv:1904.10247), as Infusion (Cherel et al.
    2023, arXiv:2311.01090) trains with it. Differs: positions are not rounded to whole pixels;
    after a bounce the shape moves away from the side.
    """
    like = like or Motion.within(size)
    _check(size, frames, count, motion, like, edges, jitter)
    index = torch.arange(first, first + count)
    masks = torch.empty(count, 1, frames, *size)
    with kernels_only():
        shapes, extent = _shapes(index, seed, like, edges, jitter)
        moves = torch.full(index.shape, motion == "moving")
        if motion == "both":
            moves = random.uniform(seed, index, _MOVES) < 0.5
        corners = _paths(index, seed, size, extent, frames, moves, like)
        for clip, shape, path in zip(masks, shapes, corners, strict=True):
            marks = drawing.outlines(torch.arange(frames), shape + path[:, None], size)
            clip[0] = drawing.paint(frames, size, marks)[:, 0]
    return masks


# What the numbers of a clip are drawn for; a throw is (seed, clip, one of these, ...).
_EDGES, _JITTER, _RADIUS, _HEIGHT, _WIDTH, _MOVES, _PLACE, _SPEED, _HEADING = range(9)
_ACCELERATION, _TURN, _BOUNCE, _AWAY = range(9, 13)


def _shapes(
    index: Tensor,
    seed: int,
    like: Motion,
    edges: tuple[int, int],
    jitter: tuple[float, float],
) -> tuple[Tensor, Tensor]:
    """Outlines (N, P, 2), from (0, 0) on, and their extents (N, 2); both (y, x)."""
    curves = edges[0] + (random.uniform(seed, index, _EDGES) * (edges[1] - edges[0] + 1)).long()
    most, points = edges[1], 3 * curves[:, None]
    number = torch.arange(3 * most + 1)
    number = torch.where(number < points, number, 0)  # what is too much falls on the first point
    angle = number * (2 * math.pi / points)
    ratio = _between(jitter, seed, index[:, None], _JITTER)
    radius = 1 + ratio * (2 * random.uniform(seed, index[:, None], _RADIUS, number) - 1)
    control = torch.stack((angle.sin(), angle.cos()), -1) * radius[..., None]
    start = 3 * torch.arange(most)
    along = (torch.arange(CURVE, dtype=torch.float64) / CURVE)[:, None]
    weights = [(1 - along) ** 3, 3 * along * (1 - along) ** 2, 3 * along**2 * (1 - along), along**3]
    outline = sum(w * control[:, start + i, None] for i, w in enumerate(weights))
    outline = torch.as_tensor(outline).flatten(1, 2)
    low, high = outline.amin(1, keepdim=True), outline.amax(1, keepdim=True)
    extent = torch.stack(
        (_between(like.height, seed, index, _HEIGHT), _between(like.width, seed, index, _WIDTH)), 1
    )
    return (outline - low) / (high - low) * extent[:, None], extent


def _paths(
    index: Tensor,
    seed: int,
    size: tuple[int, int],
    extent: Tensor,
    frames: int,
    moves: Tensor,
    like: Motion,
) -> Tensor:
    """The upper left corner of each shape in every frame, (N, T, 2), (y, x)."""
    room = torch.tensor(size, dtype=torch.float64) - extent
    corner = random.uniform(seed, index[:, None], _PLACE, torch.arange(2)) * room
    speed = _between(like.speed, seed, index, _SPEED)
    heading = 2 * math.pi * random.uniform(seed, index, _HEADING)
    corners = [corner]
    for frame in range(1, frames):
        velocity = speed[:, None] * torch.stack((heading.sin(), heading.cos()), 1)
        reached = corner + velocity * moves[:, None]
        corner = torch.minimum(reached.clamp(min=0), room)
        corners.append(corner)
        speed = speed + like.acceleration * _normal(seed, index, _ACCELERATION, frame)
        heading = heading + like.turn * _normal(seed, index, _TURN, frame)
        met = (reached != corner).any(1)
        speed = torch.where(met, like.bounce * random.uniform(seed, index, _BOUNCE, frame), speed)
        away = 2 * math.pi * random.uniform(seed, index, _AWAY, frame)
        back = [
            torch.where(beyond == 0, part, -beyond.sign() * part.abs())
            for beyond, part in zip(
                (reached - corner).unbind(1), (away.sin(), away.cos()), strict=True
            )
        ]
        heading = torch.where(met, torch.atan2(*back), heading)
    return torch.stack(corners, 1)


def _between(span: tuple[float, float], seed: int, *counters: Tensor | int) -> Tensor:
    return span[0] + (span[1] - span[0]) * random.uniform(seed, *counters)


def _normal(seed: int, *counters: Tensor | int) -> Tensor:
    """Standard normal numbers, float64 (Box and Muller)."""
    first, second = (random.uniform(seed, *counters, part) for part in (0, 1))
    return torch.sqrt(-2 * torch.log1p(-first)) * torch.cos(2 * math.pi * second)


def _deviation(values: Tensor) -> float:
    """The root mean square; 0 of nothing."""
    return float(values.square().mean().sqrt()) if len(values) else 0.0


def _check(
    size: tuple[int, int],
    frames: int,
    count: int,
    motion: str,
    like: Motion,
    edges: tuple[int, int],
    jitter: tuple[float, float],
) -> None:
    if motion not in MOTIONS:
        raise ValueError(f"motion {motion!r} is not one of {', '.join(MOTIONS)}")
    if min(count, frames, *size) < 1:
        raise ValueError(f"{count} clips of {frames} frames of {by(size)}: all have to be positive")
    for name, span, least, most in (
        ("height", like.height, 1, size[0]),
        ("width", like.width, 1, size[1]),
        ("speed", like.speed, 0, math.inf),
        ("edges", edges, 3, math.inf),
        ("jitter", jitter, 0, 1),
    ):
        if not least <= span[0] <= span[1] <= most:
            raise ValueError(
                f"{name} {span[0]:g} to {span[1]:g} has to be a range within {least} to {most:g}"
            )
    if min(like.acceleration, like.turn, like.bounce) < 0:
        raise ValueError(
            f"acceleration {like.acceleration:g}, turn {like.turn:g} and bounce {like.bounce:g} "
            "have to be at least 0"
        )
