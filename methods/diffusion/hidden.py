"""What of its windows a training hides: strokes, shapes that move, pieces of the user's hole."""

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from ..masks import brush_masks
from ..moving_masks import Motion, moving_masks
from .settings import TrainingSettings

POOL = 512  # brush masks that are drawn ahead
BRUSH_SIDE = 256  # the side of pictures that the brush's usual numbers are made for
LEAST_HIDDEN = 0.04  # share of a window that a piece of the hole's shape covers at least
PIECES = 512  # of the hole's shape that are cut ahead
CLIPS = 256  # masks of each kind that are drawn ahead for clips
VOXELS, FEWEST = 2**27, 16  # all of them hold so many at most, but there are a few


def training_masks(holes: Tensor, size: tuple[int, ...], settings: TrainingSettings) -> Tensor:
    """Masks (M, 1, *size) of the wanted kinds, 1 = hidden: float32, of clips bool.

    holes: (N, 1, [T,] H, W). size: of the windows, (h, w) or (t, h, w). For clips the brush draws
    closed shapes that stand still or move, and to pieces of the hole come shapes of its size and
    motion, as Infusion has them (Cherel 2024, VI.3.2).
    """
    kinds, clips = [], len(size) == 3
    if settings.masks != "hole" or not holes.any():
        kinds.append(_moving(size, settings.seed) if clips else _brushes(size, settings.seed))
    if settings.masks != "brush" and holes.any():
        kinds.append(_pieces(holes, size, settings.seed))
        if clips:
            kinds.append(_moving(size, settings.seed + 1, holes))
    return torch.cat(kinds)


def shares(masks: Tensor, size: tuple[int, ...]) -> Tensor:
    """(N, [t,] h, w) float64: the mean of masks (N, 1, [T,] H, W) over every window of `size`."""
    pool = F.avg_pool2d if len(size) == 2 else F.avg_pool3d
    means = masks.double()
    for axis, side in enumerate(size):  # an axis at a time: windows are large
        along = tuple(side if other == axis else 1 for other in range(len(size)))
        means = pool(means, along, stride=1)
    return means[:, 0]


def _brushes(size: tuple[int, ...], seed: int) -> Tensor:
    width = [max(1.0, pixels * max(size) / BRUSH_SIDE) for pixels in (12, 40)]
    return brush_masks((size[0], size[1]), count=POOL, seed=seed, width=(width[0], width[1]))


def _moving(size: tuple[int, ...], seed: int, holes: Tensor | None = None) -> Tensor:
    """Shapes of the published default size, or of that of the holes as far as windows hold it."""
    frames, height, width = size
    like = Motion.within((height, width))
    if holes is not None:
        found = Motion.of(holes[holes.flatten(1).any(1)][:1].cpu())
        sides = [min(found.height[0], height), min(found.width[0], width)]
        like = replace(found, height=(sides[0], sides[0]), width=(sides[1], sides[1]))
    count = _count(size)
    return moving_masks((height, width), frames, count=count, seed=seed, like=like) > 0


def _pieces(holes: Tensor, size: tuple[int, ...], seed: int) -> Tensor:
    """Windows of the holes, moved about and mirrored: what a window somewhere over them would hide.

    A window in the middle of a large hole hides everything; so do some of these.
    """
    generator = Generator().manual_seed(seed)
    height, width = size[-2:]
    around = F.pad(holes.cpu().float(), (width, width, height, height))
    share = shares(around, size)
    places = (share >= min(LEAST_HIDDEN, float(share.max()))).nonzero()
    count = PIECES if len(size) == 2 else _count(size)
    chosen = places[torch.randint(len(places), (count,), generator=generator)]
    cut = [
        around[(n, slice(None), *(slice(a, a + side) for a, side in zip(at, size, strict=True)))]
        for n, *at in chosen.tolist()
    ]
    pieces = torch.stack(cut if len(size) == 2 else [piece > 0 for piece in cut])
    ones = (1 for _ in pieces.shape[1:])
    flips = torch.rand(len(size), len(pieces), *ones, generator=generator) < 0.5
    for axis, flipped in enumerate(flips, start=2):
        pieces = torch.where(flipped, pieces.flip(axis), pieces)
    return pieces


def _count(size: tuple[int, ...]) -> int:
    """Masks for clips that are drawn ahead, fewer of large windows."""
    return min(CLIPS, max(FEWEST, VOXELS // int(torch.Size(size).numel())))
