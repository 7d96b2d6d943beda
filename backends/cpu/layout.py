"""Pictures and clips as the flat arrays that the patch search reads.

Everything goes frame by frame: a clip of 120 frames of 1280 x 720 has 10^8 pixels, and one copy of
it besides the flat ones would be the largest thing in memory.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from .. import patches
from .simd import SLACK

Pad = Callable[[Tensor, int, patches.Flags], Tensor]  # patches.pad or patches.pad_torus


def holds_bytes(clip: Tensor) -> bool:
    """Whether every value of (C, T, H, W) is a multiple of 1/255 in [0, 1]."""
    for frame in clip.unbind(1):
        numbers = frame.flatten()
        for part in (numbers[:: 1 + len(numbers) // 4096], numbers):  # most fail at once
            scaled = part.float() * 255
            rounded = scaled.round()
            whole = ((scaled - rounded).abs() < 1e-3).all()
            if not whole or rounded.min() < 0 or rounded.max() > 255:
                return False
    return True


def flat(
    clip: Tensor, depth: int, patch_size: int, wrap: patches.Flags, pad: Pad, as_bytes: bool
) -> tuple[np.ndarray, int, int]:
    """(C, T, H, W), padded for patches of depth x patch_size x patch_size, as (T, H, W, C) numbers.

    They have room behind them for the vectors' last reads; then, in pixels, a row's and a frame's
    length. as_bytes: uint8, of a clip that `holds_bytes`; else float32.
    """
    half = patch_size // 2
    frames = pad(torch.arange(clip.shape[1]), depth // 2, wrap[:1]).tolist()
    height, width = pad(clip[:1, 0], half, wrap[1:]).shape[1:]
    count = len(frames) * height * width * len(clip)
    # numpy asks for huge pages, in which random reads of large pictures are faster
    out = torch.from_numpy(np.empty(count + SLACK, np.uint8 if as_bytes else np.float32))
    for place, t in zip(out[:count].view(len(frames), height, width, -1), frames, strict=True):
        frame = clip[:, t].float()
        if as_bytes:
            frame = (frame * 255).round().to(torch.uint8)
        place.copy_(pad(frame, half, wrap[1:]).permute(1, 2, 0))
    out[count:] = 0
    return out.numpy(), width, height * width


def norms(clip: Tensor, depth: int, patch_size: int, wrap: patches.Flags) -> np.ndarray:
    """(C, T, H, W) -> flat reciprocal norms of the patches around its pixels; 0 for one of zeros.

    Patches that leave the clip are completed as `patches.pad` does.
    """
    size = clip.shape[1:]
    ones = torch.ones(1, 1, patch_size, 1)
    sums = torch.empty(size)
    for t in range(size[0]):
        squares = clip[:, t].float().square().sum(0, keepdim=True)
        squares = patches.pad(squares, patch_size // 2, wrap[1:])[None]
        across = torch.nn.functional.conv2d(squares, ones)
        sums[t] = torch.nn.functional.conv2d(across, ones.transpose(2, 3))[0, 0].clamp_min(0)
    out = torch.empty(size)
    frames = patches.pad(torch.arange(size[0]), depth // 2, wrap[:1]).tolist()
    for t in range(size[0]):
        total = torch.stack([sums[i] for i in frames[t : t + depth]]).sum(0)
        out[t] = torch.where(total > 0, total.rsqrt(), total)
    return out.flatten().numpy()


def numbers(tensor: Tensor) -> np.ndarray:
    """All numbers of a tensor as flat float32, with room behind them for vectors to read.

    To be read only: where the storage of a float32 tensor goes on behind it, as in all but the last
    item of a batch, it is the tensor itself.
    """
    tensor = tensor.detach()
    if tensor.dtype == torch.float32 and tensor.is_contiguous():
        end = tensor.storage_offset() + tensor.numel() + SLACK
        if end * tensor.element_size() <= tensor.untyped_storage().nbytes():
            return tensor.view(-1).numpy()
    out = np.empty(tensor.numel() + SLACK, np.float32)
    torch.from_numpy(out[: tensor.numel()]).view(tensor.shape).copy_(tensor)
    out[tensor.numel() :] = 0
    return out
