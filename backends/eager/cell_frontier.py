"""Which cells of a tree of keys each group of queries sees, in plain torch."""

import torch
from torch import Tensor

FIRST = 32  # cells that all groups begin with, and that are opened at once


def why_not(grouped: Tensor, *_, **__) -> str | None:
    return None


def cell_frontier(
    grouped: Tensor, cell_keys: Tensor, counts: Tensor, spreads: Tensor, *, levels: int, cells: int
) -> Tensor:
    """Cells in which every key lies exactly once, fine where a group's weights are in doubt.

    grouped: (B, G, S, D) queries. cell_keys: (B, n, D), counts: (B, n), spreads: (B, n), levels:
        the cells, see methods.attention_cells.Tree. cells: how many a group sees, at most one for
        each leaf.
    In rounds, cells are opened whose weight for the mean query of the group, times how uncertain it
    is, is among the largest; a leaf cannot be opened, and the empty cell fills its place.
    Returns (B, G, cells) int64.
    """
    grouped = grouped.detach()
    mean, power = grouped.mean(2), grouped.square().sum(3).mean(2)
    tree = cell_keys.detach(), counts, spreads.detach(), levels
    leaves, empty = (1 << levels) - 1, (2 << levels) - 1
    begin = min(levels, FIRST.bit_length() - 1)
    seen = torch.arange((1 << begin) - 1, (2 << begin) - 1, device=mean.device)
    seen = seen.expand(*mean.shape[:2], -1)
    weights = _importance(*tree, seen, mean, power)
    while seen.shape[2] < min(cells, 1 << levels):
        most = min(FIRST, min(cells, 1 << levels) - seen.shape[2], seen.shape[2])
        at = weights.topk(most, 2).indices
        opened = seen.gather(2, at)
        closed = opened >= leaves
        left = torch.where(closed, opened, 2 * opened + 1)
        right = torch.where(closed, empty, 2 * opened + 2)
        seen = torch.cat((seen.scatter(2, at, left), right), 2)
        weights = torch.cat(
            (
                weights.scatter(2, at, _importance(*tree, left, mean, power)),
                _importance(*tree, right, mean, power),
            ),
            2,
        )
    return seen


def _importance(cell_keys, counts, spreads, levels: int, cells, mean, power):
    """log(weight * uncertainty) of (B, G, n) cells for (B, G, D) queries; -inf for leaves."""
    flat = cells.flatten(1)
    keys = cell_keys.gather(1, flat[..., None].expand(-1, -1, cell_keys.shape[2]))
    logits = (keys.unflatten(1, cells.shape[1:]) @ mean[..., None]).squeeze(3)
    counts, spreads = (t.gather(1, flat).view(cells.shape) for t in (counts, spreads))
    doubt = spreads * power[..., None] / mean.shape[2]
    weight = logits + counts.log() + 0.5 * doubt.log() + doubt.log1p()
    leaf = cells >= (1 << levels) - 1
    return weight.masked_fill(leaf | (counts == 0) | (doubt == 0), -torch.inf)
