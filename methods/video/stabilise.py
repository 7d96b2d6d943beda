"""Hold a clip still: every frame is laid on one canvas on which the background does not move.

What is done there - filling a hole, learning how a background looks - sees a camera at rest (the
stabilisation of Cherel 2024, chapter VI; Sanchez 2017, doi:10.5201/ipol.2017.209). The result goes
back onto the original frames, inside the mask only.
"""

import logging
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ...backends.threads import kernels_only
from ..checks import by, check_clip, check_clip_mask
from ..steps import Callback, Progress
from .frames import frame_of, grey_of, mask_of, put_in
from .registration import SMALLEST_SIDE, Registration, register
from .transforms import MODELS, Transforms, corners, inside, moved_points, read_through

log = logging.getLogger(__name__)

LARGEST = 8.0  # canvas, in areas of a frame
RIM = 2  # pixels around the mask that come onto the canvas mixed with what is under it


@dataclass(frozen=True)
class Stabilized:
    """A clip on the canvas on which its background stands still.

    clip: (1, C, T, h, w), 0 outside the frames. mask: (1, 1, T, h, w) in {0, 1}, all that the mask
    has touched. outside: (1, 1, T, h, w) in {0, 1}, where a frame does not reach.
    """

    clip: Tensor
    mask: Tensor
    outside: Tensor
    transforms: Transforms

    @property
    def report(self) -> str:
        """What was done, in sentences."""
        return report(self.transforms)


