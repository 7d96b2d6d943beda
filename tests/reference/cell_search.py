"""Keys with large inner products, among those of the best cells, key by key."""

from reference.cell_means import rows_of


def cell_search(query, keys, *, order, cell_keys, counts, seen, levels, neighbours, probes):
    """query (D,), keys (M, D): the keys found, best first, fewer if there are not so many."""
    level = max(0, levels - 2)
    before = (1 << level) - 1
    able = [cell for cell in seen if counts[cell]]
    candidates = set()
    for cell in sorted(able, key=lambda c: cell_keys[c] @ query, reverse=True)[:probes]:
        while cell > 2 * before:
            cell = (cell - 1) // 2
        while cell < before:
            children = [c for c in (2 * cell + 1, 2 * cell + 2) if counts[c]]
            cell = max(children, key=lambda c: cell_keys[c] @ query)
        candidates |= set(rows_of(cell, order, levels))
    return sorted(candidates, key=lambda i: keys[i] @ query, reverse=True)[:neighbours]
