"""Which cells a group sees, by opening them one after the other."""

import numpy as np


def cell_frontier(grouped, cell_keys, counts, spreads, *, levels, cells, first=32):
    """grouped (S, D): the set of cells that are seen, less the empty one."""
    mean, power = grouped.mean(0), (grouped**2).sum(1).mean() / grouped.shape[1]
    leaves = (1 << levels) - 1

    def importance(cell):
        doubt = spreads[cell] * power
        if cell >= leaves or not counts[cell] or not doubt:
            return -np.inf
        return cell_keys[cell] @ mean + np.log(counts[cell] * np.sqrt(doubt) * (1 + doubt))

    seen = list(range(min(leaves, first - 1), 2 * min(leaves, first - 1) + 1))
    count = len(seen)
    while count < min(cells, 1 << levels):
        most = min(first, min(cells, 1 << levels) - count, count)
        for cell in sorted(seen, key=importance, reverse=True)[:most]:
            if cell < leaves:
                seen.remove(cell)
                seen += [2 * cell + 1, 2 * cell + 2]
        count += most
    return set(seen)
