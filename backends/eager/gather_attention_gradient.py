"""The gradient of the attention to found keys, in plain torch."""

import torch
from torch import Tensor

from .. import pairs
from .gather_attention import Lists


def why_not(
    gradient: Tensor, sum_gradient: Tensor, logits: Tensor, values: Tensor, *_, **__
) -> str | None:
    return None


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
    """What gradients with respect to both results of gather_attention are to its two arguments.

    gradient: (B, Cv, *size) of the output, sum_gradient: (B, *size) of the logarithm of the sum;
    logits, values, positions, window are what gather_attention made `output` and `log_sum` of.
    Returns (B, n, *size) with respect to the logits and (B, Cv, *key size) to the values, float64
    if either is, else float32.
    """
    pairs.check_lists(logits, values, positions, window)
    dtype = pairs.precise(logits, values)
    to_logits, to_values = [], []
    for b in range(len(logits)):
        lists = Lists(logits[b].to(dtype), positions[b], window, values.shape[2:])
        flat, given = values[b].to(dtype).flatten(1), gradient[b].to(dtype).flatten(1)
        made, given_sum = output[b].to(dtype).flatten(1), sum_gradient[b].to(dtype).flatten()
        total = log_sum[b].to(dtype).flatten()
        total = total.masked_fill(total.isinf(), 0.0)
        given_logits, given_values = torch.zeros_like(lists.logits), torch.zeros_like(flat)
        for part in lists.chunks(len(flat)):
            listed, indices, sources = lists.of(part)
            weights = (listed - total[part]).exp()
            slopes = (flat[:, indices] - made[:, None, None, part]) * given[:, None, None, part]
            slopes = weights * (slopes.sum(0) + given_sum[part])
            given_logits.scatter_add_(1, sources.flatten(1), slopes.flatten(1))
            shares = (weights * given[:, None, None, part]).flatten(1)
            given_values.scatter_add_(1, indices.flatten().expand(len(flat), -1), shares)
        inside = given_logits.view(lists.padded_shape)
        for axis, n in enumerate(lists.size, 1):
            inside = inside.narrow(axis, window // 2, n)
        to_logits.append(inside)
        to_values.append(given_values.view(values[b].shape))
    return torch.stack(to_logits), torch.stack(to_values)
