"""What the operations on found pairs begin with: a query of one map and the keys found for it.

Queries lie on a grid (B, *size), size being (H, W) or (T, H, W); keys likewise on one of their own.
Positions (B, n, axes, *size) are absolute centres of key patches that lie whole in the key map, -1
where there is none. The patch around a query at the border is completed by reflection.
"""

from collections.abc import Sequence
from itertools import product

import torch
from torch import Tensor

from . import patches


def precise(*tensors: Tensor) -> torch.dtype:
    """The type to compute in: float64 where any of the tensors is, else float32."""
    return torch.float64 if any(t.dtype == torch.float64 for t in tensors) else torch.float32


def check_maps(q: Tensor, k: Tensor, positions: Tensor, patch_size: int, similarity: str) -> None:
    """Raise ValueError, with the rule and the values, for maps that cannot be compared."""
    patches.check_patch_size(patch_size)
    axes = q.ndim - 2
    if axes not in (2, 3) or q.ndim != k.ndim or q.shape[:2] != k.shape[:2]:
        raise ValueError(
            "q and k must be (B, C, H, W) or (B, C, T, H, W) with the same B and C; "
            f"they are {tuple(q.shape)} and {tuple(k.shape)}"
        )
    if similarity not in patches.SIMILARITIES:
        raise ValueError(
            f"similarity {similarity!r} is not one of {', '.join(patches.SIMILARITIES)}"
        )
    check_positions(positions, len(q), q.shape[2:])


def check_lists(logits: Tensor, values: Tensor, positions: Tensor, window: int) -> None:
    """Raise ValueError, with the rule and the values, for lists that no softmax can take."""
    patches.check_patch_size(window)
    batch, neighbours, *size = logits.shape
    if values.ndim != logits.ndim or len(values) != batch:
        raise ValueError(
            f"values must be ({batch}, C, ...) of {len(size)} axes for logits of "
            f"{tuple(logits.shape)}, not {tuple(values.shape)}"
        )
    check_positions(positions, batch, size)
    patches.check_map("logits", logits, (batch, positions.shape[1], *size), "the positions")


def check_positions(positions: Tensor, batch: int, size: Sequence[int]) -> None:
    axes, shape = len(size), tuple(positions.shape)
    if positions.ndim != axes + 3 or shape != (batch, shape[1], axes, *size):
        raise ValueError(
            f"positions must be ({batch}, n, {axes}, {', '.join(map(str, size))}), not {shape}"
        )


def patch_steps(patch_size: int, size: Sequence[int]) -> list[int]:
    """How far behind its first pixel the pixels of a patch lie in a map of `size`, row by row."""
    steps = []
    for place in product(range(patch_size), repeat=len(size)):
        steps.append(int(patches.ravel([torch.tensor(i) for i in place], size)))
    return steps


def first_pixels(positions: Tensor, patch_size: int, size: Sequence[int]) -> Tensor:
    """(n, pixels) int64 linear indices of the first pixels of the key patches of one picture, in a
    key map of `size`; those of the first patch where there is none. positions: (n, axes, ...)."""
    corners = (positions.long() - patch_size // 2).clamp(min=0).flatten(2)
    return patches.ravel(corners.unbind(1), size)


def folded(padded: Tensor, half: int, size: Sequence[int]) -> Tensor:
    """The adjoint of padding by reflection: what the border holds is added where it came from."""
    if half == 0:
        return padded
    for axis, n in enumerate(size, padded.ndim - len(size)):
        index = torch.arange(-half, n + half, device=padded.device)
        index = (n - 1) - ((n - 1) - index.abs()).abs()
        shape = [*padded.shape[:axis], n, *padded.shape[axis + 1 :]]
        padded = padded.new_zeros(shape).index_add_(axis, index, padded)
    return padded
