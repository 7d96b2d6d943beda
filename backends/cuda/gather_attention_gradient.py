"""The gradient of the attention to found keys, as Triton kernels."""

import torch
import triton
from torch import Tensor

from .. import pairs
from .device import linear, refusal_of_clips, tile
from .pair_kernels import gather_to_logits, gather_to_values


def why_not(
    gradient: Tensor,
    sum_gradient: Tensor,
    logits: Tensor,
    values: Tensor,
    positions: Tensor,
    *_,
    **__,
) -> str | None:
    most = max(gradient.numel(), values.numel(), positions.numel())
    return refusal_of_clips(values.ndim - 2, gradient, logits, values, positions, most=most)


def gather_attention_gradient(
    gradient: Tensor,
    sum_gradient: Tensor,
    logits: Tensor,
    values: Tensor,
    positions: Tensor,
    output: Tensor,
    log_sum: Tensor,
    *,
    window: int = 1,
) -> tuple[Tensor, Tensor]:
    """The contract of `eager.gather_attention_gradient`, for images."""
    pairs.check_lists(logits, values, positions, window)
    dtype = pairs.precise(logits, values)
    size, key_size = logits.shape[2:], values.shape[2:]
    channels, keys = values.shape[1], key_size.numel()

    def packed(maps: Tensor) -> Tensor:
        return maps.detach().to(dtype).movedim(1, -1).contiguous()

    given, table = packed(gradient), logits.detach().to(dtype).contiguous()
    log_sum = log_sum.detach().to(dtype).contiguous()
    pixels = linear(None, len(values), size, values.device)
    to_logits = torch.empty_like(table)
    block, chunk = tile(channels, len(pixels))
    grid = (triton.cdiv(len(pixels), block), logits.shape[1])
    gather_to_logits[grid](  # pyright: ignore[reportIndexIssue]  a kernel, not a function
        pixels,
        len(pixels),
        given,
        sum_gradient.to(dtype).contiguous(),
        table,
        positions.contiguous(),
        packed(values),
        packed(output),
        log_sum,
        to_logits,
        logits.shape[1],
        *size,
        *key_size,
        channels,
        WINDOW=window,
        BLOCK=block,
        CHUNK=chunk,
    )
    to_values = torch.empty(len(values), *key_size, channels, dtype=dtype, device=values.device)
    block, chunk = tile(channels, keys)
    for b in range(len(values)):
        starts, order = pairs.inverse(positions[b], key_size)
        grid = (triton.cdiv(keys, block), triton.cdiv(channels, chunk))
        gather_to_values[grid](  # pyright: ignore[reportIndexIssue]  a kernel, not a function
            to_values[b],
            keys,
            given[b],
            table[b],
            log_sum[b],
            starts.int(),
            order.int(),
            *size,
            *key_size,
            channels,
            WINDOW=window,
            BLOCK=block,
            CHUNK=chunk,
        )
    return to_logits, to_values.movedim(-1, 1).contiguous()
