"""Growing and measuring regions of masks, on images and on tori."""

import torch.nn.functional as F
from torch import Tensor


def grown(mask: Tensor, by: int, wrap: tuple[bool, bool] = (False, False)) -> Tensor:
    """(1, 1, H, W) bool: the pixels within `by` of those of `mask`, in the maximum norm.

    With half a patch: all that the patches around the mask's pixels cover.
    """
    for axis, wraps in enumerate(wrap):
        dim, side = 2 + axis, mask.shape[2 + axis]
        larger = mask.clone()
        for step in range(1, by + 1):
            if wraps:
                larger |= mask.roll(step, dim) | mask.roll(-step, dim)
            elif step < side:
                larger.narrow(dim, step, side - step).logical_or_(mask.narrow(dim, 0, side - step))
                larger.narrow(dim, 0, side - step).logical_or_(mask.narrow(dim, step, side - step))
        mask = larger
    return mask


def depths(mask: Tensor, most: int, wrap: tuple[bool, bool] = (False, False)) -> Tensor:
    """(1, 1, H, W) float32: how many pixels deep in the mask a pixel lies, up to `most`; 0 outside.

    Beyond the border of the image nothing is outside.
    """
    depth, outside = mask.float(), ~mask
    for _ in range(most - 1):
        outside = grown(outside, 1, wrap)
        depth += (~outside).float()
    return depth


def bounding_box(
    mask: Tensor, margin: int, whole: tuple[bool, bool] = (False, False)
) -> tuple[slice, slice]:
    """The rows and columns of the True pixels of (1, 1, H, W) and a margin; all of `whole` axes."""
    slices = []
    for axis in (0, 1):
        side = mask.shape[2 + axis]
        if whole[axis]:
            slices.append(slice(0, side))
            continue
        index = mask[0, 0].any(1 - axis).nonzero()
        low, high = int(index.min()) - margin, int(index.max()) + 1 + margin
        slices.append(slice(max(0, low), min(side, high)))
    return slices[0], slices[1]


def padded(image: Tensor, by: int, wrap: tuple[bool, bool]) -> Tensor:
    """Zeros around (B, C, H, W), or on wrapped axes what lies at the other side."""
    for axis, around in enumerate(wrap):
        sides = (0, 0, by, by) if axis == 0 else (by, by, 0, 0)
        image = F.pad(image, sides, mode="circular" if around else "constant")
    return image
