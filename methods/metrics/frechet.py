"""The Frechet distance of two Gaussians, and what of pictures is compared by it.

Dowson and Landau 1982 (doi:10.1016/0047-259X(82)90077-X); for sets of pictures Heusel et al. 2017
(arXiv:1706.08500), for one picture Rott Shaham, Dekel and Michaeli 2019 (SinGAN, arXiv:1905.01164).
"""

from collections.abc import Iterable
from typing import Protocol

import torch
from torch import Tensor

from ..checks import by, size_of
from .backbones import one_by_one
from .regions import resized

CHUNK = 1 << 16  # samples that are held in float64 at a time


class Gaussian:
    """Mean and covariance of samples, gathered piece by piece, float64 on the CPU.

    Every sample may have a weight; `count` is then the number of equally weighted samples that
    would tell as much (Kish). Pieces give what the whole would, in any order, to rounding.
    """

    def __init__(self, dimensions: int):
        self.weight = self.squared_weight = 0.0  # sums over the samples
        self.mean = torch.zeros(dimensions, dtype=torch.float64)
        self.scatter = torch.zeros(dimensions, dimensions, dtype=torch.float64)

    @property
    def dimensions(self) -> int:
        return len(self.mean)

    @property
    def count(self) -> float:
        return self.weight**2 / self.squared_weight if self.weight else 0.0

    @property
    def covariance(self) -> Tensor:
        """(D, D), without bias (divided by count - 1 where the weights are alike); 0 for one
        sample."""
        if not self.weight:
            return self.scatter
        divisor = self.weight - self.squared_weight / self.weight
        return self.scatter / divisor if divisor > 1e-9 * self.weight else 0 * self.scatter

    def update(self, samples: Tensor, weights: Tensor | None = None) -> None:
        """Add (N, D) samples, with (N,) weights >= 0."""
        weights = torch.ones(len(samples)) if weights is None else weights
        for some, their in zip(samples.split(CHUNK), weights.split(CHUNK), strict=True):
            self._add(_moments(some.detach().cpu().double(), their.detach().cpu().double()))

    def merged(self, other: "Gaussian") -> "Gaussian":
        """The Gaussian of both sets of samples, for statistics that were gathered in shards."""
        both = Gaussian(self.dimensions)
        both._add(self)
        both._add(other)
        return both

    def _add(self, other: "Gaussian") -> None:
        """Chan, Golub and LeVeque 1979."""
        weight = self.weight + other.weight
        if not other.weight:
            return
        apart = other.mean - self.mean
        between = self.weight * other.weight / weight
        self.scatter = self.scatter + other.scatter + between * torch.outer(apart, apart)
        self.mean = self.mean + apart * (other.weight / weight)
        self.weight, self.squared_weight = weight, self.squared_weight + other.squared_weight


def _moments(samples: Tensor, weights: Tensor) -> Gaussian:
    """Of float64 samples that fit into memory."""
    made = Gaussian(samples.shape[1])
    made.weight, made.squared_weight = float(weights.sum()), float(weights.square().sum())
    if made.weight:
        made.mean = weights @ samples / made.weight
        centred = samples - made.mean
        made.scatter = (centred * weights[:, None]).T @ centred
    return made


def frechet_distance(first: Gaussian, second: Gaussian) -> float:
    """|m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)), at least 0.

    With S = F F^T, the trace of the root is the sum of the singular values of F1^T F2: so it is had
    for covariances of any rank without jitter, and precisely.
    Raises ValueError for different dimensions.
    """
    if first.dimensions != second.dimensions:
        raise ValueError(
            f"Gaussians of {first.dimensions} and {second.dimensions} dimensions have no distance; "
            "take both from the same features"
        )
    factors = [_factor(gaussian.covariance) for gaussian in (first, second)]
    common = torch.linalg.svdvals(factors[0].T @ factors[1]).sum()
    spread = first.covariance.trace() + second.covariance.trace() - 2 * common
    return max(float((first.mean - second.mean).square().sum() + spread), 0.0)


