"""Convolution of clips, pixel by pixel, in float64."""

import numpy as np


def clip_convolution(values, weight, bias, padding):
    """(B, C, T, H, W) with weights (O, C, kt, kh, kw), zeros around it."""
    values = np.pad(values, [(0, 0), (0, 0), *((n, n) for n in padding)])
    size = weight.shape[2:]
    counts = [have - need + 1 for have, need in zip(values.shape[2:], size, strict=True)]
    out = np.empty((len(values), len(weight), *counts))
    for t, y, x in np.ndindex(*counts):
        seen = values[:, :, t : t + size[0], y : y + size[1], x : x + size[2]]
        out[:, :, t, y, x] = np.tensordot(seen, weight, ([1, 2, 3, 4], [1, 2, 3, 4])) + bias
    return out
