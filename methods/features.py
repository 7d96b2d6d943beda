"""What patches are compared by: colour, and how strongly it changes across and down."""

from dataclasses import dataclass

import torch
from torch import Tensor

LUMA = (0.299, 0.587, 0.114)


def colour_channels(channels: int) -> int:
    """How many of the channels are colour; the rest (alpha, depth ...) is only carried along."""
    return 3 if channels >= 3 else 1


def features(
    image: Tensor, texture: float = 5.0, wrap: tuple[bool, ...] = (False, False)
) -> Tensor:
    """Colour and `texture` times the absolute derivatives of luma.

    image: (B, C, H, W) floating, C = 3 or 1; clips, (B, C, T, H, W), frame by frame. wrap: per
    axis, differences across the border of a torus.
    Returns (B, C + 2, H, W): colour, |d/dy|, |d/dx| by central differences, one-sided at borders.
    Taken once at full size and then reduced like colour, they keep telling fine texture from smooth
    ground where the picture itself has lost it (Liu & Caselles 2013, "Exemplar-based image
    inpainting using multiscale graph cuts").
    """
    light = luma(image)
    changes = [texture * difference(light, axis, wrap[axis - 2]).abs() for axis in (0, 1)]
    return torch.cat([image, *changes], dim=1)


def luma(image: Tensor) -> Tensor:
    """(B, 1, ...) out of (B, 3, ...), by the weights of Rec. 601; one channel is its own luma."""
    if image.shape[1] == 1:
        return image
    weights = torch.tensor(LUMA, dtype=image.dtype, device=image.device)
    return (weights.view(1, 3, *[1] * (image.dim() - 2)) * image).sum(dim=1, keepdim=True)


def difference(image: Tensor, axis: int, wraps: bool) -> Tensor:
    """Central differences of (B, C, ..., H, W) along y (0) or x (1), one-sided at borders."""
    dim = image.dim() - 2 + axis
    side = image.shape[dim]
    after, before = image.roll(-1, dim), image.roll(1, dim)
    change = 0.5 * (after - before)
    if not wraps and side > 1:
        change.narrow(dim, 0, 1).copy_((after - image).narrow(dim, 0, 1))
        change.narrow(dim, side - 1, 1).copy_((image - before).narrow(dim, side - 1, 1))
    return change if side > 1 else torch.zeros_like(image)


@dataclass(frozen=True)
class MatchingSpace:
    """The range and the features in which patches of one reference are compared.

    Colour within [0, 1] is taken as it is. Of any other range the 1st and the 99th percentile of
    the reference become 0 and 1, and what lies beyond grows as the logarithm: one lamp of an HDR
    picture then does not outweigh all the rest.
    """

    low: float
    high: float
    texture: float

    @classmethod
    def of(cls, colour: Tensor, texture: float) -> "MatchingSpace":
        """The space that suits the colour channels (B, C, H, W) of a reference."""
        if float(colour.min()) >= 0 and float(colour.max()) <= 1:
            return cls(0.0, 1.0, texture)
        ordered = colour.detach().float().flatten().sort().values
        last = ordered.numel() - 1
        low, high = (
            float(ordered[round(0.01 * last)]),
            float(ordered[round(0.99 * last)]),
        )
        return cls(low, high if high > low else low + 1.0, texture)

    def colour(self, image: Tensor) -> Tensor:
        """The colour channels (B, C, H, W) in this range, float32."""
        image = image.float()
        if (self.low, self.high) == (0.0, 1.0):
            return image
        image = (image - self.low) / (self.high - self.low)
        inside = image.clamp(0, 1)
        beyond = image - inside
        return inside + beyond.sign() * beyond.abs().log1p()

    def features(self, image: Tensor, wrap: tuple[bool, ...] = (False, False)) -> Tensor:
        """Colour in this range and its weighted derivatives, (B, C + 2, H, W) float32."""
        return features(self.colour(image), self.texture, wrap)
