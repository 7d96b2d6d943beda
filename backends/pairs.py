"""What the operations on found pairs begin with: a query of one map and the keys found for it.

Queries lie on a grid (B, *size), size being (H, W) or (T, H, W); keys likewise on one of their own.
Positions (B, n, axes, *size) are absolute centres of key patches that lie whole in the key map, -1
where there is none. The patch around a query at the border is completed by reflection.
"""

from collections.abc import Callable, Sequence
from itertools import product

import torch
import torch.nn.functional as F
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


def _window_sums(map: Tensor, window: int) -> Tensor:
    """Sums over all whole windows of that side: a map smaller by window - 1."""
    for axis in range(map.ndim):
        length = map.shape[axis] - window + 1
        total = map.narrow(axis, 0, length).clone()
        for offset in range(1, window):
            total += map.narrow(axis, offset, length)
        map = total
    return map


def _covering(map: Tensor, window: int) -> Tensor:
    """For each pixel, the sum over the windows that cover it, of what stands where they begin."""
    return _window_sums(F.pad(map, (window - 1, 0) * map.ndim), window)


def inverse(positions: Tensor, key_size: Sequence[int]) -> tuple[Tensor, Tensor]:
    """For each key of one picture, which pairs lead to it: pairs are numbered j * pixels + i for
    neighbour j of query i, and those of key c are order[starts[c] : starts[c + 1]], rising.

    positions: (n, axes, *size). Returns starts (keys + 1,) and order, int64.
    """
    keys = patches.ravel(positions.long().transpose(0, 1).flatten(2).unbind(0), key_size).flatten()
    number = torch.Size(key_size).numel()
    keys = keys.where(positions[:, 0].flatten() >= 0, number)  # behind all others
    order = keys.argsort(stable=True)
    counts = torch.bincount(keys, minlength=number + 1)[:number]
    return torch.cat((counts.new_zeros(1), counts.cumsum(0))), order


Spread = Callable[..., Tensor]
Inverse = Callable[[Tensor, Sequence[int]], tuple[Tensor, Tensor]]


def similarity_gradient(
    spread: Spread,
    inverse: Inverse,
    gradient: Tensor,
    q: Tensor,
    k: Tensor,
    positions: Tensor,
    similarities: Tensor,
    patch_size: int,
    similarity: str,
) -> tuple[Tensor, Tensor]:
    """The operation patch_similarity_gradient, given what takes the time.

    Every pair adds to the patch of its query the patch of its key, times a weight, and the other
    way round. What it adds of the patch itself, for "l2" and "cosine", sums up to each pixel times
    the sum of the weights of the patches over it. Nothing races: each pixel of either gradient
    collects its own, that of a key by the inverse of the list of pairs.

    spread(shape, other, starts, begins, weights, cells, lift, patch_size): maps of `shape`
    (C, *size) of zeros, to which the patch of each of the `cells` (a grid; the patch of cell c
    begins at c - lift) is added every patch of `other` in its list, from starts[c] to
    starts[c + 1]: those that begin at the pixels `begins`, times `weights`.
    """
    check_maps(q, k, positions, patch_size, similarity)
    dtype, size, key_size = precise(q, k), q.shape[2:], k.shape[2:]
    axes, half, pixels = len(size), patch_size // 2, size.numel()
    gradient = gradient.detach().to(dtype).masked_fill(positions[:, :, 0] < 0, 0)
    to_q, to_k = [], []
    for b in range(len(q)):
        padded = patches.pad(q[b].detach().to(dtype), half, (False,) * axes)
        keys = k[b].detach().to(dtype)
        first = first_pixels(positions[b], patch_size, key_size)
        weights, own_q, own_k = gradient[b].flatten(1), None, None
        if similarity == "l2":
            weights = 2 * weights
            own_q = own_k = -weights
        elif similarity == "cosine":
            square_q, square_k = (
                _window_sums(image.square().sum(0), patch_size) for image in (padded, keys)
            )
            square_k = F.pad(square_k, (0, patch_size - 1) * axes).flatten()[first]
            square_q = square_q.flatten()
            some = (square_q > 0) & (square_k > 0)
            square_q, square_k = (s.where(some, 1.0) for s in (square_q, square_k))
            turned = weights * similarities[b].flatten(1).nan_to_num(neginf=0.0)
            own_q, own_k = -turned / square_q, -turned / square_k
            weights = weights.where(some, 0.0) / (square_q.sqrt() * square_k.sqrt())
        starts = torch.arange(pixels + 1, device=q.device) * len(weights)
        listed = first.T.flatten(), weights.T.flatten()
        given = spread(padded.shape, keys, starts, *listed, size, 0, patch_size)
        if own_q is not None:
            sums = F.pad(own_q.sum(0).view(size), (0, patch_size - 1) * axes)
            given += padded * _covering(sums, patch_size)
        to_q.append(folded(given, half, size))
        starts, order = inverse(positions[b], key_size)
        begins = patches.corners(order % pixels, size, patch_size)
        listed = begins, weights.flatten()[order]
        given = spread(keys.shape, padded, starts, *listed, key_size, half, patch_size)
        if own_k is not None:
            sums = own_k.new_zeros(key_size.numel())
            sums = sums.scatter_add_(0, first.flatten(), own_k.flatten()).view(key_size)
            given += keys * _covering(sums, patch_size)
        to_k.append(given)
    return torch.stack(to_q), torch.stack(to_k)
