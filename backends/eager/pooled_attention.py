"""Attention to cells of keys, less the keys that were found, in plain torch; differentiable."""

import torch
from torch import Tensor

NUMBERS = 1 << 22  # weights handled at once


def why_not(queries: Tensor, *_, **__) -> str | None:
    return None


def pooled_attention(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    found: Tensor,
    *,
    rank: Tensor,
    cell_keys: Tensor,
    cell_values: Tensor,
    counts: Tensor,
    spreads: Tensor,
    bend: Tensor,
    seen: Tensor,
    levels: int,
    leaf: int,
) -> tuple[Tensor, Tensor]:
    """Softmax attention of groups of queries to the cells that each group sees.

    queries: (B, G, S, D). keys: (B, M, D), values: (B, M, V). found: (B, G, S, k) int64 keys to be
        left out, -1 = none, each key once.
    rank: (B, M), cell_keys: (B, n, D), cell_values: (B, n, V), counts: (B, n), spreads: (B, n),
        bend: (B, D, V), levels, leaf: the cells, see methods.attention_tail.Tree.
    seen: (B, G, F) the cells that a group sees; disjoint, and all keys lie in them.
    A cell of n keys left, with mean logit s and logit variance 2x (x = half the query's power times
    the spread over D), weighs n (1 + x) exp(s); its value is the mean of those left, and
    spread / (1 + x) times what `bend` makes of the query.
    Returns (B, G, S, V) and the logarithm (B, G, S) of the summed weights, -inf (and 0) for none.
    """
    batch, groups, size, _ = queries.shape
    step = max(1, NUMBERS // (size * seen.shape[2]))
    outputs, sums = [], []
    for b in range(batch):
        parts = []
        for first in range(0, groups, step):
            part = slice(first, first + step)
            parts.append(
                _attend(
                    queries[b, part],
                    keys[b],
                    values[b],
                    found[b, part],
                    rank[b],
                    cell_keys[b],
                    cell_values[b],
                    counts[b],
                    spreads[b],
                    bend[b],
                    seen[b, part],
                    levels,
                    leaf,
                )
            )
        output, total = (torch.cat(tensors) for tensors in zip(*parts, strict=True))
        outputs.append(output)
        sums.append(total)
    return torch.stack(outputs), torch.stack(sums)


def _attend(
    queries, keys, values, found, rank, cell_keys, cell_values, counts, spreads, bend, seen,
    levels, leaf,
):  # fmt: skip
    logits = queries @ cell_keys[seen].transpose(1, 2)  # (G, S, F)
    half_variance = queries.square().sum(2, keepdim=True) / (2 * queries.shape[2])
    half_variance = half_variance * spreads[seen][:, None]
    there = found >= 0
    index = found.clamp(min=0)
    cell = _cell_of(rank[index], seen, levels, leaf)
    own = (queries[:, :, None] * keys[index]).sum(3) * there
    left = counts[seen][:, None] - torch.zeros_like(logits).scatter_add(2, cell, there.to(logits))
    total = counts[seen][:, None] * logits - torch.zeros_like(logits).scatter_add(2, cell, own)
    some = left > 0.5
    logits = torch.where(some, total / left.clamp(min=1), -torch.inf)
    most = logits.detach().amax(2, keepdim=True)
    most = most.masked_fill(most == -torch.inf, 0)
    each = (logits - most).exp() * (1 + half_variance)  # the weight of one key of the cell
    bulk = each * counts[seen][:, None]
    outside = torch.where(there, each.gather(2, cell), 0)
    output = bulk @ cell_values[seen] - (outside[..., None] * values[index]).sum(2)
    tilt = each * left * spreads[seen][:, None] / (1 + half_variance)
    output = output + tilt.sum(2, keepdim=True) * (queries @ bend)
    weight = (each * left).sum(2, keepdim=True)
    return output / weight.clamp(min=torch.finfo(weight.dtype).tiny), (weight.log() + most)[..., 0]


def _cell_of(rank, seen, levels: int, leaf: int):
    """Where in the list of seen cells (G, F) the keys of ranks (G, S, k) lie."""
    cells = torch.arange(1 << (levels + 1), device=rank.device)
    level = torch.floor(torch.log2(cells[:-1].double() + 1)).long()
    first = (cells[:-1] + 1 - (1 << level)) << (levels - level)
    first = torch.cat((first, first.new_tensor([1 << levels])))  # the empty cell comes last
    starts, order = first[seen].sort(1)
    leaves = (rank // leaf).flatten(1)
    at = torch.searchsorted(starts, leaves.contiguous(), right=True) - 1
    return order.gather(1, at).view(rank.shape)
