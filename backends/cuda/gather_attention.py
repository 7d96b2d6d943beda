"""Softmax over the keys found for each query, and the weighted sum of their values, in Triton."""

import torch
import triton
from torch import Tensor

from .. import pairs
from .device import linear, refusal_of_clips, tile
from .pair_kernels import gather as kernel


def why_not(logits: Tensor, values: Tensor, positions: Tensor, **_) -> str | None:
    numbers = len(values) * values.shape[1] * logits[0, 0].numel()
    most = max(numbers, values.numel(), positions.numel())
    return refusal_of_clips(values.ndim - 2, logits, values, positions, most=most)


def gather_attention(
    logits: Tensor, values: Tensor, positions: Tensor, *, window: int = 1
) -> tuple[Tensor, Tensor]:
    """The contract of `eager.gather_attention`, for images."""
    pairs.check_lists(logits, values, positions, window)
    dtype, size = pairs.precise(logits, values), logits.shape[2:]
    batch, channels = values.shape[:2]
    pixels = linear(None, batch, size, values.device)
    output = torch.empty(batch, *size, channels, dtype=dtype, device=values.device)
    log_sum = torch.empty(batch, *size, dtype=dtype, device=values.device)
    block, chunk = tile(channels, len(pixels))
    grid = (triton.cdiv(len(pixels), block), triton.cdiv(channels, chunk))
    kernel[grid](  # pyright: ignore[reportIndexIssue]  a kernel, not the function it was
        pixels,
        len(pixels),
        logits.detach().to(dtype).contiguous(),
        positions.contiguous(),
        values.detach().to(dtype).movedim(1, -1).contiguous(),
        output,
        log_sum,
        logits.shape[1],
        *size,
        *values.shape[2:],
        channels,
        WINDOW=window,
        BLOCK=block,
        CHUNK=chunk,
    )
    return output.movedim(-1, 1).contiguous(), log_sum
