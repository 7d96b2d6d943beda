"""DISTS: structure and texture similarity in the features of VGG16."""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d

from .backbones import VGG16, VGG16_CHANNELS, Vgg16, as_rgb, imagenet_standardised, one_by_one
from .regions import resized
from .weights import WeightsKind

CHANNELS = (3, *VGG16_CHANNELS)  # the image itself is the first layer
STABILISER = 1e-6

DISTS = WeightsKind(
    name="dists",
    shapes={name: (1, sum(CHANNELS), 1, 1) for name in ("alpha", "beta")},
    file="weights.pt",
    source="https://github.com/dingkeyan93/DISTS/tree/master/DISTS_pytorch (weights.pt; also in "
    "the package dists-pytorch of PyPI)",
)
DISTS_KINDS = (VGG16, DISTS)


class L2Pooling(nn.Module):
    """Halves (B, C, H, W): the root of the squares smoothed by a 3x3 Hann window."""

    window: Tensor

    def __init__(self) -> None:
        super().__init__()
        line = torch.tensor([0.25, 0.5, 0.25])
        self.register_buffer("window", (line[:, None] * line)[None, None])

    def forward(self, x: Tensor) -> Tensor:
        channels = x.shape[1]
        window = self.window.expand(channels, 1, 3, 3)
        squares = conv2d(x.square(), window, stride=2, padding=1, groups=channels)
        return (squares + 1e-12).sqrt_()


class DistsNetwork(nn.Module):
    """From the tensors of DISTS_KINDS. alpha, beta: the weight of every channel's texture and
    structure, layer after layer; together they sum to 1."""

    alpha: Tensor
    beta: Tensor

    def __init__(self, vgg16: Mapping[str, Tensor], weights: Mapping[str, Tensor]):
        super().__init__()
        self.standardised = imagenet_standardised()
        self.backbone = Vgg16(vgg16, pool=L2Pooling())
        alpha, beta = (weights[name].double().flatten() for name in ("alpha", "beta"))
        total = alpha.sum() + beta.sum()
        self.register_buffer("alpha", (alpha / total).float())
        self.register_buffer("beta", (beta / total).float())
        self.eval()

    @torch.no_grad()
    def forward(self, result: Tensor, reference: Tensor, region: Tensor | None) -> Tensor:
        """(1,) float64 of one pair (1, 1 or 3, H, W)."""
        images = as_rgb(result, "the result"), as_rgb(reference, "the reference")
        features = (self._layers(image) for image in images)
        weights = zip(self.alpha.split(CHANNELS), self.beta.split(CHANNELS), strict=True)
        distance = torch.zeros(1, dtype=torch.float64, device=result.device)
        for (alpha, beta), first, second in zip(weights, *features, strict=True):
            texture, structure = _similarities(first[0], second[0], region)
            distance += (alpha * (1 - texture)).sum() + (beta * (1 - structure)).sum()
        return distance

    def _layers(self, image: Tensor) -> Iterator[Tensor]:
        yield image
        yield from self.backbone.features(self.standardised(image))


def _similarities(first: Tensor, second: Tensor, region: Tensor | None) -> tuple[Tensor, Tensor]:
    """Of every channel of (C, H, W): how alike the means are, and how far the two vary together."""
    size = (first.shape[1], first.shape[2])
    weights = torch.ones_like(first[:1]) if region is None else resized(region, size)
    weights = (weights / weights.sum()).flatten().to(first.dtype)
    x, y = first.flatten(1), second.flatten(1)
    x_mean, y_mean = (v @ weights for v in (x, y))
    x, y = x - x_mean[:, None], y - y_mean[:, None]
    x_variance, y_variance, covariance = ((a * b) @ weights for a, b in ((x, x), (y, y), (x, y)))
    texture = (2 * x_mean * y_mean + STABILISER) / (x_mean**2 + y_mean**2 + STABILISER)
    structure = (2 * covariance + STABILISER) / (x_variance + y_variance + STABILISER)
    return texture.double(), structure.double()


def dists(
    result: Tensor, reference: Tensor, network: DistsNetwork, *, region: Tensor | None = None
) -> Tensor:
    """DISTS, (B,) float64; 0 for alike, at most about 1.

    Ding, Ma, Wang and Simoncelli 2020 (arXiv:2004.07728): 1 minus the weighted sum, over the image
    and five layers of VGG16 with L2 pooling, of the similarity of the channels' means (texture) and
    of their variances and covariance (structure), with the published weights. The images keep
    their size; the authors' script first brings the shorter side to 256 pixels. In a region:
    means, variances and covariances are weighted by the region resized to the layer by area.

    result, reference: (B, 1 or 3, H, W), nominally [0, 1]. region: (B or 1, 1, H, W) weights.
    Raises ValueError for an empty region.
    """
    pairs = one_by_one(result, reference, region)
    return torch.cat([network(first, second, where) for first, second, where in pairs])
