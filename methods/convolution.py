"""Convolutions whose first weights come from a generator of our own."""

from typing import Literal

import torch
from torch import Generator, Tensor, nn

from ..backends import run


class ClipConvolution(nn.Conv3d):
    """nn.Conv3d, padded with zeros, on the backend that is fastest."""

    def forward(self, input: Tensor) -> Tensor:
        return run("clip_convolution", input, self.weight, self.bias, self.padding)


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
