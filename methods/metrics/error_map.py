"""Where two pictures differ, as a picture."""

from contextlib import nullcontext

import torch
from torch import Tensor

from ...backends.threads import kernels_only
from ..checks import by, check_image, size_of
from .compare import Networks
from .flip import flip_map
from .lpips import lpips_map
from .pixels import l1_map
from .registry import METRICS
from .structure import ssim_map
from .weights import WeightsSource

MAPS = {
    "flip": flip_map,
    "l1": l1_map,
    "ssim": ssim_map,
    "lpips_alex": lpips_map,
    "lpips_vgg": lpips_map,
}


def error_map(
    result: Tensor, reference: Tensor, metric: str = "flip", weights: WeightsSource | None = None
) -> Tensor:
    """(B, 1, H, W) float32: a metric's error at every pixel, 0 where there is none.

    result, reference: (B, C, H, W) of equal size, B alike or 1. metric: flip (in [0, 1]), l1, ssim
    (1 - SSIM around the pixel), lpips_alex or lpips_vgg (their layers' maps added, enlarged).
    Raises ValueError for other metrics, sizes that differ, and missing weights.
    """
    if metric not in MAPS:
        raise ValueError(f"there is no map of {metric}; there are {', '.join(MAPS)}")
    check_image(result, "result")
    check_image(reference, "reference", batch=(1, len(result)))
    if size_of(result) != size_of(reference) or result.shape[1] != reference.shape[1]:
        raise ValueError(
            f"the result is {by(result.shape[1:])}, the reference {by(reference.shape[1:])} "
            "(channels x height x width); bring both to one shape"
        )
    network, _ = Networks(weights).of(METRICS[metric], result.device)
    with nullcontext() if network else kernels_only():
        return MAPS[metric](result, reference.expand_as(result), *network).float()


def false_colours(values: Tensor) -> Tensor:
    """(B, 1, H, W) in [0, 1] as magma, black over purple and orange to pale yellow: (B, 3, H, W).

    Values beyond the range have the colours of its ends. Raises ImportError without OpenCV.
    """
    try:
        import cv2
    except ImportError as error:
        raise ImportError(
            "false colours need OpenCV; pip install opencv-python-headless, or choose grey"
        ) from error
    bytes_ = values[:, 0].clamp(0, 1).mul(255).round().byte().cpu().numpy()
    pictures = [cv2.applyColorMap(picture, cv2.COLORMAP_MAGMA)[..., ::-1] for picture in bytes_]
    coloured = torch.stack([torch.from_numpy(p.copy()) for p in pictures])
    return coloured.movedim(-1, 1).to(values.device).float() / 255
