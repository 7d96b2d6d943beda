"""Patches as plain nested loops over pixels, for the references beside this file."""

import itertools

import numpy as np


def place(index, n, around):
    """Where pixel `index` of an axis of `n` is read: wrapped, or mirrored at the border pixel."""
    if around:
        return index % n
    while not 0 <= index < n:
        index = -index if index < 0 else 2 * (n - 1) - index
    return index


def window(centre, patch_size):
    """The pixels of the patch around `centre`, in row-major order, wherever they lie."""
    half = patch_size // 2
    return list(itertools.product(*(range(c - half, c + half + 1) for c in centre)))


def patch(image, centre, patch_size, wrap):
    """The numbers of one patch of `image` (C, *size), as a vector."""
    size = image.shape[1:]
    pixels = [
        image[(slice(None), *(place(i, n, w) for i, n, w in zip(pixel, size, wrap, strict=True)))]
        for pixel in window(centre, patch_size)
    ]
    return np.concatenate(pixels)


def inside(pixel, size, wrap):
    return all(w or 0 <= i < n for i, n, w in zip(pixel, size, wrap, strict=True))
