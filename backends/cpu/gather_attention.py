"""Softmax over the keys found for each query, and the weighted sum of their values, in numba."""

from functools import partial

import torch
from torch import Tensor

from .. import pairs
from . import pixels
from .pair_kernels import gather
from .threads import run_pieces, stripes


def why_not(logits: Tensor, values: Tensor, positions: Tensor, **_) -> str | None:
    return pixels.refusal(logits, values, positions)


def gather_attention(
    logits: Tensor, values: Tensor, positions: Tensor, *, window: int = 1
) -> tuple[Tensor, Tensor]:
    """See backends.eager.gather_attention.gather_attention."""
    pairs.check_lists(logits, values, positions, window)
    (batch, _, *size), (channels, *key_size) = logits.shape, values.shape[1:]
    output, log_sum = torch.empty(batch, channels, *size), torch.empty(batch, *size)
    made = torch.empty(*size, channels)
    for b in range(batch):
        work = partial(
            gather,
            logits[b].detach().float().flatten(1).contiguous().numpy(),
            pixels.listed(positions[b]),
            pixels.flat(values[b].detach()),
            pixels.volume(size),
            pixels.volume(key_size),
            channels,
            window,
            pixels.depth(size, window),
            made.flatten().numpy(),
            log_sum[b].flatten().numpy(),
        )
        run_pieces(work, stripes(*pixels.lines(size)))
        output[b] = made.movedim(-1, 0)
    return output, log_sum
