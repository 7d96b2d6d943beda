"""Attention to cells, less the found keys, cell by cell."""

import numpy as np

from reference.cell_means import rows_of


def pooled_attention(query, keys, values, found, *, order, spreads, bend, seen, levels):
    """query (D,), keys (M, D), values (M, V), found: the output (V,) and its log-sum-exp."""
    total, output = 0.0, np.zeros(values.shape[1])
    power = (query**2).sum() / len(query)
    for cell in seen:
        left = [] if cell == (2 << levels) - 1 else rows_of(cell, order, levels)
        left = [i for i in left if i not in found]
        if not left:
            continue
        half_variance = power * spreads[cell] / 2
        logit = keys[left].mean(0) @ query
        weight = len(left) * np.exp(logit) * (1 + half_variance)
        total += weight
        output += weight * values[left].mean(0)
        output += weight * spreads[cell] / (1 + half_variance) * (query @ bend)
    if total == 0:
        return output, -np.inf
    return output / total, np.log(total)
