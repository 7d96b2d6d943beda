"""Single frames of clips as OpenCV takes them, and the way back into a clip."""

import numpy as np
import torch
from torch import Tensor

from ..motion import luma


def frame_of(clip: Tensor, index: int, t: int) -> np.ndarray:
    """Frame t of a clip (B, C, T, H, W), or its only frame, as (H, W, C) float32; it may be the
    clip's own memory."""
    frame = clip[index % len(clip), :, min(t, clip.shape[2] - 1)]
    return np.ascontiguousarray(frame.detach().movedim(0, -1).float().cpu().numpy())


def mask_of(mask: Tensor | None, index: int, t: int, size: tuple[int, int]) -> np.ndarray:
    """What a mask (B or 1, 1, T or 1, H, W) touches in frame t, (H, W) uint8, 255 above 0."""
    if mask is None:
        return np.zeros(size, np.uint8)
    frame = mask[index % len(mask), 0, min(t, mask.shape[2] - 1)] > 0
    return np.where(frame.cpu().numpy(), 255, 0).astype(np.uint8)


def hidden_of(
    mask: Tensor, avoid: Tensor | None, index: int, t: int, size: tuple[int, int]
) -> np.ndarray:
    """What a hole and what is to be avoided touch together, as `mask_of`."""
    return np.maximum(mask_of(mask, index, t, size), mask_of(avoid, index, t, size))


def grey_of(clip: Tensor, index: int, t: int) -> np.ndarray:
    """The brightness of frame t, (H, W) uint8."""
    frame = clip[index, :, t].detach()[None]
    return (luma(frame)[0].clamp(0, 1) * 255).round().byte().cpu().numpy()


def put_in(result: Tensor, index: int, t: int, fill: np.ndarray, mask: Tensor) -> None:
    """Mix a fill (H, W, C) into frame t of `result` in the proportion of the mask.

    Where the mask is exactly 0 the frame stays bit for bit.
    """
    frame = result[index, :, t]
    share = mask[index % len(mask), :, min(t, mask.shape[2] - 1)].to(frame)
    new = torch.from_numpy(fill).movedim(-1, 0).to(frame)
    mixed = torch.where(share >= 1, new, frame + share * (new - frame))
    frame.copy_(torch.where(share > 0, mixed, frame))
