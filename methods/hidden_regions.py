"""Where else in a picture or clip a hole of the same shape could be: known regions to hide."""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from ..backends import random
from .checks import by
from .morphology import bounding_box, grown

CHOICE = 24  # places that are drawn for each trial; the one farthest from the others is taken
FLIPS = ((), (3,), (2,), (2, 3))  # dims that are turned round: as it is, x, y, both


def hidden_regions(mask: Tensor, *, trials: int = 3, margin: int = 16, seed: int = 0) -> Tensor:
    """The hole moved to other places, as masks.

    mask: (T, 1, H, W) in [0, 1], T frames of a clip, 1 for a picture. Hole is where it is above
    0.5; nowhere do the moved ones come nearer than `margin` pixels to where it is above 0. trials:
    so many places, spread apart; fewer where there are not as many.
    Returns (trials, T, 1, H, W) bool. In a clip all frames move by the same way, so that the hole's
    own motion is kept.
    As long as there is room: the hole as it is, not nearer to the sides of the picture than it was
    or than the margin; then nearer to the sides; then mirrored. Where it fits nowhere as a whole,
    a picture's separate parts are moved one by one.
    Raises ValueError if the mask is empty, and if there is no other place for it.
    """
    if mask.dim() != 4 or mask.shape[1] != 1:
        raise ValueError(f"mask has shape {tuple(mask.shape)}, expected (T, 1, H, W)")
    if trials < 1 or margin < 0:
        raise ValueError(f"trials {trials} has to be positive, margin {margin} at least 0")
    hole = mask.cpu() > 0.5
    if not hole.any():
        raise ValueError("the mask is empty: there is no hole to hide something like it elsewhere")
    taken = grown(mask.cpu() > 0, margin)
    for shape, sides in _shapes(hole, margin):
        places = _places(shape, taken, sides)
        if len(places):
            chosen = _spread(places, trials, seed)
            return torch.stack([_put(shape, place, hole.shape) for place in chosen])
    moved = [_parts_moved(hole, taken, margin, seed, trial) for trial in range(trials)]
    return torch.stack(list({m.numpy().tobytes(): m for m in moved}.values()))


def _shapes(hole: Tensor, margin: int) -> Iterator[tuple[Tensor, tuple[int, int, int, int]]]:
    """The hole cut out, (T, 1, h, w), as it is and mirrored, and how near to the upper, lower, left
    and right side of the picture it may come."""
    (top, left), shape = _cut(hole)
    height, width = hole.shape[2:]
    bottom, right = height - top - shape.shape[2], width - left - shape.shape[3]
    own = (min(margin, top), min(margin, bottom), min(margin, left), min(margin, right))
    for flip in FLIPS:
        yield shape.flip(flip), own
        yield shape.flip(flip), (0, 0, 0, 0)


def _cut(hole: Tensor) -> tuple[tuple[int, int], Tensor]:
    """The box around the hole, over all frames: its upper left corner, and what is in it."""
    rows, columns = bounding_box(hole.any(0, keepdim=True), 0)
    return (rows.start, columns.start), hole[:, :, rows, columns]


def _places(shape: Tensor, taken: Tensor, sides: tuple[int, int, int, int]) -> Tensor:
    """The corners (N, 2) at which the shape touches nothing that is taken, in any frame.

    How much it would touch at every corner is a correlation, here by Fourier transform.
    """
    size = (int(taken.shape[2]), int(taken.shape[3]))
    spectra = [torch.fft.rfft2(part.double(), s=size) for part in (taken, shape)]
    touched = torch.fft.irfft2((spectra[0] * spectra[1].conj()).sum((0, 1)), s=size)
    top, bottom, left, right = sides
    last = [whole - part for whole, part in zip(size, shape.shape[2:], strict=True)]
    free = touched[top : last[0] - bottom + 1, left : last[1] - right + 1] < 0.5
    return free.nonzero() + torch.tensor([top, left])


def _spread(places: Tensor, count: int, seed: int) -> Tensor:
    """At most `count` of the places (N, 2), each the farthest from the earlier of a few at random
    (Mitchell's best candidate)."""
    chosen = [places[int(random.below(len(places), seed, 0))]]
    for trial in range(1, min(count, len(places))):
        some = places[random.below(len(places), seed, trial, torch.arange(CHOICE))]
        far = torch.cdist(some.double(), torch.stack(chosen).double()).amin(1)
        if far.max() > 0:
            chosen.append(some[int(far.argmax())])
    return torch.stack(chosen)


def _put(shape: Tensor, place: Tensor, size: torch.Size) -> Tensor:
    mask = torch.zeros(size, dtype=torch.bool)
    y, x = place.tolist()
    mask[:, :, y : y + shape.shape[2], x : x + shape.shape[3]] = shape
    return mask


def _parts_moved(hole: Tensor, taken: Tensor, margin: int, seed: int, trial: int) -> Tensor:
    """The separate parts of a picture's hole, largest first, each moved to a place of its own."""
    parts = _parts(hole) if len(hole) == 1 else [hole]
    moved = torch.zeros_like(hole)
    for number, part in enumerate(parts):
        for flip in FLIPS if len(parts) > 1 else ():
            shape = _cut(part)[1].flip(flip)
            places = _places(shape, taken, (0, 0, 0, 0))
            if len(places):
                place = places[int(random.below(len(places), seed, trial, number, 1))]
                put = _put(shape, place, hole.shape)
                moved, taken = moved | put, taken | grown(put, margin)
                break
        else:
            covered = 100 * float(hole.float().mean())
            raise ValueError(
                f"the mask covers {covered:.0f} % of {by(hole.shape[2:])} and leaves no other "
                f"place for a hole of its shape, {margin} pixels away from it; use a smaller "
                "margin, a smaller mask, or more of the picture around it"
            )
    return moved


def _parts(hole: Tensor) -> list[Tensor]:
    """The connected parts of (1, 1, H, W), diagonal neighbours included, largest first."""
    labels = torch.arange(1, hole.numel() + 1, dtype=torch.float64).view(hole.shape) * hole
    while True:  # the largest number of each part spreads, along whole runs at a time
        spread = labels
        for dim in (2, 3):
            for turn in (False, True):
                spread = _run_maximum(spread, hole, dim, turn)
        spread = F.max_pool2d(spread, 3, 1, 1) * hole
        if torch.equal(spread, labels):
            break
        labels = spread
    parts = [labels == label for label in labels[hole].unique()]
    return sorted(parts, key=lambda part: -int(part.sum()))


def _run_maximum(labels: Tensor, hole: Tensor, dim: int, turn: bool) -> Tensor:
    """The largest number so far in each unbroken run of the hole along one direction."""
    if turn:
        return _run_maximum(labels.flip(dim), hole.flip(dim), dim, False).flip(dim)
    run = (~hole).cumsum(dim) * float(labels.numel() + 1)  # grows at every break
    return ((labels + run).cummax(dim).values - run) * hole
