"""A convolution whose first weights come from a generator of our own."""

from typing import Literal

import torch
from torch import Generator, nn


def seeded_convolution(
    channels: int,
    out: int,
    generator: Generator,
    padding_mode: Literal["zeros", "reflect"] = "zeros",
    size: int = 3,
) -> nn.Conv2d:
    """Keeps the pictures' size; `size` is odd.

    With torch's usual first weights, uniform within 1 / sqrt(size^2 channels).
    """
    made = nn.Conv2d(
        channels, out, size, padding=size // 2, padding_mode=padding_mode, device="meta"
    ).to_empty(device="cpu")
    bound = (size**2 * channels) ** -0.5
    with torch.no_grad():
        for values in made.parameters():
            values.uniform_(-bound, bound, generator=generator)
    return made
