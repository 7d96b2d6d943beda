"""What a network in training makes of the hole, and how its loss goes, in one picture."""

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from ..loss_curve import loss_curve
from .model import SCHEDULE, denoiser
from .sampling import sample

if TYPE_CHECKING:
    from .training import Trainer

STEPS = 8
SIDE = 160  # pixels of the picture that are shown
WIDTH = 640  # of the whole


def preview(trainer: "Trainer") -> Tensor:
    """(1, C, h, w) in [0, 1]: a quick fill of the hole's surroundings, and the loss curve below."""
    rows, columns = _box(trainer.holes[:1], trainer.net.settings.multiple)
    clean, hole = (each[:1, :, rows, columns] for each in (trainer.images, trainer.holes))
    if not hole.any():
        hole = F.pad(torch.ones_like(hole[..., 1::2, 1::2]), _frame(hole)).to(hole)
    noise = torch.randn(clean.shape, generator=Generator().manual_seed(0)).to(clean)
    first, last = trainer.levels
    levels = SCHEDULE.levels(STEPS, first, last)
    net, scale = trainer.averaged(), trainer.shell.scale
    denoise = denoiser(net, trainer.training.prediction, clean, hole)
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
    low, high = scale.low, scale.high
    shown = ((scale.unscaled(filled) - min(low, 0)) / max(high, 1, high - low)).clamp(0, 1)[:, :3]
    return _with_curve(shown, trainer.losses)


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
    height, width = (side // 2 for side in hole.shape[2:])
    top, left = (hole.shape[2] - height) // 2, (hole.shape[3] - width) // 2
    return left, hole.shape[3] - width - left, top, hole.shape[2] - height - top


def _box(hole: Tensor, multiple: int) -> tuple[slice, slice]:
    """Rows and columns around the middle of the hole, or of the picture; sides are multiples."""
    slices = []
    for axis in (0, 1):
        side = hole.shape[2 + axis]
        there = hole[0, 0].any(1 - axis).nonzero()
        middle = int(there.float().mean()) if len(there) else side // 2
        length = min(SIDE, side) // multiple * multiple
        start = min(max(0, middle - length // 2), side - length)
        slices.append(slice(start, start + length))
    return slices[0], slices[1]