def stabilize(
    clip: Tensor,
    mask: Tensor | None = None,
    *,
    model: str = "homography",
    largest: float = LARGEST,
    callback: Callback | None = None,
) -> Stabilized:
    """Lay the frames on one canvas, so that the background stands still and nothing is cut off.

    clip: (1, C, T, H, W) floating, one clip. mask: (1, 1, T or 1, H, W); what is above 0 does not
        take part in measuring the motion.
    model: what the camera's motion may be. homography: anything, before a plane or far away;
        affine; similarity: turns, zooms and shifts; translation. Fewer freedoms are steadier where
        there is little to see.
    largest: the canvas may be so many times as large as a frame.
    callback: called with a Step for every frame, twice.
    Frames whose motion cannot be measured move on like the frame before and are named in
    `report` and in the transforms.
    Raises ValueError where the camera moves too far for one canvas (and says where to cut),
    ImportError where there is no OpenCV.
    """
    check_clip(clip, "the clip", side=SMALLEST_SIDE)
    if len(clip) != 1:
        raise ValueError(f"there are {len(clip)} clips; stabilise them one by one")
    if mask is not None:
        check_clip_mask(mask, "mask", clip)
    if model not in MODELS:
        raise ValueError(f"model {model!r} is not one of {', '.join(MODELS)}")
    frames, size = clip.shape[2], (clip.shape[3], clip.shape[4])
    progress = Progress(callback, 2 * frames, 1)
    shown = clip[:, :, frames // 2]
    progress.report(shown[:, :3], 0, 0)
    with kernels_only():
        found = register(
            lambda t: grey_of(clip, 0, t),
            lambda t: mask_of(mask, 0, t, size),
            frames,
            model,
            each=lambda done: progress.report(shown[:, :3], 0, done),
        )
        transforms = _on_a_canvas(found, size, largest)
        canvas = transforms.canvas_size
        laid = clip.new_zeros(1, clip.shape[1], frames, *canvas)
        masks, outside = (torch.zeros(1, 1, frames, *canvas, device=clip.device) for _ in range(2))
        for t, matrix in enumerate(transforms.matrices.numpy()):
            back = np.linalg.inv(matrix)
            reached = inside(back, canvas, size)
            values = read_through(frame_of(clip, 0, t), back, canvas)
            values[~reached] = 0
            laid[0, :, t] = torch.from_numpy(values).movedim(-1, 0).to(laid)
            touched = _touched(mask_of(mask, 0, t, size), back, canvas) & reached
            masks[0, 0, t] = torch.from_numpy(touched)
            outside[0, 0, t] = torch.from_numpy(~reached)
            progress.report(laid[:, :3, t], 0, frames + t + 1, t == frames - 1)
    told = Stabilized(laid, masks, outside, transforms)
    if transforms.fallback:
        log.warning(told.report)
    return told


def unstabilize(
    result: Tensor,
    transforms: Transforms,
    original: Tensor,
    mask: Tensor,
    *,
    callback: Callback | None = None,
) -> Tensor:
    """Bring what was done on the canvas back into the original frames, inside the mask.

    result: (1, C, T, h, w), of the canvas's size. original: (1, C, T, H, W), the clip that was
        stabilised, or another of its shape. mask: (1, 1, T or 1, H, W) in [0, 1]; where it is
        exactly 0 the original comes back bit for bit, elsewhere both are mixed in its proportion.
    Returns (1, C, T, H, W), of the original's dtype.
    Raises ValueError where sizes do not fit the transforms.
    """
    check_clip(result, "the result")
    check_clip(original, "the original")
    check_clip_mask(mask, "mask", original)
    size = (original.shape[3], original.shape[4])
    transforms.check(original.shape[2], size, "the original")
    wanted = (1, original.shape[1], original.shape[2], *transforms.canvas_size)
    if tuple(result.shape) != wanted or len(original) != 1:
        raise ValueError(
            f"the result has shape {tuple(result.shape)}, expected {wanted}: the stabilised clip "
            "with its hole filled, at its full size"
        )
    composed = original.detach().clone()
    progress = Progress(callback, len(transforms), 1)
    with kernels_only():
        for t, matrix in enumerate(transforms.matrices.numpy()):
            if mask_of(mask, 0, t, size).any():
                put_in(composed, 0, t, read_through(frame_of(result, 0, t), matrix, size), mask)
            progress.report(composed[:, :3, t], 0, t + 1, t == len(transforms) - 1)
    return composed


def report(transforms: Transforms) -> str:
    """What was measured, in sentences."""
    frames, canvas = len(transforms), transforms.canvas_size
    shift, turn, zoom = _extent(transforms)
    told = (
        f"{frames} frames of {transforms.frame_size[1]}x{transforms.frame_size[0]} on a canvas of "
        f"{canvas[1]}x{canvas[0]}; frame {transforms.reference} lies on it unchanged. From it the "
        f"others are shifted by up to {shift:.1f} pixels, turned by up to {turn:.2f} degrees, and "
        f"{100 * zoom:.1f} % larger or smaller at most."
    )
    if transforms.fallback:
        named = ", ".join(str(t) for t in transforms.fallback)
        told += (
            f" The motion of {len(transforms.fallback)} of {frames} frames could not be measured "
            f"(too little to see outside the mask, or a cut); they move on like the frame before: "
            f"{named}."
        )
    return told


def _extent(transforms: Transforms) -> tuple[float, float, float]:
    """The greatest shift of the middle (pixels), turn (degrees) and change of size."""
    size = transforms.frame_size
    matrices = transforms.matrices.numpy()
    middle = np.array([[(size[1] - 1) / 2, (size[0] - 1) / 2]])
    beside = np.concatenate([middle, middle + [[1.0, 0.0]]])
    at = np.stack([moved_points(matrix, beside) for matrix in matrices])
    arm = at[:, 1] - at[:, 0]
    shift = np.linalg.norm(at[:, 0] - at[transforms.reference, 0], axis=1).max()
    turn = np.degrees(np.abs(np.arctan2(arm[:, 1], arm[:, 0]))).max()
    return float(shift), float(turn), float(np.abs(np.linalg.norm(arm, axis=1) - 1).max())


def _on_a_canvas(found: Registration, size: tuple[int, int], largest: float) -> Transforms:
    """The smallest canvas that holds all frames, the reference at whole pixels."""
    boxes = _boxes(found.matrices, size)
    low, high = np.floor(boxes[:, 0].min(0)), np.ceil(boxes[:, 1].max(0))
    width, height = high - low + 1
    if not width * height <= largest * size[0] * size[1]:
        parts = _parts(boxes, size, largest)
        told = ", ".join(f"{first} to {last}" for first, last in parts)
        area = width * height / (size[0] * size[1])
        raise ValueError(
            f"the camera moves so far that the canvas would be {area:.1f} times as large as a "
            f"frame of {by(size)}, over the limit of {largest:g}; cut the clip into windows of the "
            f"frames {told} and stabilise each, or raise the limit"
        )
    shift = np.eye(3)
    shift[:2, 2] = -low
    return Transforms(
        torch.from_numpy(shift @ found.matrices),
        size,
        (int(height), int(width)),
        found.reference,
        tuple(found.fallback),
    )


def _boxes(matrices: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The boxes around the frames, (T, 2, 2): least and greatest (x, y); infinite where a matrix
    leads a corner behind the camera."""
    places = corners(size)
    boxes = np.empty((len(matrices), 2, 2))
    for box, matrix in zip(boxes, matrices, strict=True):
        if (places @ matrix[2, :2] + matrix[2, 2] <= 0.05).any():
            box[0], box[1] = -np.inf, np.inf
            continue
        at = moved_points(matrix, places).round(6)
        box[0], box[1] = at.min(0), at.max(0)
    return boxes


def _parts(boxes: np.ndarray, size: tuple[int, int], largest: float) -> list[tuple[int, int]]:
    """Runs of frames, (first, last), each of which fits one canvas."""
    parts, first = [], 0
    for t in range(1, len(boxes) + 1):
        run = boxes[first : t + 1]
        sides = run[:, 1].max(0) - run[:, 0].min(0) + 1
        if t == len(boxes) or not sides.prod() <= largest * size[0] * size[1]:
            parts.append((first, t - 1))
            first = t
    return parts


def _touched(mask: np.ndarray, back: np.ndarray, canvas: tuple[int, int]) -> np.ndarray:
    """(h, w) bool: what on the canvas is mixed with something under the mask."""
    import cv2

    grown = cv2.dilate(mask, np.ones((2 * RIM + 1,) * 2, np.uint8))
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    read = cv2.warpPerspective(grown, back, canvas[::-1], flags=flags)
    return read > 0
