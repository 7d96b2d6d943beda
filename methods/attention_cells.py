"""Attention by cells of like keys: all keys count, most of them only as part of a cell.

Keys are put into a binary tree of cells. A group of like queries sees a few hundred cells of it,
fine ones where its weights and their uncertainty are large, coarse ones elsewhere. A cell counts
with its mean key, corrected for how its keys spread, and with its mean value, corrected for how
values follow keys inside cells. (Tree codes go back to Barnes & Hut 1986, doi:10.1038/324446a0;
here the cells lie in the space of keys, not of positions.)
"""

from dataclasses import dataclass
from math import ceil

import torch
from torch import Tensor

from ..backends import run

CELLS = 256  # that a group of queries sees
GROUP = 128  # queries, about
LEAF = 4  # keys of the finest cells, at least
MIDDLE = 8  # the level of the cells that tell how values follow keys


@dataclass(frozen=True)
class Tree:
    """Cells of keys in heap order: the cells of cell n are 2n + 1 and 2n + 2, then an empty one.

    order: (B, leaves * leaf) int64, the keys leaf after leaf, -1 for blanks and unknown ones.
    rank: (B, M) int64, the place of each key in that order.
    listed: (B, leaves * leaf, D), the keys in that order, anything for the blanks.
    keys: (B, n, D), means over the cells. counts: (B, n) keys in each.
    spreads: (B, n), the mean squared distance of the keys from their mean, over all channels.
    levels: of the leaves, which have room for `leaf` keys each.
    """

    order: Tensor
    rank: Tensor
    listed: Tensor
    keys: Tensor
    counts: Tensor
    spreads: Tensor
    levels: int
    leaf: int

    def pool(self, values: Tensor, backend: str = "auto") -> tuple[Tensor, Tensor]:
        """Of (B, M, V) values: the means over the cells, (B, n, V), and how values follow keys
        inside cells, (B, D, V), their covariance there for a spread of 1."""
        means, _, _ = run("cell_means", values, self.order, self.levels, backend=backend)
        level = min(self.levels, MIDDLE)
        cells = slice((1 << level) - 1, (2 << level) - 1)
        step = max(1, self.order.shape[1] >> level >> 3)  # some 8 keys of each cell are enough

        def some(rows: Tensor) -> Tensor:
            return rows.unflatten(1, (1 << level, -1))[:, :, ::step]

        order = some(self.order)
        keys = some(self.listed) - self.keys[:, cells, None]
        weighted = (keys * (order >= 0)[..., None]).flatten(1, 2)
        spread = (weighted * keys.flatten(1, 2)).sum((1, 2)).clamp(min=1e-30)
        near = _take(values, order.clamp(min=0).flatten(1)).unflatten(1, order.shape[1:])
        deviations = (near - means[:, cells, None]).flatten(1, 2)
        return means, weighted.transpose(1, 2) @ deviations / spread[:, None, None]


@dataclass(frozen=True)
class View:
    """Keys as queries see them.

    keys: (B, M, D). members: (B, G, S) int64, the queries of each group, some twice. grouped: (B,
    G, S, D), these queries. seen: (B, G, F) int64, the cells of the tree that each group sees;
    every key lies in exactly one of them.
    """

    tree: Tree
    keys: Tensor
    members: Tensor
    grouped: Tensor
    seen: Tensor

    def nearest(self, neighbours: int, probes: int, backend: str = "auto") -> Tensor:
        """Keys with large logits, (B, N, neighbours) int64, best first, out of the blocks
        of four leaves at the `probes` best cells; -1 where these hold fewer. No gradients."""
        tree = self.tree
        found = run(
            "cell_search",
            self.grouped,
            tree.listed,
            order=tree.order,
            cell_keys=tree.keys,
            counts=tree.counts,
            seen=self.seen,
            levels=tree.levels,
            leaf=tree.leaf,
            neighbours=neighbours,
            probes=probes,
            backend=backend,
        )
        return _take(found.flatten(1, 2), self._home())

    def attend(self, values: Tensor, found: Tensor, backend: str = "auto") -> tuple[Tensor, Tensor]:
        """Attention of each query to all keys but those found, estimated.

        values: (B, M, V). found: (B, N, k) int64, -1 = none, no key twice.
        Returns the output (B, N, V) and the logarithm (B, N) of the sum of the exponentials of the
        logits; -inf, and an output of 0, where no key is left.
        """
        tree, members = self.tree, self.members.flatten(1)
        cell_values, bend = tree.pool(values, backend)
        output, log_sum = run(
            "pooled_attention",
            self.grouped,
            self.keys,
            values,
            _take(found, members).view(*self.members.shape, -1),
            rank=tree.rank,
            cell_keys=tree.keys,
            cell_values=cell_values,
            counts=tree.counts,
            spreads=tree.spreads,
            bend=bend,
            seen=self.seen,
            levels=tree.levels,
            leaf=tree.leaf,
            backend=backend,
        )
        home = self._home()
        return _take(output.flatten(1, 2), home), log_sum.flatten(1).gather(1, home)

    def _home(self) -> Tensor:
        """(B, N): where in the groups each query stands; where twice, the answers are the same."""
        where = self.members.flatten(1)
        places = torch.arange(where.shape[1], device=where.device).expand_as(where)
        home = torch.zeros_like(where)[:, : int(where.max()) + 1]
        return home.scatter_(1, where, places)


