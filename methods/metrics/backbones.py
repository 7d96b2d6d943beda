"""AlexNet and VGG16 as torchvision publishes them: the convolutions whose features metrics compare.

Krizhevsky 2014 (arXiv:1404.5997) and Simonyan and Zisserman 2015 (arXiv:1409.1556).
"""

from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, max_pool2d

from ..checks import by
from .weights import WeightsKind

# Per layer: index in torchvision's `features`, channels in, channels out, kernel, stride, padding.
_ALEXNET = (
    (0, 3, 64, 11, 4, 2),
    (3, 64, 192, 5, 1, 2),
    (6, 192, 384, 3, 1, 1),
    (8, 384, 256, 3, 1, 1),
    (10, 256, 256, 3, 1, 1),
)
# Per stage, (index, channels in, channels out); all kernels are 3x3.
_VGG16 = (
    ((0, 3, 64), (2, 64, 64)),
    ((5, 64, 128), (7, 128, 128)),
    ((10, 128, 256), (12, 256, 256), (14, 256, 256)),
    ((17, 256, 512), (19, 512, 512), (21, 512, 512)),
    ((24, 512, 512), (26, 512, 512), (28, 512, 512)),
)
ALEXNET_CHANNELS = tuple(layer[2] for layer in _ALEXNET)
VGG16_CHANNELS = tuple(stage[-1][2] for stage in _VGG16)


def _shapes(layers: Iterator[tuple[int, int, int, int]]) -> dict[str, tuple[int, ...]]:
    """Names and shapes of convolutions (index, channels in, channels out, kernel)."""
    shapes: dict[str, tuple[int, ...]] = {}
    for index, inward, outward, kernel in layers:
        shapes[f"features.{index}.weight"] = (outward, inward, kernel, kernel)
        shapes[f"features.{index}.bias"] = (outward,)
    return shapes


ALEXNET = WeightsKind(
    name="alexnet",
    shapes=_shapes(layer[:4] for layer in _ALEXNET),
    file="alexnet-owt-7be5be79.pth",
    source="https://download.pytorch.org/models/alexnet-owt-7be5be79.pth (torchvision)",
)
VGG16 = WeightsKind(
    name="vgg16",
    shapes=_shapes((*layer, 3) for stage in _VGG16 for layer in stage),
    file="vgg16-397923af.pth",
    source="https://download.pytorch.org/models/vgg16-397923af.pth (torchvision)",
)

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Standardised(nn.Module):
    """(x - mean) / std per channel, for (B, 3, H, W)."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...]):
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean)[:, None, None])
        self.register_buffer("std", torch.tensor(std)[:, None, None])

    def forward(self, images: Tensor) -> Tensor:
        return (images - self.mean) / self.std


def imagenet_standardised() -> Standardised:
    """As torchvision's networks were trained: images in [0, 1] by the mean and deviation of
    ImageNet."""
    return Standardised(IMAGENET_MEAN, IMAGENET_STD)


def as_rgb(images: Tensor, name: str, smallest: int = 1) -> Tensor:
    """(B, 1 or 3, H, W) as (B, 3, H, W) float32, which the networks take.

    Raises ValueError for another number of channels and for sides below `smallest` pixels.
    """
    if images.shape[1] not in (1, 3):
        raise ValueError(f"{name} has {images.shape[1]} channels, the network takes 1 or 3")
    if min(images.shape[2:]) < smallest:
        raise ValueError(
            f"{name} is {by(images.shape[2:])}, the network needs sides of at least {smallest} "
            "pixels; enlarge the image"
        )
    return images.float().expand(-1, 3, -1, -1)


def one_by_one(
    result: Tensor, reference: Tensor, region: Tensor | None
) -> Iterator[tuple[Tensor, Tensor, Tensor | None]]:
    """Batches as pairs of one picture each, with their region; what there is one of is shared.

    A network then needs the memory of one picture, whatever the batch.
    Raises ValueError for a region that is 0 everywhere.
    """
    for index in range(len(result)):
        where = None if region is None else region[index % len(region)][None]
        if where is not None and not where.any():
            raise ValueError(f"the region of picture {index} is empty; mark some of its pixels")
        yield result[index][None], reference[index % len(reference)][None], where


class Convolution(nn.Module):
    """A convolution and its ReLU with given weights, in float32; nothing of it is trained."""

    weight: Tensor
    bias: Tensor

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor,
        stride: int = 1,
        padding: int | tuple[int, int] = 0,
    ):
        super().__init__()
        self.register_buffer("weight", weight.float())
        self.register_buffer("bias", bias.float())
        self.stride, self.padding = stride, padding

    def forward(self, x: Tensor) -> Tensor:
        return conv2d(x, self.weight, self.bias, self.stride, self.padding).relu_()


def _convolution(tensors: Mapping[str, Tensor], index: int, stride: int, padding: int):
    weight, bias = (tensors[f"features.{index}.{part}"] for part in ("weight", "bias"))
    return Convolution(weight, bias, stride, padding)


class AlexNet(nn.Module):
    """tensors: of the kind ALEXNET."""

    channels = ALEXNET_CHANNELS
    smallest = 31  # pixels; below it the second pooling has nothing to pool

    def __init__(self, tensors: Mapping[str, Tensor]):
        super().__init__()
        self.layers = nn.ModuleList(
            _convolution(tensors, index, stride, padding)
            for index, _, _, _, stride, padding in _ALEXNET
        )
        self.eval()

    def features(self, images: Tensor) -> Iterator[Tensor]:
        """relu1 ... relu5 of standardised (B, 3, H, W), one after another."""
        x = images
        for number, layer in enumerate(self.layers):
            x = layer(max_pool2d(x, 3, 2) if number in (1, 2) else x)
            yield x


def halved_by_maximum(x: Tensor) -> Tensor:
    return max_pool2d(x, 2)


class Vgg16(nn.Module):
    """tensors: of the kind VGG16. pool: what stands between the stages (DISTS has its own)."""

    channels = VGG16_CHANNELS
    smallest = 16

    def __init__(
        self, tensors: Mapping[str, Tensor], pool: Callable[[Tensor], Tensor] = halved_by_maximum
    ):
        super().__init__()
        self.stages = nn.ModuleList(
            nn.Sequential(*(_convolution(tensors, index, 1, 1) for index, _, _ in stage))
            for stage in _VGG16
        )
        self.pool = pool
        self.eval()

    def features(self, images: Tensor) -> Iterator[Tensor]:
        """relu1_2, relu2_2, relu3_3, relu4_3, relu5_3 of standardised (B, 3, H, W), one after
        another."""
        x = images
        for number, stage in enumerate(self.stages):
            x = stage(self.pool(x) if number else x)
            yield x
