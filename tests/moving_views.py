"""Clips of a flat scene that is known everywhere, under a camera whose motion is known."""

import math

import numpy as np
import torch
from torch import Tensor

SIZE = (96, 144)


def camera(
    frames: int,
    *,
    size: tuple[int, int] = SIZE,
    pan: tuple[float, float] = (2.3, 0.7),
    turn: float = 0.0,
    zoom: float = 0.0,
    tilt: float = 0.0,
) -> np.ndarray:
    """(T, 3, 3), from pixels (x, y, 1) of each frame to places in the scene.

    Per frame: pan in pixels (x, y), turn in degrees, zoom and tilt (perspective) as they are.
    """
    middle = np.array([[1, 0, -(size[1] - 1) / 2], [0, 1, -(size[0] - 1) / 2], [0, 0, 1]])
    matrices = []
    for t in range(frames):
        angle, scale = math.radians(turn * t), math.exp(zoom * t)
        cos, sin = scale * math.cos(angle), scale * math.sin(angle)
        turned = np.array([[cos, -sin, pan[0] * t], [sin, cos, pan[1] * t], [tilt * t, 0, 1]])
        matrices.append(turned @ middle)
    return np.stack(matrices)


def views(
    matrices: np.ndarray, *, size: tuple[int, int] = SIZE, seed: int = 0, waves: int = 40
) -> Tensor:
    """(1, 3, T, H, W) float32 in [0, 1]: what the camera sees of a sum of waves 8 pixels and more
    long, computed at every place, not interpolated."""
    draw = np.random.default_rng(seed)
    heading, length = draw.uniform(0, 2 * np.pi, waves), draw.uniform(8, 60, waves)
    along = 2 * np.pi / length * np.stack([np.cos(heading), np.sin(heading)])
    phase, colour = draw.uniform(0, 2 * np.pi, waves), draw.uniform(-1, 1, (waves, 3))
    y, x = np.mgrid[: size[0], : size[1]]
    pixels = np.stack([x, y, np.ones_like(x)], -1).astype(float)
    frames = []
    for matrix in matrices:
        places = pixels @ matrix.T
        places = places[..., :2] / places[..., 2:]
        frames.append(np.sin(places @ along + phase) @ colour)
    values = np.stack(frames) / math.sqrt(waves) * 0.3 + 0.5
    return torch.from_numpy(values.clip(0, 1)).permute(3, 0, 1, 2)[None].float()


def moving_hole(
    frames: int, *, size: tuple[int, int] = SIZE, box: tuple[int, int] = (36, 28), step: int = 4
) -> Tensor:
    """(1, 1, T, H, W): a box (height, width) that goes `step` pixels to the right in each frame."""
    mask = torch.zeros(1, 1, frames, *size)
    for t in range(frames):
        left = 16 + step * t
        mask[:, :, t, 30 : 30 + box[0], left : left + box[1]] = 1
    return mask


def psnr(result: Tensor, truth: Tensor, where: Tensor) -> float:
    """In dB, over the pixels (1, 1, T, H, W) where it is True."""
    errors = (result - truth)[where.expand_as(truth)]
    return float(-10 * torch.log10(errors.square().mean()))
