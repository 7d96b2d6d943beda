"""LPIPS: the distance of two pictures in the features of a network, weighted as people see it."""

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from ..checks import size_of
from .backbones import (
    ALEXNET,
    ALEXNET_CHANNELS,
    VGG16,
    VGG16_CHANNELS,
    AlexNet,
    Standardised,
    Vgg16,
    as_rgb,
    one_by_one,
)
from .regions import resized, weighted_mean
from .weights import WeightsKind

SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)  # of images in [-1, 1]
EPSILON = 1e-10  # a place without any activation stays 0
PUBLISHED = "https://github.com/richzhang/PerceptualSimilarity/tree/master/lpips/weights/v0.1"


def _heads(name: str, channels: Sequence[int], file: str) -> WeightsKind:
    shapes = {_head(layer): (1, count, 1, 1) for layer, count in enumerate(channels)}
    return WeightsKind(name, shapes, file, f"{PUBLISHED} (also in the package lpips of PyPI)")


def _head(layer: int) -> str:
    return f"lin{layer}.model.1.weight"


LPIPS_ALEX = _heads("lpips_alex", ALEXNET_CHANNELS, "alex.pth")
LPIPS_VGG = _heads("lpips_vgg", VGG16_CHANNELS, "vgg.pth")
LPIPS_ALEX_KINDS, LPIPS_VGG_KINDS = (ALEXNET, LPIPS_ALEX), (VGG16, LPIPS_VGG)


class LpipsNetwork(nn.Module):
    """A backbone and the weight of every channel of its layers; see `alex` and `vgg`."""

    def __init__(self, backbone: AlexNet | Vgg16, heads: Mapping[str, Tensor]):
        super().__init__()
        self.standardised = Standardised(SHIFT, SCALE)
        self.backbone = backbone
        for layer in range(len(backbone.channels)):
            self.register_buffer(f"head{layer}", heads[_head(layer)].float())
        self.eval()

    @classmethod
    def alex(cls, backbone: Mapping[str, Tensor], heads: Mapping[str, Tensor]) -> "LpipsNetwork":
        """From the tensors of LPIPS_ALEX_KINDS."""
        return cls(AlexNet(backbone), heads)

    @classmethod
    def vgg(cls, backbone: Mapping[str, Tensor], heads: Mapping[str, Tensor]) -> "LpipsNetwork":
        """From the tensors of LPIPS_VGG_KINDS."""
        return cls(Vgg16(backbone), heads)

    @torch.no_grad()
    def forward(self, result: Tensor, reference: Tensor) -> Iterator[Tensor]:
        """The map (1, 1, h, w) of every layer, of pictures (1, 1 or 3, H, W) in [0, 1]."""
        images = (("the result", result), ("the reference", reference))
        shown = (as_rgb(image, name, self.backbone.smallest) * 2 - 1 for name, image in images)
        features = (self.backbone.features(self.standardised(image)) for image in shown)
        for layer, pair in enumerate(zip(*features, strict=True)):
            first, second = map(_unit, pair)
            head = self.get_buffer(f"head{layer}")[0]
            yield ((first - second).square_() * head).sum(dim=1, keepdim=True)


def _unit(features: Tensor) -> Tensor:
    """Every place's vector divided by its length."""
    return features / (torch.linalg.vector_norm(features, dim=1, keepdim=True) + EPSILON)


def lpips(
    result: Tensor, reference: Tensor, network: LpipsNetwork, *, region: Tensor | None = None
) -> Tensor:
    """LPIPS v0.1, (B,) float64; 0 for alike.

    Zhang, Isola, Efros, Shechtman and Wang 2018 (arXiv:1801.03924), the linearly calibrated
    variant: per layer the features of every place are scaled to unit length, their squared
    differences weighted per channel, summed, and averaged over the places; the layers are added.
    In a region: the average of every layer over the region resized to it by area.

    result, reference: (B, 1 or 3, H, W), nominally [0, 1]. region: (B or 1, 1, H, W) weights.
    Raises ValueError for images below 31 (AlexNet) or 16 pixels (VGG16) and an empty region.
    """
    values = []
    for first, second, where in one_by_one(result, reference, region):
        layers = network(first, second)
        values.append(torch.stack([_mean(layer, where) for layer in layers]).sum(dim=0))
    return torch.cat(values)


def _mean(layer: Tensor, region: Tensor | None) -> Tensor:
    return weighted_mean(layer, None if region is None else resized(region, size_of(layer)))


def lpips_map(result: Tensor, reference: Tensor, network: LpipsNetwork) -> Tensor:
    """Where `lpips` comes from, (B, 1, H, W) float32: the sum of its layers' maps, each enlarged
    bilinearly, as the published code does for its spatial output."""
    size = tuple(result.shape[2:])
    pictures = []
    for first, second, _ in one_by_one(result, reference, None):
        maps = [interpolate(m, size=size, mode="bilinear") for m in network(first, second)]
        pictures.append(torch.stack(maps).sum(dim=0))
    return torch.cat(pictures)
