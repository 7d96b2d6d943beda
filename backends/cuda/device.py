"""What the Triton kernels have in common: where they run, and how much one program handles."""

from collections.abc import Sequence

import torch
import triton
from torch import Tensor

from .. import patches

# Triton decides at import whether kernels are compiled or interpreted (TRITON_INTERPRET=1)
INTERPRETED = bool(triton.knobs.runtime.interpret)
TILE = 1 << 16 if INTERPRETED else 1 << 10  # numbers that one program holds at a time
CHUNK = 1 << 8 if INTERPRETED else 1 << 5  # of them for one pixel: a warp reads 32 side by side
MOST = (1 << 31) - 1  # elements that 32-bit index arithmetic reaches


def refusal(*tensors: Tensor, most: int = 0) -> str | None:
    """Why the kernels cannot take these tensors, or None.

    most: elements of the largest buffer that the operation will make.
    """
    if not INTERPRETED and not all(t.is_cuda for t in tensors):
        return "not all tensors lie on a GPU (TRITON_INTERPRET=1 tries the kernels without one)"
    if most > MOST:
        return f"{most} elements are more than 32-bit indices reach; split the image or clip"
    return None


def refusal_of_clips(axes: int, *tensors: Tensor, most: int = 0) -> str | None:
    """`refusal` where kernels are written for images alone. axes: space axes of the data."""
    return refusal(*tensors, most=most) if axes == 2 else "clips are left to eager"


def volume(size: Sequence[int]) -> tuple[int, int, int]:
    """(T, H, W) of (H, W) or (T, H, W): to the kernels, an image is a clip of one frame."""
    frames, height, width = (1, *size)[-3:]
    return frames, height, width


def shape_constants(axes: int, patch_size: int, **wraps: patches.Flags) -> dict[str, int | bool]:
    """AXES, DEPTH and PATCH as the kernels take them, and WRAP_T, WRAP_Y ... of each of `wraps`."""
    constants = dict(AXES=axes, DEPTH=patch_size if axes == 3 else 1, PATCH=patch_size)
    for name, flags in wraps.items():
        padded = (False,) * (3 - axes) + flags
        constants |= {f"{name.upper()}_{axis}": f for axis, f in zip("TYX", padded, strict=True)}
    return constants


def linear(wanted: Tensor | None, batch: int, size: Sequence[int], device: torch.device) -> Tensor:
    """int32 indices into (batch, *size) of the pixels to work on, frame after frame in order of
    small square tiles, so that the pixels of one program share most of what they read."""
    frames, height, width = volume(size)
    y = torch.arange(height, device=device)[:, None]
    x = torch.arange(width, device=device)
    tile = (y // 8) * ((width + 7) // 8) + x // 8
    order = ((tile * 8 + y % 8) * 8 + x % 8).flatten().argsort()
    pixels = torch.arange(batch * frames, device=device)[:, None] * (height * width) + order
    if wanted is not None:
        pixels = pixels[wanted.reshape(batch * frames, -1)[:, order]]
    return pixels.flatten().int()


def tile(numbers: int, count: int) -> tuple[int, int]:
    """How many of `count` pixels a program handles, and how many of the `numbers` of each at once:
    powers of two."""
    chunk = min(CHUNK, triton.next_power_of_2(numbers))
    block = TILE // chunk
    if INTERPRETED:  # where idle lanes cost as much as others
        block = min(block, triton.next_power_of_2(max(1, count)))
    return block, chunk
