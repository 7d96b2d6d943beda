"""How a fill of a clip differs from what was there, for textures that never repeat themselves."""

import torch
import torch.nn.functional as F
from torch import Tensor

from ..features import colour_channels, luma

SPACE, TIME = 7, 3  # pixels and frames over which a place is looked at
DETAIL = 2.0  # weight of changes, across, down and in time, beside colours
PIXELS = 0.1  # weight of the plain squared difference beside that of what a place looks like


def unlikeness(result: Tensor, truth: Tensor) -> Tensor:
    """(1, 1, T, H, W) float32: how much less a place looks as it did.

    result, truth: (1, C, T, H, W), nominally [0, 1].
    Compared are mean and deviation of colours, and of their changes across, down and from frame to
    frame, over windows of 3 frames of 7 x 7 pixels, and with little weight the pixels themselves:
    so a fresh piece of the same texture is nearly as good as the true one, a blurred, frozen or
    shifted one is not, and what is exactly right is best.
    """
    colours = colour_channels(result.shape[1])
    made, true = (clip[:, :colours].float() for clip in (result, truth))
    error = PIXELS * (made - true).square().mean(1, keepdim=True)
    for one, other in zip(_features(made), _features(true), strict=True):
        means = [_around(each) for each in (one, other)]
        deviations = [
            (_around(each.square()) - mean.square()).clamp(min=0).sqrt()
            for each, mean in zip((one, other), means, strict=True)
        ]
        for a, b in (means, deviations):
            error = error + (a - b).square().mean(1, keepdim=True)
    return error


def _features(clip: Tensor) -> list[Tensor]:
    """Colours, and the sizes of the changes of brightness along every axis."""
    light = luma(clip[:, :, 0])[:, :, None] if clip.shape[2] == 1 else _luma(clip)
    changes = []
    for dim in (2, 3, 4):
        change = torch.zeros_like(light)
        if light.shape[dim] > 1:
            change.narrow(dim, 1, light.shape[dim] - 1).copy_(light.diff(dim=dim).abs())
        changes.append(DETAIL * change)
    return [clip, torch.cat(changes, 1)]


def _luma(clip: Tensor) -> Tensor:
    """(1, 1, T, H, W)."""
    frames = clip[0].movedim(1, 0)
    return luma(frames).movedim(0, 1)[None]


def _around(values: Tensor) -> Tensor:
    window = (min(TIME, values.shape[2] // 2 * 2 + 1), SPACE, SPACE)
    half = [n // 2 for n in window]
    return F.avg_pool3d(values, window, 1, half, count_include_pad=False)
