"""Growing and measuring regions of masks: of pictures and clips, also on tori."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ..backends.patches import flags


def grown(mask: Tensor, by: int | Sequence[int], wrap: tuple[bool, ...] = (False, False)) -> Tensor:
    """(B, 1, H, W) or (B, 1, T, H, W) bool: the pixels within `by` of those of `mask`, in the
    maximum norm. Of a floating mask the greatest value within `by`: soft edges move outwards.
    by: one number, or one for each axis.

    With half a patch: all that the patches around the mask's pixels cover.
    """
    axes = mask.dim() - 2
    either = torch.logical_or if mask.dtype == torch.bool else torch.maximum
    reach = [by] * axes if isinstance(by, int) else by
    for axis, wraps in enumerate(flags(wrap, axes)):
        dim, side = 2 + axis, mask.shape[2 + axis]
        larger = mask.clone()
        for step in range(1, reach[axis] + 1):
            if wraps:
                either(larger, mask.roll(step, dim), out=larger)
                either(larger, mask.roll(-step, dim), out=larger)
            elif step < side:
                for to, start in ((step, 0), (0, step)):
                    part = larger.narrow(dim, to, side - step)
                    either(part, mask.narrow(dim, start, side - step), out=part)
        mask = larger
    return mask


def depths(mask: Tensor, most: int, wrap: tuple[bool, ...] = (False, False)) -> Tensor:
    """The mask's shape, float32: how many pixels deep in it a pixel lies, up to `most`; 0 outside.

    Beyond the border of the picture or clip nothing is outside.
    """
    depth, outside = mask.float(), ~mask
    for _ in range(most - 1):
        outside = grown(outside, 1, wrap)
        depth += (~outside).float()
    return depth


def bounding_box(
    mask: Tensor, margin: int, whole: tuple[bool, ...] = (False, False)
) -> tuple[slice, slice]:
    """The rows and columns of the True pixels of (1, 1, H, W) and a margin; all of `whole` axes."""
    rows, columns = extent(mask, margin, whole)
    return rows, columns


def extent(mask: Tensor, margin: int, whole: tuple[bool, ...] = (False, False)) -> list[slice]:
    """`bounding_box` of (1, 1, H, W) or (1, 1, T, H, W), a slice for each axis."""
    slices = []
    for axis, entire in enumerate(flags(whole, mask.dim() - 2)):
        side = mask.shape[2 + axis]
        if entire:
            slices.append(slice(0, side))
            continue
        index = mask[0, 0].movedim(axis, 0).flatten(1).any(1).nonzero()
        low, high = int(index.min()) - margin, int(index.max()) + 1 + margin
        slices.append(slice(max(0, low), min(side, high)))
    return slices
