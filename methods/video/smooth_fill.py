"""What is known of a map, carried smoothly into where it is not."""

import numpy as np


def smooth_fill(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(H, W, C) float32: `values` where the weights are 1, weighted means of the nearest elsewhere.

    values: (H, W, C) float32. weights: (H, W) float32 in [0, 1], how far a value is to be trusted.
    A pyramid of weighted means, read from the coarsest down (Gortler et al. 1996, push-pull).
    0 where no weight is positive.
    """
    import cv2

    height, width, channels = values.shape
    own = weights[..., None]
    if min(height, width) <= 1:
        total = own.sum((0, 1))
        mean = (values * own).sum((0, 1)) / np.maximum(total, 1e-12)
        return own * values + (1 - own) * mean.astype(np.float32)
    half = ((width + 1) // 2, (height + 1) // 2)
    mass = np.concatenate([values * own, own], axis=2)
    mass = cv2.resize(_even(mass), half, interpolation=cv2.INTER_AREA).reshape(*half[::-1], -1)
    weight = mass[..., -1:]
    coarse = smooth_fill(
        mass[..., :-1] / np.maximum(weight, 1e-12), np.minimum(1, 4 * weight[..., 0])
    )
    fine = cv2.resize(coarse, (2 * half[0], 2 * half[1]), interpolation=cv2.INTER_LINEAR)
    fine = fine.reshape(2 * half[1], 2 * half[0], channels)[:height, :width]
    return own * values + (1 - own) * fine


def _even(values: np.ndarray) -> np.ndarray:
    """With even sides; what is added has no weight."""
    import cv2

    height, width = values.shape[:2]
    if height % 2 == 0 and width % 2 == 0:
        return values
    larger = cv2.copyMakeBorder(values, 0, height % 2, 0, width % 2, cv2.BORDER_CONSTANT)
    return larger.reshape(*larger.shape[:2], -1)
