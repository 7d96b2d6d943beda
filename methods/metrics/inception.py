"""FID's Inception: the network of TensorFlow's 2015 release, with its ways of pooling.

Szegedy et al. 2016 (arXiv:1512.00567); weights and structure as in the package pytorch-fid
(Seitzer 2020). It is not torchvision's inception_v3, whose names and convolutions it shares: other
weights, average pools that count no padding, a maximum in the last block, 1008 classes.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from .backbones import Convolution, as_rgb
from .weights import WeightsKind

EPSILON = 1e-3  # of the batch normalisations
SIDE = 299  # pixels; what the network was trained on
CLASSES = 1008
PARTS = ("weight", "bias", "running_mean", "running_var")


@dataclass(frozen=True)
class Conv:
    """A convolution without bias, its batch normalisation and ReLU, by its published name."""

    name: str
    channels: int
    kernel: tuple[int, int] = (1, 1)
    stride: int = 1
    padded: bool = True  # so that the size stays


AVERAGE, MAXIMUM, HALVE = "average", "maximum", "halve"  # all 3x3
POOLS = {
    AVERAGE: lambda: nn.AvgPool2d(3, 1, 1, count_include_pad=False),
    MAXIMUM: lambda: nn.MaxPool2d(3, 1, 1),
    HALVE: lambda: nn.MaxPool2d(3, 2),
}
# What follows each other in a branch: one convolution, several side by side, or a pool.
Step = Conv | tuple[Conv, ...] | str
Branch = tuple[Step, ...]


@dataclass(frozen=True)
class Block:
    """Branches side by side; before the name of each convolution stands that of the block."""

    name: str
    branches: tuple[Branch, ...]


def _halving(name: str, channels: int) -> Conv:
    return Conv(name, channels, (3, 3), stride=2, padded=False)


FIRST: Branch = (
    _halving("Conv2d_1a_3x3", 32),
    Conv("Conv2d_2a_3x3", 32, (3, 3), padded=False),
    Conv("Conv2d_2b_3x3", 64, (3, 3)),
)
STEM: Branch = (
    *FIRST,
    HALVE,
    Conv("Conv2d_3b_1x1", 80),
    Conv("Conv2d_4a_3x3", 192, (3, 3), padded=False),
    HALVE,
)


def _mixed_35(name: str, pooled: int) -> Block:
    """At 35x35."""
    wide = Conv("branch5x5_1", 48), Conv("branch5x5_2", 64, (5, 5))
    double = (
        Conv("branch3x3dbl_1", 64),
        Conv("branch3x3dbl_2", 96, (3, 3)),
        Conv("branch3x3dbl_3", 96, (3, 3)),
    )
    pool = AVERAGE, Conv("branch_pool", pooled)
    return Block(name, ((Conv("branch1x1", 64),), wide, double, pool))


def _mixed_17(name: str, inner: int) -> Block:
    """At 17x17."""
    single = (
        Conv("branch7x7_1", inner),
        Conv("branch7x7_2", inner, (1, 7)),
        Conv("branch7x7_3", 192, (7, 1)),
    )
    double = (
        Conv("branch7x7dbl_1", inner),
        Conv("branch7x7dbl_2", inner, (7, 1)),
        Conv("branch7x7dbl_3", inner, (1, 7)),
        Conv("branch7x7dbl_4", inner, (7, 1)),
        Conv("branch7x7dbl_5", 192, (1, 7)),
    )
    pool = AVERAGE, Conv("branch_pool", 192)
    return Block(name, ((Conv("branch1x1", 192),), single, double, pool))


def _mixed_8(name: str, pool: str) -> Block:
    """At 8x8."""

    def split(name: str) -> tuple[Conv, Conv]:
        return Conv(f"{name}a", 384, (1, 3)), Conv(f"{name}b", 384, (3, 1))

    single = Conv("branch3x3_1", 384), split("branch3x3_2")
    double = (
        Conv("branch3x3dbl_1", 448),
        Conv("branch3x3dbl_2", 384, (3, 3)),
        split("branch3x3dbl_3"),
    )
    pooled = pool, Conv("branch_pool", 192)
    return Block(name, ((Conv("branch1x1", 320),), single, double, pooled))


REDUCTION_35 = Block(
    "Mixed_6a",
    (
        (_halving("branch3x3", 384),),
        (
            Conv("branch3x3dbl_1", 64),
            Conv("branch3x3dbl_2", 96, (3, 3)),
            _halving("branch3x3dbl_3", 96),
        ),
        (HALVE,),
    ),
)
REDUCTION_17 = Block(
    "Mixed_7a",
    (
        (Conv("branch3x3_1", 192), _halving("branch3x3_2", 320)),
        (
            Conv("branch7x7x3_1", 192),
            Conv("branch7x7x3_2", 192, (1, 7)),
            Conv("branch7x7x3_3", 192, (7, 1)),
            _halving("branch7x7x3_4", 192),
        ),
        (HALVE,),
    ),
)
BLOCKS = (
    Block("", (STEM,)),
    _mixed_35("Mixed_5b", 32),
    _mixed_35("Mixed_5c", 64),
    _mixed_35("Mixed_5d", 64),
    REDUCTION_35,
    _mixed_17("Mixed_6b", 128),
    _mixed_17("Mixed_6c", 160),
    _mixed_17("Mixed_6d", 160),
    _mixed_17("Mixed_6e", 192),
    REDUCTION_17,
    _mixed_8("Mixed_7b", AVERAGE),
    _mixed_8("Mixed_7c", MAXIMUM),
)


def _full(block: Block, conv: Conv) -> str:
    return f"{block.name}.{conv.name}" if block.name else conv.name


def _side_by_side(step: Step) -> tuple[Conv, ...]:
    if isinstance(step, str):
        return ()
    return (step,) if isinstance(step, Conv) else step


def _widths(blocks: tuple[Block, ...]) -> Iterator[tuple[str, Conv, int]]:
    """(full name, convolution, channels that come in) of each."""
    entering = 3
    for block in blocks:
        leaving = 0
        for branch in block.branches:
            width = entering
            for step in branch:
                convs = _side_by_side(step)
                yield from ((_full(block, conv), conv, width) for conv in convs)
                width = sum(conv.channels for conv in convs) or width
            leaving += width
        entering = leaving


def _shapes(blocks: tuple[Block, ...]) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}
    for name, conv, entering in _widths(blocks):
        shapes[f"{name}.conv.weight"] = (conv.channels, entering, *conv.kernel)
        shapes |= {f"{name}.bn.{part}": (conv.channels,) for part in PARTS}
    return shapes


# Torchvision's file has the same convolutions; the classes tell the two apart.
FID_INCEPTION = WeightsKind(
    name="fid_inception",
    shapes=_shapes(BLOCKS) | {"fc.bias": (CLASSES,)},
    file="pt_inception-2015-12-05-6726825d.pth",
    source="https://github.com/mseitzer/pytorch-fid/releases/tag/fid_weights",
)
INCEPTION_STEM = WeightsKind(
    name="inception_stem",
    shapes=_shapes((Block("", (FIRST,)),)),
    file="inception_v3_google-0cc3c7bd.pth (or FID's pt_inception-2015-12-05-6726825d.pth)",
    source="https://download.pytorch.org/models/inception_v3_google-0cc3c7bd.pth (torchvision; or "
    "https://github.com/mseitzer/pytorch-fid/releases/tag/fid_weights)",
)


class SideBySide(nn.Module):
    """The outputs of several modules for one input, as one map."""

    def __init__(self, *parts: nn.Module):
        super().__init__()
        self.parts = nn.ModuleList(parts)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([part(x) for part in self.parts], dim=1)


def _built(block: Block, tensors: Mapping[str, Tensor]) -> nn.Module:
    branches = []
    for branch in block.branches:
        steps = []
        for step in branch:
            convs = [_folded(conv, _full(block, conv), tensors) for conv in _side_by_side(step)]
            steps.append(SideBySide(*convs) if convs else POOLS[str(step)]())
        branches.append(nn.Sequential(*steps))
    return SideBySide(*branches)


def _folded(conv: Conv, name: str, tensors: Mapping[str, Tensor]) -> Convolution:
    """The convolution with its normalisation, which only scales and shifts, taken into it."""
    weight = tensors[f"{name}.conv.weight"].double()
    scale, shift, mean, variance = (tensors[f"{name}.bn.{part}"].double() for part in PARTS)
    factor = scale / (variance + EPSILON).sqrt()
    height, width = conv.kernel
    padding = (height // 2, width // 2) if conv.padded else 0
    folded = weight * factor[:, None, None, None]
    return Convolution(folded, shift - mean * factor, conv.stride, padding)


class FidInception(nn.Module):
    """One vector of 2048 for a picture: what FID compares. tensors: of the kind FID_INCEPTION."""

    dimensions = 2048

    def __init__(self, tensors: Mapping[str, Tensor]):
        super().__init__()
        self.blocks = nn.Sequential(*(_built(block, tensors) for block in BLOCKS))
        self.eval()

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """(B, 2048) of (B, 1 or 3, H, W) in [0, 1], resized to 299x299 as pytorch-fid does:
        bilinearly, without smoothing first."""
        shown = interpolate(as_rgb(images, "the image"), size=(SIDE, SIDE), mode="bilinear")
        return self.blocks(2 * shown - 1).mean(dim=(2, 3))


class InceptionStem(nn.Module):
    """64 features for about every second pixel: what SIFID compares.

    As the code of SinGAN has it: the maps that enter the first pooling, of an image at its own
    size. Its published numbers are with torchvision's weights; FID's own file fits as well and
    gives others. tensors: of the kind INCEPTION_STEM.
    """

    dimensions = 64
    smallest = 7

    def __init__(self, tensors: Mapping[str, Tensor]):
        super().__init__()
        self.blocks = _built(Block("", (FIRST,)), tensors)
        self.eval()

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """(B, 64, h, w) of (B, 1 or 3, H, W) in [0, 1]."""
        return self.blocks(2 * as_rgb(images, "the image", self.smallest) - 1)

    @staticmethod
    def grid(size: tuple[int, int]) -> tuple[int, int]:
        height, width = ((side - 3) // 2 - 1 for side in size)
        return height, width
