"""The tail of a sparse softmax: what the keys that were not found add to it."""

import torch
import torch.nn.functional as F
from torch import Tensor

from ..backends import patches
from .attention_cells import attend_to_cells
from .field import Field

COMPONENTS = 48  # that patches of more numbers are reduced to
SAMPLE = 256  # patches that the components are taken from


def pooled_tail(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    field: Field,
    *,
    similarity: str,
    temperature: float,
    hole: Tensor | None = None,
    backend: str = "auto",
) -> tuple[Tensor, Tensor]:
    """Attention of each query to the keys that the field did not find, estimated by pooling.

    q: (B, C, *size), k: (B, C, *source), v: (B, Cv, *source), field: from q to k. hole: (B or 1, 1,
        *source) bool; keys whose patch touches it do not count.
    Returns (B, Cv, *size), and (B, *size), the logarithm of the sum of the exponentials of the
    logits of these keys; -inf where there are none. Gradients reach q, k and v.
    Patches of more than 48 numbers are compared in their 48 principal components.
    """
    precise = torch.promote_types(torch.promote_types(q.dtype, v.dtype), torch.float32)
    q, k, v = (t.to(precise) for t in (q, k, v))
    half, size = field.patch_size // 2, q.shape[2:]
    inner = tuple(slice(half, n - half) for n in k.shape[2:])
    queries, keys, least = _tokens(q, k, field.patch_size, similarity)
    known = None
    if hole is not None:
        none = (False,) * len(size)
        usable = patches.source_centres(k, ~hole, field.patch_size, none)
        known = usable[(slice(None), *inner)].flatten(1).expand(len(k), -1)
    output, log_sum = attend_to_cells(
        queries / temperature,
        keys,
        v[(..., *inner)].flatten(2).transpose(1, 2),
        _indices(field, half),
        known=known,
        backend=backend,
    )
    log_sum = log_sum - least / temperature
    return output.transpose(1, 2).unflatten(2, size), log_sum.unflatten(1, size)


def _indices(field: Field, half: int) -> Tensor:
    """(B, N, k) int64: which of the whole patches each match is, -1 where there is none."""
    index = torch.zeros_like(field.positions[:, :, 0], dtype=torch.int64)
    for axis, side in enumerate(field.source_size):
        index = index * (side - 2 * half) + field.positions[:, :, axis] - half
    index = torch.where(field.found, index, -1)
    return index.flatten(2).transpose(1, 2)


def _tokens(q: Tensor, k: Tensor, size: int, similarity: str) -> tuple[Tensor, Tensor, Tensor]:
    """Queries (B, N, D) and keys (B, M, D) whose inner products, less (B, N) numbers that are the
    same for all keys, are the similarities of the patches."""
    axes = q.ndim - 2
    if similarity == "l2":  # distances stay, and squares become small
        middle = k.flatten(2).mean(2)[(..., *[None] * axes)]
        q, k = q - middle, k - middle
    padded = patches.pad(q, size // 2, (False,) * axes)
    basis = _basis(padded, k, size)
    queries, keys = (_project(t, basis) for t in (padded, k))
    if similarity == "dot":
        return queries, keys, torch.zeros_like(queries[..., 0])
    query_squares, key_squares = (_squares(t, size) for t in (padded, k))
    if similarity == "cosine":
        queries, keys = (
            tokens / squares.clamp(min=torch.finfo(tokens.dtype).tiny).sqrt()
            for tokens, squares in ((queries, query_squares), (keys, key_squares))
        )
        return queries, keys, torch.zeros_like(queries[..., 0])
    # -|k|^2 as one more channel, in a unit in which it is as important as the others are
    unit = 2 * queries.square().mean((1, 2), keepdim=True).sqrt()
    unit = unit.clamp(min=torch.finfo(unit.dtype).tiny)
    queries = torch.cat((2 * queries, -unit.expand_as(queries[..., :1])), 2)
    return queries, torch.cat((keys, key_squares / unit), 2), query_squares[..., 0]


def _convolve(image: Tensor, weight: Tensor) -> Tensor:
    """(B, C, *size) with (D, C, *window), as (B, N, D)."""
    convolve = F.conv2d if image.ndim == 4 else F.conv3d
    return convolve(image, weight).flatten(2).transpose(1, 2)


def _project(image: Tensor, basis: Tensor | None) -> Tensor:
    return image.flatten(2).transpose(1, 2) if basis is None else _convolve(image, basis)


def _squares(image: Tensor, size: int) -> Tensor:
    """(B, N, 1): the sum of the squares of each patch."""
    squares = image.square().sum(1, keepdim=True)
    return _convolve(squares, squares.new_ones(1, 1, *[size] * (image.ndim - 2)))


def _basis(q: Tensor, k: Tensor, size: int) -> Tensor | None:
    """(D, C, *window): what patches of the padded q and of k are compared in, shared by the batch.

    None for single tokens, every number for small patches, else leading principal components.
    """
    axes, channels = k.ndim - 2, k.shape[1]
    if size == 1:
        return None
    window, numbers = (size,) * axes, channels * size**axes
    if numbers <= COMPONENTS:
        return torch.eye(numbers, dtype=k.dtype, device=k.device).view(-1, channels, *window)
    some = torch.cat([_sample(t.detach(), size) for t in (q, k)])
    _, directions = torch.linalg.eigh((some @ some.T).double())
    basis = directions[:, -COMPONENTS:].T.to(some.dtype) @ some
    basis = F.normalize(basis, dim=1)
    return basis.view(-1, channels, *window)


def _sample(image: Tensor, size: int) -> Tensor:
    """(n, numbers): patches of the whole batch, evenly spread."""
    windows = image
    for axis in range(2, image.ndim):
        windows = windows.unfold(axis, size, 1)
    axes = image.ndim - 2
    windows = windows.movedim(1, axes + 1)  # (B, *places, C, *window)
    places = windows.shape[: axes + 1]
    count = min(SAMPLE, places.numel())
    index = torch.arange(count, device=image.device) * places.numel() // count
    return windows[torch.unravel_index(index, places)].flatten(1)
