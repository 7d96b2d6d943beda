"""Images and clips as the kernels on pairs take them."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from .pair_kernels import invert
from .simd import SLACK

PIECE = 1 << 12  # pixels that one piece of work makes, about


def refusal(*tensors: Tensor) -> str | None:
    """Why the kernels cannot take these tensors, or None."""
    for tensor in tensors:
        if tensor.device.type != "cpu":
            return f"the maps lie on {tensor.device}"
        if tensor.dtype == torch.float64:
            return "it works in float32"
    return None


def flat(image: Tensor) -> np.ndarray:
    """(C, *size) as a flat float32 array, channels last, with room behind it for the vectors' last
    reads."""
    out = torch.from_numpy(np.empty(image.numel() + SLACK, np.float32))
    out[: image.numel()].view(*image.shape[1:], len(image)).copy_(image.movedim(0, -1))
    out[image.numel() :] = 0
    return out.numpy()


def unflat(numbers: np.ndarray, shape: Sequence[int]) -> Tensor:
    """The inverse of `flat`, for an array with nothing behind it: a view of `shape` (C, *size)."""
    return torch.from_numpy(numbers).view(*shape[1:], shape[0]).movedim(-1, 0)


def volume(size: Sequence[int]) -> tuple[int, int, int]:
    """(T, H, W) of (H, W) or (T, H, W)."""
    frames, height, width = (1, *size)[-3:]
    return int(frames), int(height), int(width)


def depth(size: Sequence[int], patch_size: int) -> int:
    """How many frames a patch has."""
    return patch_size if len(size) == 3 else 1


def lines(size: Sequence[int]) -> tuple[int, int]:
    """The rows of pixels of a map, and how many of them make a piece of work."""
    frames, height, width = volume(size)
    return frames * height, max(1, PIECE // width)


def listed(positions: Tensor) -> np.ndarray:
    """(n, axes, *size) positions of a picture as (n, axes, pixels)."""
    return positions.flatten(2).contiguous().numpy()


def inverse(positions: np.ndarray, key_size: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """For each key, which pairs lead to it: see invert."""
    frames, height, width = volume(key_size)
    starts = np.zeros(frames * height * width + 2, np.int64)
    count = positions.shape[0] * positions.shape[2]
    order = np.empty(count, np.int32 if count < 1 << 31 else np.int64)
    invert(positions, (frames, height, width), starts, order)
    return starts[:-1], order[: starts[-1]]
