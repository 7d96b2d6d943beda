"""Single layers of VGG16 and AlexNet: what stands in for Inception where its weights are missing.

Distances in them have names of their own: they rank pictures, but are not SIFID or FID.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from .backbones import AlexNet, Vgg16, as_rgb, imagenet_standardised


class _Layer(nn.Module):
    def __init__(self, backbone: Vgg16 | AlexNet):
        super().__init__()
        self.standardised = imagenet_standardised()
        self.backbone = backbone
        self.eval()

    def features(self, images: Tensor):
        shown = as_rgb(images, "the image", self.backbone.smallest)
        return self.backbone.features(self.standardised(shown))


class _First(_Layer):
    dimensions = 64

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """(B, 64, h, w) of (B, 1 or 3, H, W) in [0, 1]."""
        return next(self.features(images))


class VggFirst(_First):
    """relu1_2 of VGG16, 64 features for every pixel. tensors: of the kind VGG16."""

    def __init__(self, tensors: Mapping[str, Tensor]):
        super().__init__(Vgg16(tensors))

    @staticmethod
    def grid(size: tuple[int, int]) -> tuple[int, int]:
        return size


class AlexFirst(_First):
    """relu1 of AlexNet, 64 features for every fourth pixel. tensors: of the kind ALEXNET."""

    def __init__(self, tensors: Mapping[str, Tensor]):
        super().__init__(AlexNet(tensors))

    @staticmethod
    def grid(size: tuple[int, int]) -> tuple[int, int]:
        height, width = ((side - 7) // 4 + 1 for side in size)
        return height, width


class _LastMean(_Layer):
    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """(B, D) of (B, 1 or 3, H, W) in [0, 1] at their own size."""
        *_, last = self.features(images)
        return last.mean(dim=(2, 3))


class VggLast(_LastMean):
    """relu5_3 of VGG16, its mean over the picture. tensors: of the kind VGG16."""

    dimensions = 512

    def __init__(self, tensors: Mapping[str, Tensor]):
        super().__init__(Vgg16(tensors))


class AlexLast(_LastMean):
    """relu5 of AlexNet, its mean over the picture. tensors: of the kind ALEXNET."""

    dimensions = 256

    def __init__(self, tensors: Mapping[str, Tensor]):
        super().__init__(AlexNet(tensors))
