"""Structural similarity, with the windows that are in use."""

import torch
import torch.nn.functional as F
from torch import Tensor

from ..checks import by, size_of
from .filters import separable
from .regions import resized, weighted_mean

C1, C2 = 0.01**2, 0.03**2  # K1 and K2 of the paper, for a range of 1
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)


def ssim(result: Tensor, reference: Tensor, *, region: Tensor | None = None) -> Tensor:
    """SSIM with a Gaussian window of 11 x 11, sigma 1.5, (B,) float64.

    Wang, Bovik, Sheikh and Simoncelli 2004: population covariance, K1 0.01, K2 0.03, range 1, mean
    over channels and over all whole windows (a border of 5 pixels has none). In a region: the
    mean over the windows centred in it.
    Raises ValueError for images smaller than the window.
    """
    return _mean(*_similarity(result, reference, _gaussian()), region, 11)


def ssim_uniform8(result: Tensor, reference: Tensor, *, region: Tensor | None = None) -> Tensor:
    """SSIM with a window of 8 x 8 equal weights, (B,) float64; otherwise as `ssim`.

    An even window has no middle: of its 8 pixels the fifth counts as its centre.
    """
    return _mean(*_similarity(result, reference, _uniform()), region, 8)


def ms_ssim(result: Tensor, reference: Tensor, *, region: Tensor | None = None) -> Tensor:
    """Multi-scale SSIM, (B,) float64.

    Wang, Simoncelli and Bovik 2003: five scales halved by 2 x 2 means (a border of zeros is added
    to odd sides), the 11 x 11 Gaussian window; contrast and structure at the first four, all of
    SSIM at the last, each to its power; negative terms count as 0. The product is taken
    for every channel, then their mean. In a region: every window weighs as much as its share
    of the region, since at the coarse scales a few windows cover all.
    Raises ValueError unless both sides are over 160 pixels.
    """
    size = tuple(result.shape[2:])
    if min(size) <= 160:
        raise ValueError(
            f"ms_ssim needs sides over 160 pixels for its five scales, the images are {by(size)}; "
            "use ssim"
        )
    kernel, product = _gaussian(), torch.ones((), dtype=torch.float64)
    result, reference = result.double(), reference.double()
    for scale, power in enumerate(SCALE_WEIGHTS):
        structure, whole = _similarity(result, reference, kernel)
        last = scale == len(SCALE_WEIGHTS) - 1
        term = _by_channel(whole if last else structure, _shares(region, result, kernel))
        product = product * term.clamp(min=0) ** power
        if not last:
            padding = [side % 2 for side in result.shape[2:]]
            result, reference = (F.avg_pool2d(i, 2, padding=padding) for i in (result, reference))
    return product.mean(dim=1)


def ssim_map(result: Tensor, reference: Tensor) -> Tensor:
    """(B, 1, H, W): 1 - SSIM of the window around every pixel, mean of the channels.

    The border, where no whole window fits, is repeated from the nearest whole one.
    """
    _, whole = _similarity(result, reference, _gaussian())
    return F.pad(1 - whole.mean(dim=1, keepdim=True), (5, 5, 5, 5), mode="replicate")


def _gaussian() -> Tensor:
    kernel = torch.exp(-0.5 * (torch.arange(-5, 6, dtype=torch.float64) / 1.5) ** 2)
    return kernel / kernel.sum()


def _uniform() -> Tensor:
    return torch.full((8,), 1 / 8, dtype=torch.float64)


def _similarity(result: Tensor, reference: Tensor, kernel: Tensor) -> tuple[Tensor, Tensor]:
    """(B, C, h, w) maps over the whole windows: contrast times structure, and all of SSIM."""
    if min(result.shape[2:]) < len(kernel):
        raise ValueError(
            f"SSIM's window of {len(kernel)} pixels does not fit images of {by(result.shape[2:])}"
        )
    x, y = result.double(), reference.double()
    mean_x, mean_y = separable(x, kernel, kernel), separable(y, kernel, kernel)
    var_x = separable(x * x, kernel, kernel) - mean_x.square()
    var_y = separable(y * y, kernel, kernel) - mean_y.square()
    covariance = separable(x * y, kernel, kernel) - mean_x * mean_y
    structure = (2 * covariance + C2) / (var_x + var_y + C2)
    light = (2 * mean_x * mean_y + C1) / (mean_x.square() + mean_y.square() + C1)
    return structure, structure * light


def _centres(region: Tensor | None, window: int, size: torch.Size) -> Tensor | None:
    """The part of a region where whole windows are centred; size: (h, w) of their map."""
    if region is None:
        return None
    first = window // 2
    return region[..., first : first + size[0], first : first + size[1]]


def _mean(structure: Tensor, whole: Tensor, region: Tensor | None, window: int) -> Tensor:
    return weighted_mean(whole, _centres(region, window, whole.shape[2:]))


def _shares(region: Tensor | None, image: Tensor, kernel: Tensor) -> Tensor | None:
    """How much of every whole window of (B, C, H, W) lies in a region of any size."""
    if region is None:
        return None
    return separable(resized(region, size_of(image)), kernel, kernel)


def _by_channel(values: Tensor, weights: Tensor | None) -> Tensor:
    """(B, C): the mean of every channel of (B, C, h, w); weights: (B or 1, 1, h, w)."""
    batch, channels = values.shape[:2]
    if weights is not None:
        weights = weights.expand(batch, 1, -1, -1).repeat_interleave(channels, dim=0)
    return weighted_mean(values.flatten(0, 1)[:, None], weights).view(batch, channels)
