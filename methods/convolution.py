"""A convolution whose first weights come from a generator of our own."""

import torch
from torch import Generator, nn


def seeded_convolution(
    channels: int, out: int, generator: Generator, padding_mode: str = "zeros"
) -> nn.Conv2d:
    """3 x 3, keeps the size; torch's usual initialisation, uniform within 1 / sqrt(9 channels)."""
    made = nn.Conv2d(
        channels, out, 3, padding=1, padding_mode=padding_mode, device="meta"
    ).to_empty(device="cpu")
    bound = (9 * channels) ** -0.5
    with torch.no_grad():
        for values in made.parameters():
            values.uniform_(-bound, bound, generator=generator)
    return made