def _factor(covariance: Tensor) -> Tensor:
    """F (D, rank) with F F^T = covariance; eigenvalues that are nothing but rounding are left out.

    A covariance of few samples has few columns, which is what makes the rest cheap.
    """
    values, vectors = torch.linalg.eigh(covariance)
    some = values > values.abs().max() * len(values) * torch.finfo(values.dtype).eps
    return vectors[:, some] * values[some].sqrt()


def few_samples(count: float, dimensions: int) -> str:
    """What to say of a Gaussian of so many samples; "" where they are enough."""
    if count > dimensions:
        return ""
    return (
        f"{count:.0f} samples for {dimensions} dimensions: the covariance is not of full rank, "
        "compare only with numbers from as many samples"
    )


class FeatureMap(Protocol):
    """A network whose one layer is compared place by place."""

    dimensions: int

    def __call__(self, images: Tensor) -> Tensor:
        """(1, D, h, w) of (1, 1 or 3, H, W) in [0, 1]."""
        ...

    @staticmethod
    def grid(size: tuple[int, int]) -> tuple[int, int]:
        """(h, w) of images (H, W)."""
        ...


def single_image_frechet(
    result: Tensor, reference: Tensor, network: FeatureMap, *, region: Tensor | None = None
) -> Tensor:
    """The Frechet distance of two pictures' features, every place a sample, (B,) float64.

    With InceptionStem this is SIFID as the code of SinGAN computes it (64 features before the
    first pooling, images at their own size); VggFirst and AlexFirst put other features in.
    result, reference: (B, 1 or 3, H, W), nominally [0, 1]; sizes may differ. region: (B or 1, 1, H,
    W) weights, resized to the features by area; it holds for both, so that it needs one size, and
    elsewhere the result counts as equal to the reference: outside of a fill the distance is 0.
    Raises ValueError for images that are too small, and for an empty or a misfitting region.
    """
    if region is not None and size_of(result) != size_of(reference):
        raise ValueError(
            f"a region needs pictures of one size: the result is {by(size_of(result))}, the "
            f"reference {by(size_of(reference))}"
        )
    distances = []
    for image, wanted, where in one_by_one(result, reference, region):
        if where is not None:
            image = torch.where(where > 0, image, wanted)
        distances.append(_apart(image, wanted, network, where))
    return torch.tensor(distances, dtype=torch.float64)


def _apart(image: Tensor, reference: Tensor, network: FeatureMap, region: Tensor | None) -> float:
    if torch.equal(image, reference):
        return 0.0  # exactly, which the roots of covariances would not give
    first, second = (_places(each, network, region) for each in (image, reference))
    return frechet_distance(first, second)


def _places(image: Tensor, network: FeatureMap, region: Tensor | None) -> Gaussian:
    features = network(image)[0]
    size = (features.shape[1], features.shape[2])
    weights = None if region is None else resized(region, size).flatten()
    gaussian = Gaussian(network.dimensions)
    gaussian.update(features.flatten(1).T, weights)
    return gaussian


def few_places(
    network: type[FeatureMap], result: Tensor, reference: Tensor, *, region: Tensor | None = None
) -> str:
    """What to say of `single_image_frechet` where there are no more places than features."""
    grids = [network.grid(size_of(image)) for image in (result, reference)]
    if region is None:
        count = min(height * width for height, width in grids)
    else:
        weights = resized(region, grids[0]).flatten(1)
        count = float((weights.sum(dim=1) ** 2 / weights.square().sum(dim=1)).min())
    return few_samples(count, network.dimensions)


def folder_statistics(images: Iterable[Tensor], network: "PooledFeatures") -> Gaussian:
    """The Gaussian of a set of pictures, each (B, 1 or 3, H, W) in [0, 1]; sizes may differ.

    One after another, so that a folder of any size fits into memory.
    """
    gaussian = Gaussian(network.dimensions)
    for image in images:
        gaussian.update(network(image))
    return gaussian


class PooledFeatures(Protocol):
    """A network that gives one vector for a picture."""

    dimensions: int

    def __call__(self, images: Tensor) -> Tensor:
        """(B, D) of (B, 1 or 3, H, W) in [0, 1]."""
        ...
