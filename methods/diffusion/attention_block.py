"""Attention of a hole to the known part of a picture, as a block of the network: it may copy from
far away what convolutions would have to remember in their weights (Cherel 2024, V.5)."""

from collections.abc import Collection

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import interpolate, max_pool2d

from ..attention import patch_attention
from ..convolution import seeded_convolution
from ..field import Field, offsets_picture

MATCHED = 8  # channels that are compared


class AttentionBlock(nn.Module):
    """features + what patch-based stochastic attention (PSAL) finds for those in the hole.

    Features of the hole are compared, over patches, with those of the known part; both pass through
    one projection to few channels, so that what looks alike matches from the first step on. What is
    found passes through a projection that begins as zero: the network starts as the one without the
    block, and training departs from there where it helps.

    width: channels of the features. Weights are drawn from `generator`.
    patch_size, neighbours, iterations: of the search; see patch_attention. All searches draw from
        one seed, so that calls repeat bit for bit.
    After a call `field` holds what was found, at the features' size (None where nothing was).
    """

    def __init__(
        self,
        width: int,
        generator: Generator,
        *,
        patch_size: int = 3,
        neighbours: int = 3,
        iterations: int = 3,
        backend: str = "auto",
    ):
        super().__init__()
        self.patch_size, self.neighbours, self.iterations = patch_size, neighbours, iterations
        self.backend = backend
        self.matched = seeded_convolution(width, MATCHED, generator, size=1)
        self.output = seeded_convolution(width, width, generator, size=1)
        with torch.no_grad():
            for values in self.output.parameters():
                values.zero_()
        self.field: Field | None = None

    def forward(self, features: Tensor, mask: Tensor | None) -> Tensor:
        """Features (B, width, H, W) with those in the hole changed.

        mask: (B or 1, 1, H2, W2), > 0.5 = hole, at the size of the features or times a whole
        number; features are of the hole as soon as one of their pixels is. None: there is no hole,
        all attend to all. Pictures of the batch with no hole, or with no patch wholly known, come
        back as they are.
        """
        self.field = None
        hole = None if mask is None else _reduced(mask, features)
        which = self._answerable(hole, features)
        if not len(which):
            return features
        asked = features[which]
        mine = None if hole is None else hole[which]
        found = self._attention(asked, mine)
        if mine is not None:
            found = found * mine.to(found)
        return features.index_add(0, which, found.to(features))

    def _attention(self, features: Tensor, hole: Tensor | None) -> Tensor:
        matched = self.matched(features)
        found, self.field = patch_attention(
            matched,
            matched,
            features,
            patch_size=self.patch_size,
            neighbours=self.neighbours,
            iterations=self.iterations,
            mask=None if hole is None else hole.float(),
            backend=self.backend,
        )
        return self.output(found)

    def _answerable(self, hole: Tensor | None, features: Tensor) -> Tensor:
        """Numbers (n,) of the pictures that have something to ask, and something to be told."""
        everyone = torch.arange(len(features), device=features.device)
        if min(features.shape[2:]) < self.patch_size:
            return everyone[:0]
        if hole is None:
            return everyone
        size = self.patch_size
        known = max_pool2d(hole.float(), size, stride=1).flatten(1).amin(1) < 0.5
        return everyone[known & hole.flatten(1).any(1)]


def _reduced(mask: Tensor, features: Tensor) -> Tensor:
    """(B, 1, H, W) bool at the size of the features: True where any pixel is of the hole."""
    factor = mask.shape[2] // features.shape[2]
    if [factor * n for n in features.shape[2:]] != list(mask.shape[2:]) or factor < 1:
        raise ValueError(
            f"a mask of {tuple(mask.shape)} does not fit features of {tuple(features.shape)}; its "
            "sides have to be theirs times a whole number"
        )
    return (max_pool2d(mask.float(), factor) > 0.5).expand(len(features), -1, -1, -1)


def attention_blocks(network: nn.Module) -> list[AttentionBlock]:
    """Those of a network, in the order in which it was built."""
    return [part for part in network.modules() if isinstance(part, AttentionBlock)]


class FieldStrip:
    """Hears of the steps of a sampling, and shows where attention looked at some of its levels.

        strip = FieldStrip(network, schedule.levels(5))
        sample(denoise, x, schedule, levels=..., noise=..., callback=strip)
        strip.picture()                       # a row for every block, a column for every level

    levels: which are shown, of those that the sampling goes through.
    """

    def __init__(self, network: nn.Module, levels: Collection[int]):
        self.blocks, self.levels = attention_blocks(network), set(levels)
        self.columns: list[Tensor] = []
        if not self.blocks:
            raise ValueError("the network has no attention block whose field could be shown")

    def __call__(self, t: int, x0: Tensor) -> None:
        if t not in self.levels:
            return
        size = x0.shape[2:]
        shown = []
        for block in self.blocks:
            picture = x0.new_zeros(1, 3, *size)
            if block.field is not None:
                picture = interpolate(offsets_picture(block.field)[:1], size, mode="nearest")
            shown.append(picture.cpu())
        self.columns.append(torch.cat(shown, 2))

    def picture(self) -> Tensor:
        """(1, 3, blocks * H, levels * W) in [0, 1], offsets as colours as in `offsets_picture`: of
        the first picture of the batch, noisiest level first; black = known, or nothing found."""
        if not self.columns:
            raise ValueError("no level that was to be shown has been sampled yet")
        return torch.cat(self.columns, 3)
