"""Keys with large logits, looked for in the best cells that queries see, in plain torch."""

import torch
from torch import Tensor

NUMBERS = 1 << 22  # logits handled at once


def why_not(queries: Tensor, *_, **__) -> str | None:
    return None


def cell_search(
    queries: Tensor,
    listed: Tensor,
    *,
    order: Tensor,
    cell_keys: Tensor,
    counts: Tensor,
    seen: Tensor,
    levels: int,
    leaf: int,
    neighbours: int,
    probes: int,
) -> Tensor:
    """The keys with the largest inner products among those in the best leaves.

    queries: (B, G, S, D). listed, order, cell_keys, counts, levels, leaf: the keys and their cells,
        see methods.attention_cells.Tree. seen: (B, G, F) the cells that a group sees.
    probes: from as many cells, those with the largest mean logits, each query goes down to a leaf,
        and keeps the best keys there.
    Returns (B, G, S, neighbours) int64, best first, -1 where the leaves hold fewer.
    """
    batch, groups, size, channels = queries.shape
    found = queries.new_empty(batch, groups, size, neighbours, dtype=torch.int64)
    many = min(probes, seen.shape[2])
    step = max(1, NUMBERS // (size * max(seen.shape[2], many * leaf * channels)))
    for b in range(batch):
        leaves = order[b].view(1 << levels, leaf)
        for first in range(0, groups, step):
            part = slice(first, first + step)
            some, cells = queries[b, part].detach(), seen[b, part]
            logits = some @ cell_keys[b, cells].transpose(1, 2)
            logits = logits.masked_fill(counts[b, cells][:, None] == 0, -torch.inf)
            best, at = logits.topk(many, 2)
            cell = cells[:, None].expand(-1, size, -1).gather(2, at)
            for _ in range(levels):
                inner = cell < (1 << levels) - 1
                left = torch.where(inner, 2 * cell + 1, 0)
                pair = torch.stack((left, left + 1), 3)
                closer = (cell_keys[b, pair] @ some[:, :, None, :, None]).squeeze(4)
                closer = closer.masked_fill(counts[b, pair] == 0, -torch.inf).argmax(3)
                cell = torch.where(inner, left + closer, cell)
            at = (cell - ((1 << levels) - 1)).clamp(0, len(leaves) - 1)
            candidates = leaves[at].flatten(2)
            none = (candidates < 0) | (best == -torch.inf).repeat_interleave(leaf, 2)
            near = listed[b].detach().view(*leaves.shape, channels)[at].flatten(2, 3)
            scores = (near @ some[..., None]).squeeze(3)
            scores = scores.masked_fill(none, -torch.inf)
            scores, rank = scores.topk(min(neighbours, scores.shape[2]), 2)
            chosen = candidates.gather(2, rank).masked_fill(scores == -torch.inf, -1)
            found[b, part, :, : chosen.shape[2]] = chosen
            found[b, part, :, chosen.shape[2] :] = -1
    return found
