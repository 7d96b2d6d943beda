"""FLIP: the difference that is seen when two pictures are flipped back and forth.

Andersson, Nilsson, Akenine-Moller, Oskarsson, Astrom and Fairchild 2020, "FLIP: a difference
evaluator for alternating images", for pictures of low dynamic range in sRGB. Names of the constants
are the paper's.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from .filters import separable
from .regions import weighted_mean

PIXELS_PER_DEGREE = 0.7 * 3840 / 0.7 * math.pi / 180  # a 0.7 m wide 4K screen seen from 0.7 m
QC, PC, PT, QF, WIDTH = 0.7, 0.4, 0.95, 0.5, 0.082

# The contrast sensitivity of each opponent channel: a sum of Gaussians (amplitude, fall-off).
SENSITIVITY = (
    ((1.0, 0.0047),),
    ((1.0, 0.0053),),
    ((34.1, 0.04), (13.5, 0.025)),
)
LINEAR_TO_XYZ = torch.tensor(
    [
        [10135552 / 24577794, 8788810 / 24577794, 4435075 / 24577794],
        [2613072 / 12288897, 8788810 / 12288897, 887015 / 12288897],
        [1425312 / 73733382, 8788810 / 73733382, 70074185 / 73733382],
    ],
    dtype=torch.float64,
)
WHITE = LINEAR_TO_XYZ.sum(dim=1)
XYZ_TO_LINEAR = torch.linalg.inv(LINEAR_TO_XYZ)


def flip(
    result: Tensor,
    reference: Tensor,
    *,
    region: Tensor | None = None,
    pixels_per_degree: float = PIXELS_PER_DEGREE,
) -> Tensor:
    """The mean of `flip_map` over a region, (B,) float64 in [0, 1]; 0 where nothing differs."""
    return weighted_mean(flip_map(result, reference, pixels_per_degree=pixels_per_degree), region)


def flip_map(
    result: Tensor, reference: Tensor, *, pixels_per_degree: float = PIXELS_PER_DEGREE
) -> Tensor:
    """(B, 1, H, W) float32 in [0, 1]: how visible the difference is at every pixel.

    result, reference: (B, 3, H, W) sRGB; the definition holds for [0, 1], other values are clipped
    (grey pictures, C = 1, are taken as equal channels). pixels_per_degree: of visual
    angle, how near the screen is; the default is the paper's 67.02.
    """
    opponents = [_opponent(_linear(_rgb(image))) for image in (result, reference)]
    colours = [_perceived(_seen(image, pixels_per_degree)) for image in opponents]
    colour = _redistributed(_hyab(colours[0], colours[1]) ** QC)
    feature = _features(opponents[0][:, :1], opponents[1][:, :1], pixels_per_degree)
    return colour ** (1 - feature)


def _rgb(image: Tensor) -> Tensor:
    return image.float().clamp(0, 1).expand(-1, 3, -1, -1)


def _linear(srgb: Tensor) -> Tensor:
    return torch.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def _mixed(image: Tensor, matrix: Tensor) -> Tensor:
    """The channels of (B, 3, H, W) multiplied by a 3 x 3 matrix."""
    return F.conv2d(image, matrix.to(image)[:, :, None, None])


def _white(image: Tensor) -> Tensor:
    return WHITE.to(image)[None, :, None, None]


def _opponent(linear: Tensor) -> Tensor:
    """Linear RGB to YCxCz."""
    x, y, z = (_mixed(linear, LINEAR_TO_XYZ) / _white(linear)).split(1, dim=1)
    return torch.cat((116 * y - 16, 500 * (x - y), 200 * (y - z)), dim=1)


def _seen(opponent: Tensor, pixels_per_degree: float) -> Tensor:
    """What the eye resolves at that distance, as linear RGB."""
    light, red_green, blue_yellow = (
        _summed_gaussians(opponent[:, i : i + 1], terms, pixels_per_degree)
        for i, terms in enumerate(SENSITIVITY)
    )
    y = (light + 16) / 116
    xyz = torch.cat((red_green / 500 + y, y, y - blue_yellow / 200), dim=1) * _white(opponent)
    return _mixed(xyz, XYZ_TO_LINEAR).clamp(0, 1)


def _summed_gaussians(plane: Tensor, terms, pixels_per_degree: float) -> Tensor:
    """Filtered by the normalised sum of isotropic Gaussians, each of them separable."""
    widest = max(fall for channel in SENSITIVITY for _, fall in channel)
    radius = math.ceil(3 * math.sqrt(widest / (2 * math.pi**2)) * pixels_per_degree)
    offsets = torch.arange(-radius, radius + 1, dtype=torch.float64) / pixels_per_degree
    total, result = 0.0, torch.zeros_like(plane)
    for amplitude, fall in terms:
        line = torch.exp(-(math.pi**2) * offsets.square() / fall)
        weight = amplitude * math.pi / fall
        total += weight * float(line.sum()) ** 2
        result += weight * _filtered(plane, line, line)
    return result / total


def _filtered(plane: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Of the same size: the border is repeated."""
    return separable(F.pad(plane, (len(rows) // 2,) * 4, mode="replicate"), rows, columns)


def _perceived(linear: Tensor) -> Tensor:
    """Linear RGB to L*a*b*, with colours fainter where it is dark (Hunt's effect)."""
    return _hunt(_lab(linear))


def _lab(linear: Tensor) -> Tensor:
    ratio = _mixed(linear, LINEAR_TO_XYZ) / _white(linear)
    bend = 6 / 29
    f = torch.where(ratio > bend**3, ratio.clamp(min=0) ** (1 / 3), ratio / (3 * bend**2) + 4 / 29)
    x, y, z = f.split(1, dim=1)
    return torch.cat((116 * y - 16, 500 * (x - y), 200 * (y - z)), dim=1)


def _hunt(lab: Tensor) -> Tensor:
    light = lab[:, :1]
    return torch.cat((light, 0.01 * light * lab[:, 1:]), dim=1)


def _hyab(one: Tensor, other: Tensor) -> Tensor:
    """City-block in lightness, Euclidean in colour: for large differences."""
    step = one - other
    return step[:, :1].abs() + step[:, 1:].square().sum(dim=1, keepdim=True).sqrt()


def _redistributed(colour: Tensor) -> Tensor:
    """Differences up to PC of the largest to [0, PT], the rest to [PT, 1]."""
    extremes = torch.tensor([[0.0, 1, 0], [0, 0, 1]], dtype=torch.float64)[:, :, None, None]
    green, blue = _perceived(extremes).split(1)
    largest = float(_hyab(green, blue)) ** QC
    knee = PC * largest
    upper = PT + (colour - knee) / (largest - knee) * (1 - PT)
    return torch.where(colour < knee, colour * (PT / knee), upper)


def _features(one: Tensor, other: Tensor, pixels_per_degree: float) -> Tensor:
    """How far edges and points differ between two lightness planes."""
    sigma = 0.5 * WIDTH * pixels_per_degree
    radius = math.ceil(3 * sigma)
    x = torch.arange(-radius, radius + 1, dtype=torch.float64)
    gaussian = torch.exp(-x.square() / (2 * sigma**2))
    edges = _balanced(-x * gaussian)
    points = _balanced((x.square() / sigma**2 - 1) * gaussian)
    across = gaussian / gaussian.sum()
    planes = [(plane + 16) / 116 for plane in (one, other)]
    difference = [
        (_magnitude(planes[0], line, across) - _magnitude(planes[1], line, across)).abs()
        for line in (edges, points)
    ]
    return (torch.maximum(*difference) / math.sqrt(2)).clamp(max=1) ** QF


def _balanced(line: Tensor) -> Tensor:
    """Positive weights summing to 1, negative ones to -1."""
    return torch.where(line > 0, line / line.clamp(min=0).sum(), line / -line.clamp(max=0).sum())


def _magnitude(plane: Tensor, line: Tensor, across: Tensor) -> Tensor:
    horizontal, vertical = _filtered(plane, across, line), _filtered(plane, line, across)
    return (horizontal.square() + vertical.square()).sqrt()
