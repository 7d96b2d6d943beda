"""What a network in training makes of the hole, and how its loss goes, in one picture."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from ..loss_curve import loss_curve
from .model import SCHEDULE, denoiser
from .sampling import sample
from .scale import Scale

if TYPE_CHECKING:
    from .trainer import Trainer

STEPS = {2: 8, 3: 4}  # of a picture and of a clip, whose steps take longer
SIDE = {2: 160, 3: 64}  # pixels that are sampled
FRAMES = 12  # likewise, of a clip
STRIP = 4  # frames of a clip that are shown
WIDTH = 640  # of the whole


def preview(trainer: "Trainer") -> Tensor:
    """(1, C, h, w) in [0, 1]: a quick fill of the hole's surroundings, and the loss curve below.

    Of a clip some frames side by side.
    """
    axes = trainer.net.settings.axes
    box = _box(trainer.wanted[:1], trainer.net.settings.multiples)
    clean, hole = (each[(slice(1), slice(None), *box)] for each in (trainer.images, trainer.holes))
    if not hole.any():
        hole = F.pad(torch.ones_like(hole[..., 1::2, 1::2]), _frame(hole)).to(hole)
    noise = torch.randn(clean.shape, generator=Generator().manual_seed(0)).to(clean)
    first, last = trainer.levels
    levels = SCHEDULE.levels(STEPS[axes], first, last)
    net, scale = trainer.averaged(), trainer.shell.scale
    denoise = denoiser(net, trainer.training, clean, hole)
    x = SCHEDULE.noised(clean * (1 - hole), first, noise)
    with torch.no_grad():
        filled = sample(
            denoise,
            x,
            SCHEDULE,
            levels=levels if net.settings.noisy else levels[-1:],
            sampler="ddim",
            noise=lambda _: noise,
            known=(clean, hole),
            clip=scale.limits,
        )
    return shown(scale.unscaled(filled), scale, trainer.losses)


def shown(values: Tensor, scale: Scale, losses: list[float] | None = None) -> Tensor:
    """(1, C, h, w) in [0, 1] of a picture, or of frames of a clip, and the loss curve below it."""
    if values.dim() == 5:
        chosen = torch.linspace(0, values.shape[2] - 1, STRIP).round().long()
        values = torch.cat(values[:, :, chosen.to(values.device)].unbind(2), 3)
    low, high = scale.low, scale.high
    values = ((values - min(low, 0)) / max(high, 1, high - low)).clamp(0, 1)[:, :3]
    return values if losses is None else _with_curve(values, losses)


def _with_curve(shown: Tensor, losses: list[float]) -> Tensor:
    try:
        curve = loss_curve(losses)
    except ImportError:  # Pillow draws it
        return shown
    shown = shown.cpu().expand(-1, 3, -1, -1)
    height = round(shown.shape[2] * WIDTH / shown.shape[3])
    return torch.cat([F.interpolate(shown, (height, WIDTH), mode="nearest-exact"), curve], 2)


def _frame(hole: Tensor) -> tuple[int, int, int, int]:
    """What to add around a box of half the sides."""
    height, width = (side // 2 for side in hole.shape[-2:])
    top, left = (hole.shape[-2] - height) // 2, (hole.shape[-1] - width) // 2
    return left, hole.shape[-1] - width - left, top, hole.shape[-2] - height - top


def _box(hole: Tensor, multiples: Sequence[int]) -> tuple[slice, ...]:
    """Places around the middle of the hole, or of the whole; sides are multiples."""
    slices, axes = [], len(multiples)
    for axis, multiple in enumerate(multiples):
        side = hole.shape[2 + axis]
        there = hole[0, 0].movedim(axis, 0).flatten(1).any(1).nonzero()
        middle = int(there.float().mean()) if len(there) else side // 2
        most = FRAMES if axis == axes - 3 else SIDE[axes]
        length = min(most, side) // multiple * multiple
        start = min(max(0, middle - length // 2), side - length)
        slices.append(slice(start, start + length))
    return tuple(slices)
