"""What a training step sees: windows of the pictures or of the clip, and what of them is hidden."""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from .hidden import shares, training_masks
from .settings import TrainingSettings

ENOUGH = 64  # places for windows without hole below which windows may overlap the hole
LEAST_KNOWN = 0.25  # share of a window that has to be known


@dataclass(frozen=True)
class Batch:
    """clean: (B, C, *size). learnt: (B, 1, *size), 1 where the picture is known, so that it can be
    learnt from. hidden: (B, 1, *size), 1 where the window's mask hides it."""

    clean: Tensor
    learnt: Tensor
    hidden: Tensor


class Windows:
    """Draws batches of windows from pictures (N, C, H, W), less what their holes (N, 1, H, W) hide,
    or from clips (N, C, T, H, W) likewise.

    Windows lie where nothing of the hole is, as long as there are enough such places; else they
    may hold some of it, which is then neither seen nor learnt from.
    size: of the windows, (h, w) or (t, h, w).
    likeness: of the holes' shape, how alike a window centred there is to what is wanted; windows
    are drawn in this proportion with the share `settings.focus`, else all alike. wanted: what of
    the holes is to be filled, which masks take after; None = all.
    """

    def __init__(
        self,
        images: Tensor,
        holes: Tensor,
        settings: TrainingSettings,
        size: tuple[int, ...],
        likeness: Tensor | None = None,
        wanted: Tensor | None = None,
    ):
        self.settings, self.size = settings, size
        self.known = 1 - holes.to(images)
        self.images = images * self.known
        places, self.avoids_hole = _places(self.known, size)
        self.places = places
        self.odds = _odds(places, size, likeness, settings.focus).to(images.device)
        masks = training_masks(holes if wanted is None else wanted, size, settings)
        self.masks = masks.to(images.device)

    def draw(self, generator: Generator) -> Batch:
        """The next batch; everything happens on the pictures' device."""
        count, device = self.settings.batch, self.images.device
        share = torch.rand(count, generator=generator, device=device, dtype=torch.float64)
        which = torch.searchsorted(self.odds, share).clamp(max=len(self.places) - 1)
        number, *corner = self.places[which].unbind(1)
        cut = [number, slice(None)]
        for start, side in zip(corner, self.size, strict=True):
            cut.append(start[:, None] + torch.arange(side, device=device))
        axes = len(self.size)
        for axis in range(axes):  # each index along an axis of its own
            along = [1] * axis + [-1] + [1] * (axes - 1 - axis)
            cut[2 + axis] = cut[2 + axis].view(count, *along)
        cut[0] = number.view(count, *[1] * axes)
        mask = torch.randint(len(self.masks), (count,), generator=generator, device=device)
        clean, known = (values[tuple(cut)].movedim(-1, 1) for values in (self.images, self.known))
        return Batch(clean, known, self.masks[mask].to(clean))


def _places(known: Tensor, size: tuple[int, ...]) -> tuple[Tensor, bool]:
    """Number and corner (P, 1 + axes) of the windows to draw from; whether no hole is in them."""
    share = shares(known, size)
    free = (share > 1 - 0.5 / torch.Size(size).numel()).nonzero()
    if len(free) >= min(ENOUGH, share.numel()):
        return free, True
    some = (share >= LEAST_KNOWN).nonzero()
    if not len(some):
        some = (share >= min(LEAST_KNOWN, float(share.max()))).nonzero()
    return some, False


def _odds(places: Tensor, size: tuple[int, ...], likeness: Tensor | None, focus: float) -> Tensor:
    """Cumulative probabilities (P,) of the places."""
    even = torch.full((len(places),), 1 / len(places), dtype=torch.float64)
    if likeness is not None and focus:
        number, *corner = places.cpu().unbind(1)
        middle = (start + side // 2 for start, side in zip(corner, size, strict=True))
        wanted = likeness.cpu().double()[(number, 0, *middle)]
        even = (1 - focus) * even + focus * wanted / wanted.sum()
    return even.cumsum(0)
