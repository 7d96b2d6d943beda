"""How the frames of a clip lie on one canvas, and what it takes to bring them there and back.

Matrices act on (x, y, 1) columns, in pixels, as OpenCV's do; everything else here is (y, x).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..checks import by

MODELS = ("homography", "affine", "similarity", "translation")


@dataclass(frozen=True)
class Transforms:
    """Where the frames of a clip lie on the canvas of its stabilised form.

    matrices: (T, 3, 3) float64, from pixels of a frame to pixels of the canvas, on (x, y, 1).
    frame_size, canvas_size: (H, W). reference: the frame that lies on the canvas unchanged.
    fallback: frames whose motion could not be measured; they were given that of the frame before.
    """

    matrices: Tensor
    frame_size: tuple[int, int]
    canvas_size: tuple[int, int]
    reference: int
    fallback: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.matrices)

    def to_dict(self) -> dict[str, Any]:
        """Numbers and lists only, as JSON holds them."""
        return {
            "matrices": self.matrices.tolist(),
            "frame_size": list(self.frame_size),
            "canvas_size": list(self.canvas_size),
            "reference": self.reference,
            "fallback": list(self.fallback),
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Transforms":
        """The inverse of `to_dict`. Raises ValueError for matrices that are none."""
        matrices = torch.tensor(values["matrices"], dtype=torch.float64)
        if matrices.dim() != 3 or matrices.shape[1:] != (3, 3):
            raise ValueError(
                f"the matrices have shape {tuple(matrices.shape)}, expected (T, 3, 3), one for "
                "each frame"
            )
        if not torch.isfinite(matrices).all() or (torch.linalg.det(matrices).abs() < 1e-9).any():
            raise ValueError("a matrix is not invertible: there is no way back from the canvas")
        frame, canvas = values["frame_size"], values["canvas_size"]
        return cls(
            matrices,
            (int(frame[0]), int(frame[1])),
            (int(canvas[0]), int(canvas[1])),
            int(values["reference"]),
            tuple(int(t) for t in values["fallback"]),
        )

    def check(self, frames: int, size: tuple[int, int], name: str) -> None:
        """Raise ValueError unless a clip of `frames` frames of `size` (H, W) is the one they are
        for."""
        if frames != len(self) or tuple(size) != self.frame_size:
            raise ValueError(
                f"{name} has {frames} frames of {by(size)}, but the transforms are for "
                f"{len(self)} frames of {by(self.frame_size)}; give the clip that was stabilised"
            )


def moved_points(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(N, 2) points (x, y) under a (3, 3) matrix, of the points' precision."""
    import cv2

    if not len(points):
        return points
    return cv2.perspectiveTransform(points[None], matrix)[0]


def corners(size: tuple[int, int]) -> np.ndarray:
    """The centres of the four corner pixels of (H, W), as (4, 2) points (x, y)."""
    right, lower = size[1] - 1.0, size[0] - 1.0
    return np.array([[0.0, 0.0], [right, 0.0], [right, lower], [0.0, lower]])


def read_through(values: np.ndarray, matrix: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(h, w, C) float32 read, by Lanczos over 8x8 pixels, where a matrix leads from (H, W).

    Beyond its border is its edge; no value comes out beyond the least and greatest that went in.
    Returns (H, W, C) float32.
    """
    import cv2

    flags = cv2.INTER_LANCZOS4 | cv2.WARP_INVERSE_MAP
    out = np.empty((*size, values.shape[2]), np.float32)
    for first in range(0, values.shape[2], 4):  # OpenCV reads at most four channels at a time
        some = np.ascontiguousarray(values[..., first : first + 4])
        read = cv2.warpPerspective(
            some, matrix, size[::-1], flags=flags, borderMode=cv2.BORDER_REPLICATE
        )
        out[..., first : first + 4] = read.reshape(*size, -1)
    return out.clip(values.min(axis=(0, 1)), values.max(axis=(0, 1)), out=out)


def inside(matrix: np.ndarray, size: tuple[int, int], source: tuple[int, int]) -> np.ndarray:
    """(H, W) bool: the pixels that a matrix leads onto pixels of `source`, (h, w)."""
    y, x = np.mgrid[: size[0], : size[1]]
    led = moved_points(matrix, np.stack([x.ravel(), y.ravel()], 1).astype(np.float64))
    within = (led > -0.5).all(1) & (led < np.array(source[::-1]) - 0.5).all(1)
    return within.reshape(size)
