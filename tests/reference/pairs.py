"""Similarities of found pairs, attention to found keys, and their gradients, pair by pair."""

import numpy as np

from reference.patches import inside, patch, place, window


def pair_numbers(q, k, positions, patch_size):
    """(index of the pair, query patch, key patch, their pixels) of every pair that exists."""
    axes = positions.shape[1]
    none = (False,) * axes
    for index in np.ndindex(len(positions), *positions.shape[2:]):
        neighbour, *query = index
        centre = positions[(neighbour, slice(None), *query)]
        if (centre < 0).any():
            continue
        query_pixels = [
            tuple(place(i, n, False) for i, n in zip(pixel, q.shape[1:], strict=True))
            for pixel in window(query, patch_size)
        ]
        a, b = patch(q, query, patch_size, none), patch(k, centre, patch_size, none)
        yield index, a, b, query_pixels, window(tuple(centre), patch_size)


def patch_similarity(q, k, positions, *, patch_size, similarity="l2"):
    """q (C, *size), k (C, *key size), positions (n, axes, *size): (n, *size)."""
    found = np.full((len(positions), *q.shape[1:]), -np.inf)
    for index, a, b, _, _ in pair_numbers(q, k, positions, patch_size):
        found[index] = _similarity(a, b, similarity)
    return found


def _similarity(a, b, similarity):
    if similarity == "l2":
        return -((a - b) ** 2).sum()
    lengths = 1.0
    if similarity == "cosine":
        lengths = np.sqrt((a * a).sum()) * np.sqrt((b * b).sum())
    return (a * b).sum() / lengths if lengths else 0.0


def patch_similarity_gradient(gradient, q, k, positions, *, patch_size, similarity="l2"):
    """gradient (n, *size): those of q and k, by the derivative of each similarity."""
    to_q, to_k = np.zeros(q.shape), np.zeros(k.shape)
    for index, a, b, query_pixels, key_pixels in pair_numbers(q, k, positions, patch_size):
        of_a, of_b = _slopes(a, b, similarity)
        given = gradient[index]
        for i, (query_pixel, key_pixel) in enumerate(zip(query_pixels, key_pixels, strict=True)):
            channels = slice(i * len(q), (i + 1) * len(q))
            to_q[(slice(None), *query_pixel)] += given * of_a[channels]
            to_k[(slice(None), *key_pixel)] += given * of_b[channels]
    return to_q, to_k


def _slopes(a, b, similarity):
    if similarity == "l2":
        return -2 * (a - b), 2 * (a - b)
    if similarity == "dot":
        return b, a
    of_a, of_b = np.sqrt((a * a).sum()), np.sqrt((b * b).sum())
    if not of_a * of_b:
        return np.zeros_like(a), np.zeros_like(b)
    cosine = (a * b).sum() / (of_a * of_b)
    return b / (of_a * of_b) - cosine * a / of_a**2, a / (of_a * of_b) - cosine * b / of_b**2


def _lists(logits, values, positions, side):
    """For every query its list: (index of the logit, pixel of the value, logit)."""
    size, key_size = logits.shape[1:], values.shape[1:]
    none = (False,) * len(size)
    for query in np.ndindex(*size):
        listed = []
        for near in window(query, side):
            if not inside(near, size, none):
                continue
            for neighbour in range(len(logits)):
                centre = positions[(neighbour, slice(None), *near)]
                key = tuple(int(c) + q - n for c, q, n in zip(centre, query, near, strict=True))
                if (centre >= 0).all() and inside(key, key_size, none):
                    listed.append(((neighbour, *near), key, logits[(neighbour, *near)]))
        yield query, listed


def gather_attention(logits, values, positions, *, window=1):
    """logits (n, *size), values (C, *key size): output (C, *size), log of sums (*size)."""
    output = np.zeros((len(values), *logits.shape[1:]))
    log_sum = np.full(logits.shape[1:], -np.inf)
    for query, listed in _lists(logits, values, positions, window):
        if listed:
            log_sum[query] = np.logaddexp.reduce([logit for _, _, logit in listed])
        for _, key, logit in listed:
            weight = np.exp(logit - log_sum[query])
            output[(slice(None), *query)] += weight * values[(slice(None), *key)]
    return output, log_sum


def gather_attention_gradient(gradient, sum_gradient, logits, values, positions, *, window=1):
    """gradient (C, *size), sum_gradient (*size): those of logits and values.

    Out_i = sum_j A_ij V_j, so dOut_i / dV_j = A_ij and dOut_i / dS_ij = A_ij (V_j - Out_i); the
    logarithm of the sum has slope A_ij.
    """
    output, log_sum = gather_attention(logits, values, positions, window=window)
    to_logits, to_values = np.zeros(logits.shape), np.zeros(values.shape)
    for query, listed in _lists(logits, values, positions, window):
        given = gradient[(slice(None), *query)]
        for index, key, logit in listed:
            weight = np.exp(logit - log_sum[query])
            moved = values[(slice(None), *key)] - output[(slice(None), *query)]
            to_logits[index] += weight * ((given * moved).sum() + sum_gradient[query])
            to_values[(slice(None), *key)] += weight * given
    return to_logits, to_values
