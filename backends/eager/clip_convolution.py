"""Convolution of clips in plain torch, for any device."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

SMALL = 20480  # channels x frames x rows up to which torch leaves one clip to its slow kernels


def why_not(values: Tensor, weight: Tensor, bias: Tensor, padding: tuple[int, ...]) -> str | None:
    return None


def clip_convolution(
    values: Tensor, weight: Tensor, bias: Tensor, padding: tuple[int, ...]
) -> Tensor:
    """Clips with zeros around them, convolved; with gradients.

    values: (B, C, T, H, W). weight: (O, C, kt, kh, kw). bias: (O,). padding: zeros at either end of
        the three axes.
    Returns (B, O, T', H', W'), an axis of n with n + 2 padding - k + 1.

    On the CPU torch computes a single float32 clip of moderate size with kernels that are up to
    five times as slow as those for two. So such a clip is cut in time, and its halves are a batch.
    """
    one = len(values) == 1 and math.prod(values.shape[:4]) <= SMALL
    plain = values.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
    if one and plain and values.device.type == "cpu":
        return _in_halves(values, weight, bias, padding)
    return F.conv3d(values, weight, bias, padding=padding)


def _in_halves(clip: Tensor, weight: Tensor, bias: Tensor, padding: tuple[int, ...]) -> Tensor:
    around, more = padding[0], weight.shape[2] - 1
    frames = clip.shape[2] + 2 * around - more
    half = -(-frames // 2)
    clip = F.pad(clip, (0, 0, 0, 0, around, around + 2 * half - frames))
    halves = torch.cat([clip[:, :, : half + more], clip[:, :, half:]])
    made = F.conv3d(halves, weight, bias, padding=(0, *padding[1:]))
    return torch.cat(made.split(1), 2)[:, :, :frames]
