"""The percentile of the distances of the patches over each pixel, pixel by pixel."""

import numpy as np

from reference.patches import inside, window


def local_percentile(distances, *, patch_size, percentile, floor, wrap, mask=None):
    """distances (*size): (*size)."""
    size = distances.shape
    result = np.full(size, float(floor))
    for p in np.ndindex(*size):
        if mask is not None and not mask[p]:
            continue
        centres = [c for c in window(p, patch_size) if inside(c, size, wrap)]
        found = [distances[tuple(i % n for i, n in zip(c, size, strict=True))] for c in centres]
        found = [float(d) for d in found if np.isfinite(d)]
        reached = [d for d in found if 100 * sum(e <= d for e in found) >= percentile * len(found)]
        if reached:
            result[p] = max(floor, min(reached))
    return result
