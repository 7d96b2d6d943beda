"""The gradient of the attention to found keys on the CPU, in numba.

Nothing races: each logit and each value collects its own, values by the inverse of the list of
pairs.
"""

from functools import partial

import torch
from torch import Tensor

from .. import pairs
from . import pixels
from .pair_kernels import gather_to_logits, gather_to_values
from .threads import run_pieces, stripes


def why_not(
    gradient: Tensor, sum_gradient: Tensor, logits: Tensor, values: Tensor, *_, **__
) -> str | None:
    return pixels.refusal(logits, values)


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
    """See backends.eager.gather_attention_gradient.gather_attention_gradient."""
    pairs.check_lists(logits, values, positions, window)
    (_, _, *size), (channels, *key_size) = logits.shape, values.shape[1:]
    to_logits, to_values = torch.empty(logits.shape), torch.empty(values.shape)
    moved = torch.empty(*key_size, channels)
    sizes = pixels.volume(size), pixels.volume(key_size), channels
    windows = window, pixels.depth(size, window)
    for b in range(len(logits)):
        given = pixels.flat(gradient[b])
        table = logits[b].detach().float().flatten(1).contiguous().numpy()
        total = log_sum[b].detach().float().flatten().contiguous().numpy()
        found = pixels.listed(positions[b])
        work = partial(
            gather_to_logits,
            given,
            sum_gradient[b].float().flatten().contiguous().numpy(),
            table,
            found,
            pixels.flat(values[b].detach()),
            pixels.flat(output[b].detach()),
            total,
            *sizes,
            *windows,
            to_logits[b].flatten(1).numpy(),
        )
        run_pieces(work, stripes(*pixels.lines(size)))
        inverse = pixels.inverse(found, key_size)
        work = partial(
            gather_to_values, given, table, total, *inverse, *sizes, *windows,
            moved.flatten().numpy(),
        )  # fmt: skip
        run_pieces(work, stripes(*pixels.lines(key_size)))
        to_values[b] = moved.movedim(-1, 0)
    return to_logits, to_values
