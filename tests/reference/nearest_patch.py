"""The nearest patches of a target in a source, by comparing every pair."""

import numpy as np

from reference.patches import inside, patch, window


def distance(a, b, similarity):
    if similarity == "l2":
        return ((a - b) ** 2).sum()
    if similarity == "dot":
        return -(a * b).sum()
    lengths = np.sqrt((a * a).sum()) * np.sqrt((b * b).sum())
    return -(a * b).sum() / lengths if lengths else 0.0


def centres(source, patch_size, source_wrap, source_mask=None):
    """The centres of the source patches that lie whole in the source and in its mask."""
    size = source.shape[1:]
    found = []
    for centre in np.ndindex(*size):
        pixels = window(centre, patch_size)
        if not all(inside(p, size, source_wrap) for p in pixels):
            continue
        pixels = [tuple(i % n for i, n in zip(p, size, strict=True)) for p in pixels]
        if source_mask is None or all(source_mask[p] for p in pixels):
            found.append(centre)
    return found


def distances_at(target, source, positions, *, patch_size, wrap, source_wrap, similarity="l2"):
    """The distances (k, *size) of given positions (k, axes, *size); inf at -1."""
    target, source = target.astype(np.float64), source.astype(np.float64)
    found = np.full((len(positions), *positions.shape[2:]), np.inf)
    for index in np.ndindex(*found.shape):
        k, *query = index
        centre = positions[(k, slice(None), *query)]
        if (centre >= 0).all():
            a = patch(target, query, patch_size, wrap)
            b = patch(source, centre, patch_size, source_wrap)
            found[index] = distance(a, b, similarity)
    return found


def nearest_patch(
    target,
    source,
    *,
    patch_size,
    wrap,
    source_wrap,
    neighbours=1,
    similarity="l2",
    target_mask=None,
    source_mask=None,
    bias=None,
):
    """target (C, *size), source (C, *size): positions (k, axes, *size), distances (k, *size)."""
    target, source = target.astype(np.float64), source.astype(np.float64)
    size = target.shape[1:]
    positions = np.full((neighbours, len(size), *size), -1)
    distances = np.full((neighbours, *size), np.inf)
    candidates = [
        (c, patch(source, c, patch_size, source_wrap))
        for c in centres(source, patch_size, source_wrap, source_mask)
    ]
    for query in np.ndindex(*size):
        if target_mask is not None and not target_mask[query]:
            continue
        wanted = patch(target, query, patch_size, wrap)
        found = [distance(wanted, candidate, similarity) for _, candidate in candidates]
        costs = [
            d + (0 if bias is None else bias[c])
            for d, (c, _) in zip(found, candidates, strict=True)
        ]
        for k, best in enumerate(np.argsort(costs, kind="stable")[:neighbours]):
            positions[(k, slice(None), *query)] = candidates[best][0]
            distances[(k, *query)] = found[best]
    return positions, distances
