"""What a training step sees: windows of the pictures, and what of them is hidden."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from ..masks import brush_masks
from .settings import TrainingSettings

POOL = 512  # brush masks that are drawn ahead
BRUSH_SIDE = 256  # the side of pictures that the brush's usual numbers are made for
LEAST_HIDDEN = 0.04  # share of a window that a piece of the hole's shape covers at least
ENOUGH = 64  # places for windows without hole below which windows may overlap the hole
LEAST_KNOWN = 0.25  # share of a window that has to be known
MOVES = 256  # pieces of the hole's shape that are cut ahead


@dataclass(frozen=True)
class Batch:
    """clean: (B, C, s, s). learnt: (B, 1, s, s), 1 where the picture is known, so that it can be
    learnt from. hidden: (B, 1, s, s), 1 where the window's mask hides it."""

    clean: Tensor
    learnt: Tensor
    hidden: Tensor


class Windows:
    """Draws batches of windows from pictures (N, C, H, W), less what their holes (N, 1, H, W) hide.

    Windows lie where nothing of the hole is, as long as there are enough such places; else they
    may hold some of it, which is then neither seen nor learnt from.
    likeness: (N, 1, H, W), how alike a window centred there is to what is wanted; windows are drawn
    in this proportion with the share `settings.focus`, else all alike.
    """

    def __init__(
        self,
        images: Tensor,
        holes: Tensor,
        settings: TrainingSettings,
        side: int,
        likeness: Tensor | None = None,
    ):
        self.settings, self.side = settings, side
        self.known = 1 - holes.to(images)
        self.images = images * self.known
        places, self.avoids_hole = _places(self.known, side)
        self.places = places
        self.odds = _odds(places, side, likeness, settings.focus).to(images.device)
        self.masks = _masks(holes, side, settings).to(images)
        self.pixels = torch.arange(side, device=images.device)

    def draw(self, generator: Generator) -> Batch:
        """The next batch; everything happens on the pictures' device."""
        count, device = self.settings.batch, self.images.device
        share = torch.rand(count, generator=generator, device=device, dtype=torch.float64)
        which = torch.searchsorted(self.odds, share).clamp(max=len(self.places) - 1)
        number, top, left = self.places[which].unbind(1)
        rows = (top[:, None] + self.pixels)[:, :, None]
        columns = (left[:, None] + self.pixels)[:, None]
        cut = (number[:, None, None], slice(None), rows, columns)
        mask = torch.randint(len(self.masks), (count,), generator=generator, device=device)
        clean, known = (values[cut].movedim(-1, 1) for values in (self.images, self.known))
        return Batch(clean, known, self.masks[mask])


def _places(known: Tensor, side: int) -> tuple[Tensor, bool]:
    """Number, top and left (P, 3) of the windows to draw from, and whether no hole is in them."""
    share = _shares(known, side)
    free = (share > 1 - 0.5 / side**2).nonzero()
    if len(free) >= min(ENOUGH, share.numel()):
        return free, True
    some = (share >= LEAST_KNOWN).nonzero()
    if not len(some):
        some = (share >= min(LEAST_KNOWN, float(share.max()))).nonzero()
    return some, False


def _shares(masks: Tensor, side: int) -> Tensor:
    """(N, h, w) float64: the mean of masks (N, 1, H, W) over every window."""
    rows = F.avg_pool2d(masks.double(), (side, 1), stride=1)  # an axis at a time: they are large
    return F.avg_pool2d(rows, (1, side), stride=1)[:, 0]


def _odds(places: Tensor, side: int, likeness: Tensor | None, focus: float) -> Tensor:
    """Cumulative probabilities (P,) of the places."""
    even = torch.full((len(places),), 1 / len(places), dtype=torch.float64)
    if likeness is not None and focus:
        number, top, left = places.cpu().unbind(1)
        wanted = likeness.cpu().double()[number, 0, top + side // 2, left + side // 2]
        even = (1 - focus) * even + focus * wanted / wanted.sum()
    return even.cumsum(0)


def _masks(holes: Tensor, side: int, settings: TrainingSettings) -> Tensor:
    """Masks (M, 1, side, side) of the wanted kinds, in equal numbers."""
    kinds = []
    if settings.masks != "hole" or not holes.any():
        kinds.append(_brushes(side, settings.seed))
    if settings.masks != "brush" and holes.any():
        kinds.append(_pieces(holes, side, settings.seed))
    return torch.cat(kinds)


def _brushes(side: int, seed: int) -> Tensor:
    width = [max(1.0, pixels * side / BRUSH_SIDE) for pixels in (12, 40)]
    return brush_masks((side, side), count=POOL, seed=seed, width=(width[0], width[1]))


def _pieces(holes: Tensor, side: int, seed: int) -> Tensor:
    """Windows of the holes, moved about and mirrored: what a window somewhere over them would hide.

    A window in the middle of a large hole hides everything; so do some of these.
    """
    generator = Generator().manual_seed(seed)
    around = F.pad(holes.cpu().float(), (side, side, side, side))
    share = _shares(around, side)
    places = (share >= min(LEAST_HIDDEN, float(share.max()))).nonzero()
    chosen = places[torch.randint(len(places), (2 * MOVES,), generator=generator)]
    cut = [around[n, :, y : y + side, x : x + side] for n, y, x in chosen.tolist()]
    pieces = torch.stack(cut)
    flips = torch.rand(2, len(pieces), 1, 1, 1, generator=generator) < 0.5
    for axis, flipped in zip((2, 3), flips, strict=True):
        pieces = torch.where(flipped, pieces.flip(axis), pieces)
    return pieces
