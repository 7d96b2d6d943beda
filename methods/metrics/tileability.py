"""Seams: whether a picture goes on where its opposite sides meet."""

import time
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ..checks import by, check_image, size_of
from .scores import Score

SCALES = (1, 2, 4)  # widths in pixels of what is compared at a joint
FLOOR = 1 / 255  # a break that no 8 bit picture could show; keeps flat pictures at 1
AXES = {"seam_x": 3, "seam_y": 2}


def seam_x(image: Tensor) -> Tensor:
    """How much stronger a picture breaks where its right side meets its left than it does inside.

    image: (B, C, H, W) floating, nominally [0, 1]. Returns (B,) float64: about 1 where there is no
    seam (below 1 where little happens at the sides), larger the plainer the seam; 1 for a picture
    of one colour.

    The break at a joint, at scale s, is what is left of the step across it when the slopes on its
    two sides are taken off: with m1 m2 | m3 m4 the means of four neighbouring stretches of s pixels
    two on either side, it is |(m3 - m2) - (m2 - m1) / 2 - (m4 - m3) / 2| * 2, that is
    |m4 - 3 m3 + 3 m2 - m1|, averaged over channels and over all runs of s rows. So a gradient that
    jumps at the border counts, and a sharp texture that goes on across it does not. The score of a
    scale is (break at the border + FLOOR) / (mean break at all joints whose four stretches lie
    inside + FLOOR); the result is the largest of scales 1, 2 and 4 (those that fit), since fine
    scales see sharp seams and coarse ones see a change of light under noise.
    Raises ValueError if a side is below 8 pixels.
    Our own definition. The step against the slopes on both sides is Gallagher's measure of whether
    jigsaw pieces fit (2012, doi:10.1109/CVPR.2012.6247699), here without its covariance.
    """
    return _seam(image, 3)[0]


def seam_y(image: Tensor) -> Tensor:
    """`seam_x` for the lower side, which meets the upper one."""
    return _seam(image, 2)[0]


def tileability(
    image: Tensor, *, method: str = "image", images: Sequence[str] | None = None
) -> list[Score]:
    """`seam_x` and `seam_y` of every picture, as rows.

    image: (B, C, H, W) floating. method: what made it. images: names of the pictures. The note of a
    row says how many of the joints inside break less than the border: with 100 % and a value well
    above 1 there is a seam.
    """
    names = [str(index) for index in range(len(image))] if images is None else images
    if len(names) != len(image):
        raise ValueError(f"{len(names)} names do not fit {len(image)} pictures")
    rows = []
    for index, name in enumerate(names):
        for metric, axis in AXES.items():
            started = time.perf_counter()
            value, share = _seam(image[index : index + 1], axis)
            rows.append(
                Score(
                    method,
                    name,
                    metric,
                    "all",
                    float(value),
                    "lower",
                    seconds=round(time.perf_counter() - started, 4),
                    note=f"stronger than at {100 * float(share):.0f} % of the joints inside",
                )
            )
    return rows


def _seam(image: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """(B,) float64: the score, and the share of joints inside that break less, at its scale."""
    check_image(image, "image")
    lines = image.double().transpose(axis, 3)
    if min(size_of(image)) < 8:
        raise ValueError(f"the image is {by(size_of(image))}; a seam needs sides of at least 8")
    scores, shares = [], []
    for scale in SCALES:
        if min(size_of(image)) < 8 * scale:
            break
        breaks = _breaks(lines, scale)
        inside, border = breaks[:, :-1], breaks[:, -1]
        scores.append((border + FLOOR) / (inside.mean(1) + FLOOR))
        shares.append((inside < border[:, None]).double().mean(1))
    score, worst = torch.stack(scores).max(0)
    return score, torch.stack(shares).gather(0, worst[None])[0]


def _breaks(lines: Tensor, scale: int) -> Tensor:
    """The break at every joint along the last axis whose four stretches lie inside, and at last
    that at the border, (B, joints + 1)."""
    side = 2 * scale
    around = torch.cat((lines[..., -side:], lines[..., :side]), 3)
    both = [F.avg_pool2d(part, scale, stride=1) for part in (lines, around)]
    steps = [_third_difference(part, scale).abs().mean((1, 2)) for part in both]
    return torch.cat(steps, 1)


def _third_difference(means: Tensor, step: int) -> Tensor:
    first, second, third, fourth = (
        means[..., i * step : means.shape[3] - (3 - i) * step] for i in range(4)
    )
    return fourth - 3 * third + 3 * second - first