def look(
    queries: Tensor,
    keys: Tensor,
    *,
    known: Tensor | None = None,
    cells: int = CELLS,
    backend: str = "auto",
) -> View:
    """Build the cells of the keys, and choose which of them each group of queries sees.

    queries: (B, N, D), keys: (B, M, D), floating; the logit of a query and a key is their inner
        product. known: (B, M) bool, the keys that may be used. cells: that each query sees.
    """
    tree = build(keys, known, backend)
    members = _groups(queries, backend)
    grouped = _take(queries, members.flatten(1)).view(*members.shape, -1)
    seen = run(
        "cell_frontier",
        grouped,
        tree.keys,
        tree.counts,
        tree.spreads,
        levels=tree.levels,
        cells=cells,
        backend=backend,
    )
    return View(tree, keys, members, grouped, seen)


def build(keys: Tensor, known: Tensor | None = None, backend: str = "auto") -> Tree:
    """The tree of cells of (B, M, D) keys, of which (B, M) bool `known` count; differentiable."""
    batch, count, _ = keys.shape
    levels = max(0, (count // LEAF).bit_length() - 1)
    leaf = ceil(count / (1 << levels))
    padded, real = _padded(count, leaf << levels, keys.device)
    real = real.expand(batch, -1)
    if known is not None:
        real = real & known[:, padded]
    order = _clustered(keys, padded, levels, backend)
    place = torch.arange(order.shape[1], device=keys.device).expand_as(order)
    rank = torch.empty_like(order).scatter_(1, order, place)[:, :count]
    real, order = real.gather(1, order), padded[order]
    listed, order = _take(keys, order), torch.where(real, order, -1)
    means, counts, squares = run("cell_means", keys, order, levels, backend=backend)
    spreads = (squares - means.square().sum(2)).clamp(min=0)
    return Tree(order, rank, listed, means, counts, spreads, levels, leaf)


def _padded(count: int, wanted: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Indices 0 to count - 1 and then evenly spaced repetitions, and 1 or 0 for them."""
    spare = torch.arange(wanted - count, device=device) * count // max(1, wanted - count)
    index = torch.cat((torch.arange(count, device=device), spare))
    return index, torch.arange(wanted, device=device) < count


def _clustered(rows: Tensor, padded: Tensor, levels: int, backend: str) -> Tensor:
    """The order of the padded rows by clusters, (B, padded) int64."""
    rows = rows.detach()
    rows = rows if len(padded) == rows.shape[1] else rows[:, padded]
    return run("cluster_order", rows, levels, backend=backend)


def _take(rows: Tensor, index: Tensor) -> Tensor:
    """rows[b, index[b]] for (B, n, D) rows and (B, m) indices."""
    batch, count, width = rows.shape
    index = index + count * torch.arange(batch, device=index.device)[:, None]
    return rows.reshape(-1, width).index_select(0, index.flatten()).view(batch, -1, width)


def _groups(queries: Tensor, backend: str) -> Tensor:
    """(B, groups, queries of each) int64: like queries together, some twice to fill the groups."""
    count = queries.shape[1]
    levels = max(0, (count // GROUP).bit_length() - 1)
    size = ceil(count / (1 << levels))
    padded, _ = _padded(count, size << levels, queries.device)
    order = _clustered(queries, padded, levels, backend)
    return padded[order].unflatten(1, (1 << levels, size))
