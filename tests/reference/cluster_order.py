"""An order of points by halving, point by point."""

import numpy as np


def cluster_order(points, levels, sample=64, steps=2):
    """points (N, D): the list of sets of points of each block of the last level."""
    blocks = [list(range(len(points)))]
    for _ in range(levels):
        halves = []
        for block in blocks:
            some = points[block][:: max(1, len(block) // sample)]
            some = some - some.mean(0)
            direction = np.zeros(points.shape[1])
            direction[(some**2).sum(0).argmax()] = 1
            for _ in range(steps):
                direction = sum(row * (row @ direction) for row in some)
                direction /= max(np.linalg.norm(direction), 1e-30)
            ranked = sorted(block, key=lambda i: points[i] @ direction)
            half = len(ranked) // 2
            halves += [sorted(ranked[:half]), sorted(ranked[half:])]
        blocks = halves
    return [set(block) for block in blocks]
