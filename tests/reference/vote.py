"""What the patches of a field say about each pixel, pixel by pixel."""

import numpy as np

from reference.patches import inside, window


def vote(
    values, positions, distances, *, patch_size, wrap, source_wrap, scale=1.0, best=False, mask=None
):
    """values (C, *source size), positions (axes, *size), distances (*size): (C, *size)."""
    values = values.astype(np.float64)
    size, source_size = positions.shape[1:], values.shape[1:]
    result = np.zeros((len(values), *size))
    for p in np.ndindex(*size):
        if mask is not None and not mask[p]:
            continue
        votes = []  # (distance, centre, value)
        for centre in window(p, patch_size):
            if not inside(centre, size, wrap):
                continue
            q = tuple(i % n for i, n in zip(centre, size, strict=True))
            match = positions[(slice(None), *q)]
            if (match < 0).any() or not np.isfinite(distances[q]):
                continue
            source = match + np.array(p) - np.array(centre)
            source = [
                i % n if w else i for i, n, w in zip(source, source_size, source_wrap, strict=True)
            ]
            votes.append((float(distances[q]), q, values[(slice(None), *source)]))
        if not votes:
            continue
        least = min(d for d, _, _ in votes)
        if best:
            result[(slice(None), *p)] = min(votes, key=lambda vote: vote[:2])[2]
            continue
        s = scale[p] if isinstance(scale, np.ndarray) else scale
        weights = [np.exp(-(d - least) / (2 * s * s)) for d, _, _ in votes]
        total = sum(w * value for w, (_, _, value) in zip(weights, votes, strict=True))
        result[(slice(None), *p)] = total / sum(weights)
    return result
