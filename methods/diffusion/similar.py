"""Which of several pictures is most like another one: where a training had best begin.

A picture is told by the quantiles of its patches' projections on cosines, at three scales. The mean
difference between sorted projections is the 1-Wasserstein distance along that direction, so that
two pictures are near where their patches, as sets, are near (Rabin et al. 2012, "Wasserstein
barycenter and its application to texture mixing").
"""

import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d, max_pool2d

from ..features import colour_channels, luma

SIDE = 4  # of the patches
SCALES = 3
LEVELS = 9  # quantiles of a projection
LUMA_WAVES, COLOUR_WAVES = SIDE * SIDE, 4  # of a patch's cosines, the longest first
FINEST = 1 / 255  # what two projections may differ by and still be alike
PATCHES = 1 << 16  # of so many positions at most, on a grid
LENGTH = SCALES * LEVELS * (LUMA_WAVES + 2 * COLOUR_WAVES)


@torch.no_grad()
def descriptor(images: Tensor, mask: Tensor | None = None) -> list[float]:
    """LENGTH numbers for the patches of (B, C, H, W) that do not touch the hole.

    images: 1 or 3 channels, more are left out; nominally [0, 1]. mask: (B or 1, 1, H, W), > 0.5 is
    hole. A scale at which nothing is left has the numbers of the one before it.
    Raises ValueError if no whole patch is known at full size.
    """
    channels = _opposed(images[:, : colour_channels(images.shape[1])].float())
    hole = torch.zeros_like(channels[:1, :1]) if mask is None else (mask > 0.5).float()
    hole, told = hole.to(channels.device).expand(len(channels), -1, -1, -1), []
    for scale in range(SCALES):
        projections = _projections(channels, hole)
        if projections is None and not scale:
            raise ValueError(
                f"no whole patch of {SIDE}x{SIDE} pixels is known; give a larger picture, or a "
                "smaller hole"
            )
        told.append(told[-1] if projections is None else _quantiles(projections))
        if min(channels.shape[2:]) < 2:
            continue
        channels, hole = avg_pool2d(channels, 2), max_pool2d(hole, 2)
    return [round(value, 5) for value in torch.cat(told).flatten().tolist()]


def _opposed(colour: Tensor) -> Tensor:
    """Luma, red against blue, green against both: (B, 3, H, W), the latter 0 for a grey picture."""
    light = luma(colour)
    if colour.shape[1] == 1:
        return torch.cat([light, torch.zeros_like(light), torch.zeros_like(light)], 1)
    red, green, blue = colour.unbind(1)
    return torch.stack([light[:, 0], red - blue, green - (red + blue) / 2], 1)


def _projections(channels: Tensor, hole: Tensor) -> Tensor | None:
    """(N, waves of luma and of both colours) of the known patches."""
    height, width = channels.shape[2:]
    if min(height, width) < SIDE:
        return None
    step = max(1, math.ceil(math.sqrt(len(channels) * height * width / PATCHES)))
    known = conv2d(hole, torch.ones_like(_cosines()[:1]).to(hole), stride=step) == 0
    waves = _cosines().to(channels)
    parts = [
        conv2d(channels[:, i : i + 1], waves[:count], stride=step).movedim(1, -1)
        for i, count in enumerate((LUMA_WAVES, COLOUR_WAVES, COLOUR_WAVES))
    ]
    rows = torch.cat(parts, -1)[known[:, 0]]
    return rows if len(rows) else None


def _cosines() -> Tensor:
    """(SIDE^2, 1, SIDE, SIDE): orthonormal cosines of a patch, the longest waves first."""
    place, wave = torch.arange(SIDE) + 0.5, torch.arange(SIDE)
    line = torch.cos(math.pi / SIDE * wave[:, None] * place) * (2 / SIDE) ** 0.5
    line[0] /= 2**0.5
    basis = line[:, None, :, None] * line[None, :, None, :]  # (wave y, wave x, y, x)
    order = sorted(range(SIDE * SIDE), key=lambda i: (i // SIDE + i % SIDE, i))
    return basis.reshape(-1, 1, SIDE, SIDE)[order]


def _quantiles(rows: Tensor) -> Tensor:
    """(columns, LEVELS): the middles of LEVELS equal parts of each sorted column."""
    places = ((torch.arange(LEVELS) + 0.5) / LEVELS * len(rows)).long().clamp(max=len(rows) - 1)
    return rows.sort(0).values[places.to(rows.device)].t().cpu()


def distance(one: Sequence[float], other: Sequence[float]) -> float:
    """From 0, patches of the same kinds, to 1: for each projection the 1-Wasserstein distance as a
    share of itself and of both spreads, and of all the mean.
    """
    a, b = (torch.tensor(each).reshape(-1, LEVELS) for each in (one, other))
    apart = (a - b).abs().mean(1)
    spread = sum((each - each.median(1, True).values).abs().mean(1) for each in (a, b))
    return float((apart / (apart + spread + FINEST)).mean())


def nearest(
    wanted: Sequence[float], candidates: Iterable[tuple[str, Sequence[float]]]
) -> tuple[str, float] | None:
    """The name and the distance of the candidate most like `wanted`; None where there are none.

    candidates: (name, descriptor); those of another length, of another version, are left out.
    """
    fitting = [(distance(wanted, told), name) for name, told in candidates if len(told) == LENGTH]
    if not fitting:
        return None
    apart, name = min(fitting)
    return name, apart
