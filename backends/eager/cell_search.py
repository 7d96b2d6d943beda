"""Keys with large logits, looked for in the best cells that queries see, in plain torch."""

import torch
from torch import Tensor

BLOCK = 2  # levels above the leaves: what is looked into at once, four leaves
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
    """The keys with the largest inner products among those in the best blocks of four leaves.

    queries: (B, G, S, D). listed, order, cell_keys, counts, levels, leaf: the keys and their cells,
        see methods.attention_cells.Tree. seen: (B, G, F) the cells that a group sees.
    probes: from as many cells, those with the largest mean logits, each query goes down (or up) to
        a block, and keeps the best keys there.
    Returns (B, G, S, neighbours) int64, best first, -1 where the blocks hold fewer.
    """
    batch, groups, size, channels = queries.shape
    found = queries.new_empty(batch, groups, size, neighbours, dtype=torch.int64)
    many, level = min(probes, seen.shape[2]), max(0, levels - BLOCK)
    blocks, before = 1 << level, (1 << level) - 1
    step = max(
        1, NUMBERS // (size * max(seen.shape[2], many * order.shape[1] // blocks * channels))
    )
    for b in range(batch):
        keys, near = order[b].view(blocks, -1), listed[b].detach().view(blocks, -1, channels)
        for first in range(0, groups, step):
            part = slice(first, first + step)
            some, cells = queries[b, part].detach(), seen[b, part]
            logits = some @ cell_keys[b, cells].transpose(1, 2)
            logits = logits.masked_fill(counts[b, cells][:, None] == 0, -torch.inf)
            best, at = logits.topk(many, 2)
            cell = cells[:, None].expand(-1, size, -1).gather(2, at)
            for _ in range(levels - level):
                cell = torch.where(cell > 2 * before, (cell - 1) // 2, cell)
            for _ in range(level):
                inner = cell < before
                left = torch.where(inner, 2 * cell + 1, 0)
                pair = torch.stack((left, left + 1), 3)
                closer = (cell_keys[b, pair] @ some[:, :, None, :, None]).squeeze(4)
                closer = closer.masked_fill(counts[b, pair] == 0, -torch.inf).argmax(3)
                cell = torch.where(inner, left + closer, cell)
            block = (cell - before).clamp(0, blocks - 1)
            again = (block[..., None] == block[..., None, :]).tril(-1).any(3)
            candidates = keys[block].masked_fill((again | (best == -torch.inf))[..., None], -1)
            candidates = candidates.flatten(2)
            scores = (near[block].flatten(2, 3) @ some[..., None]).squeeze(3)
            scores = scores.masked_fill(candidates < 0, -torch.inf)
            scores, rank = scores.topk(min(neighbours, scores.shape[2]), 2)
            chosen = candidates.gather(2, rank).masked_fill(scores == -torch.inf, -1)
            found[b, part, :, : chosen.shape[2]] = chosen
            found[b, part, :, chosen.shape[2] :] = -1
    return found
