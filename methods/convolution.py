"""Convolutions whose first weights come from a generator of our own."""

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

SMALL = 20480  # channels x frames x rows up to which torch leaves one clip to its slow kernels


class ClipConvolution(nn.Conv3d):
    """nn.Conv3d, padded with zeros, for one clip (1, C, T, H, W) as fast as for many.

    On the CPU torch computes a single float32 clip of moderate size with kernels that are up to
    five times as slow as those for two. So such a clip is cut in time, and its halves are a batch.
    """

    def forward(self, input: Tensor) -> Tensor:
        one = len(input) == 1 and math.prod(input.shape[:4]) <= SMALL
        plain = input.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
        return self._in_halves(input) if one and plain and input.is_cpu else super().forward(input)

    def _in_halves(self, clip: Tensor) -> Tensor:
        around, rows, columns = map(int, self.padding)
        more = self.kernel_size[0] - 1
        frames = clip.shape[2] + 2 * around - more
        half = -(-frames // 2)
        clip = F.pad(clip, (0, 0, 0, 0, around, around + 2 * half - frames))
        halves = torch.cat([clip[:, :, : half + more], clip[:, :, half:]])
        made = F.conv3d(halves, self.weight, self.bias, padding=(0, rows, columns))
        return torch.cat(made.split(1), 2)[:, :, :frames]


def seeded_convolution(
    channels: int,
    out: int,
    generator: Generator,
    padding_mode: Literal["zeros", "reflect"] = "zeros",
    size: int = 3,
    axes: int = 2,
) -> nn.Conv2d | nn.Conv3d:
    """Keeps the size of pictures, axes 2, or clips, axes 3; `size` is odd.

    With torch's usual first weights, uniform within 1 / sqrt(size^axes channels).
    """
    made = (ClipConvolution if axes == 3 else nn.Conv2d)(
        channels, out, size, padding=size // 2, padding_mode=padding_mode, device="meta"
    ).to_empty(device="cpu")
    bound = (size**axes * channels) ** -0.5
    with torch.no_grad():
        for values in made.parameters():
            values.uniform_(-bound, bound, generator=generator)
    return made
