"""The network of internal diffusion: a UNet of one width, small enough for a single picture."""

import math

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import interpolate, max_pool2d, max_pool3d, relu

from ..convolution import seeded_convolution
from .attention_block import AttentionBlock
from .settings import CODE, NetworkSettings

BASE = 10_000.0  # of the wavelengths of a code


class UNet(nn.Module):
    """f(x_t, y, M, t) of Cherel 2024, V.2.2: convolutions of 3 x 3, ReLU, max pooling, nearest
    upsampling, concatenated skips; no normalisation. For clips convolutions of 3 x 3 x 3, while
    pooling and upsampling keep the number of frames (VI.2.1).

    Inputs are concatenated before the first convolution. Weights are drawn from `generator`.
    """

    def __init__(self, settings: NetworkSettings, generator: Generator):
        super().__init__()
        self.settings, self.loops = settings, False
        width, axes = settings.width, settings.axes
        self.layout = torch.channels_last if axes == 2 else torch.channels_last_3d

        def pair(channels: int) -> nn.ModuleList:
            return nn.ModuleList([convolution(channels, width), convolution(width, width)])

        def convolution(channels: int, out: int) -> nn.Module:
            made = seeded_convolution(channels, out, generator, axes=axes)
            return made.to(memory_format=self.layout)  # pyright: ignore[reportCallIssue]

        self.first = convolution(settings.inputs, width)
        self.down = nn.ModuleList([pair(width) for _ in range(settings.levels)])
        self.middle = pair(width)
        self.up = nn.ModuleList([pair(2 * width) for _ in range(settings.levels)])
        self.last = convolution(width, settings.channels)
        self.attention = nn.ModuleDict(
            {str(level): AttentionBlock(width, generator) for level in settings.attention}
        )

    def forward(
        self,
        x: Tensor | None,
        known: Tensor | None,
        mask: Tensor | None,
        sigma: Tensor | None = None,
        level: Tensor | None = None,
    ) -> Tensor:
        """Output (B, C, [T,] H, W), H and W divisible by `settings.multiple`.

        x: (B, C, [T,] H, W), the noisy picture or clip. known: likewise, with 0 in the hole.
        mask: (B, 1, [T,] H, W), 1 = hole. sigma, level: (B,), standard deviation of the noise in
        x, and the number of its level. What the network does not see is not looked at.
        """
        given = self._noise(x, sigma, level) if self.settings.noisy else []
        if self.settings.conditional:
            assert known is not None and mask is not None
            given += [known, mask]
        joined = torch.cat(given, 1).contiguous(memory_format=self.layout)
        features = relu(self._convolved(self.first, joined))
        skips = []
        hole = mask if self.settings.conditional else None
        for depth, pair in enumerate(self.down):
            features = self._attended(depth, self._twice(pair, features), hole)
            skips.append(features)
            features = self._halved(features)
        features = self._attended(len(self.down), self._twice(self.middle, features), hole)
        for pair in self.up:
            features = self._doubled(features)
            features = self._twice(pair, torch.cat([features, skips.pop()], 1))
        return self._convolved(self.last, features)

    def go_round(self) -> None:
        """From now on the frame before the first is the last one: clips are loops."""
        self.loops = True
        for part in self.modules():
            if isinstance(part, nn.Conv3d):
                part.padding = (0, 1, 1)

    def _convolved(self, convolution: nn.Module, features: Tensor) -> Tensor:
        if self.loops:
            features = torch.cat([features[:, :, -1:], features, features[:, :, :1]], 2)
        return convolution(features)

    def _twice(self, pair, features: Tensor) -> Tensor:
        for convolution in pair:
            features = relu(self._convolved(convolution, features))
        return features

    def _halved(self, features: Tensor) -> Tensor:
        return max_pool2d(features, 2) if features.dim() == 4 else max_pool3d(features, (1, 2, 2))

    def _doubled(self, features: Tensor) -> Tensor:
        factors = 2.0 if features.dim() == 4 else (1.0, 2.0, 2.0)
        return interpolate(features, scale_factor=factors, mode="nearest")

    def _attended(self, depth: int, features: Tensor, hole: Tensor | None) -> Tensor:
        """Features of a level on the way down, after attention if there is a block."""
        block = str(depth)
        return self.attention[block](features, hole) if block in self.attention else features

    def _noise(self, x: Tensor | None, sigma: Tensor | None, level: Tensor | None) -> list[Tensor]:
        """The noisy picture, and planes that tell how noisy it is."""
        plane = self.settings.noise_input == "plane"
        told = sigma if plane else level
        assert x is not None and told is not None
        told = told[:, None] if plane else code(told)
        planes = told.to(x.dtype).view(*told.shape, *(1 for _ in x.shape[2:]))
        return [x, planes.expand(-1, -1, *x.shape[2:])]


def code(level: Tensor) -> Tensor:
    """Sines and cosines (B, 16) of the numbers of noise levels (B,)."""
    half = CODE // 2
    rates = torch.exp(torch.arange(half, device=level.device) * (-math.log(BASE) / (half - 1)))
    angle = level.float()[:, None] * rates
    return torch.cat([angle.sin(), angle.cos()], 1)
