"""Patches as tokens whose cells tell the nearest keys, and the tail of a sparse softmax."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..backends import patches
from .attention_cells import View, look
from .field import Field

COMPONENTS = 48  # that patches of more numbers are reduced to
PROBES = {"fast": 8, "best": 32}  # cells that each query looks into
SAMPLE = 256  # patches that the components are taken from


@dataclass(frozen=True)
class Cells:
    """All whole patches of some keys, in cells of like ones, as some queries see them.

    view: of the patches as tokens. constant: (B, N), what all logits of a query are too large by.
    size, source_size: of the maps of queries and keys. half: of the patches.
    """

    view: View
    constant: Tensor
    size: tuple[int, ...]
    source_size: tuple[int, ...]
    half: int

    def nearest(self, neighbours: int, quality: str, backend: str = "auto") -> Tensor:
        """Positions (B, neighbours, axes, *size) int32 of keys with large logits, -1 = none."""
        probes = max(PROBES[quality], neighbours)
        index = (
            self.view.nearest(neighbours, probes, backend).transpose(1, 2).unflatten(2, self.size)
        )
        axes = []
        for side in reversed(self.source_size):
            side -= 2 * self.half
            axes.append(index % side + self.half)
            index = torch.where(index < 0, -1, index // side)
        positions = torch.stack(axes[::-1], 2)
        return torch.where(index[:, :, None] < 0, -1, positions).int()

    def tail(self, v: Tensor, field: Field, backend: str = "auto") -> tuple[Tensor, Tensor]:
        """Attention of each query to the keys that the field did not find, estimated.

        v: (B, Cv, *source). Returns (B, Cv, *size), and (B, *size), the logarithm of the sum of the
        exponentials of the logits of these keys; -inf where there are none.
        """
        inner = (slice(self.half, n - self.half) for n in self.source_size)
        values = v.to(self.view.keys.dtype)[(..., *inner)].flatten(2).transpose(1, 2).contiguous()
        output, log_sum = self.view.attend(values, self._indices(field), backend)
        log_sum = log_sum - self.constant
        return output.transpose(1, 2).unflatten(2, self.size), log_sum.unflatten(1, self.size)

    def _indices(self, field: Field) -> Tensor:
        """(B, N, k) int64: which of the whole patches each match is, -1 where there is none."""
        index = torch.zeros_like(field.positions[:, :, 0], dtype=torch.int64)
        for axis, side in enumerate(self.source_size):
            index = index * (side - 2 * self.half) + field.positions[:, :, axis] - self.half
        return torch.where(field.found, index, -1).flatten(2).transpose(1, 2)


def cells_of(
    q: Tensor,
    k: Tensor,
    *,
    patch_size: int,
    similarity: str,
    temperature: float,
    hole: Tensor | None = None,
    backend: str = "auto",
) -> Cells:
    """Put the patches of k into cells for the queries q.

    q: (B, C, *size), k: (B, C, *source). hole: (B or 1, 1, *source) bool; keys whose patch touches
    it do not count. Gradients reach q and k.
    Patches of more than 48 numbers are compared in their 48 principal components.
    """
    precise = torch.promote_types(torch.promote_types(q.dtype, k.dtype), torch.float32)
    q, k = q.to(precise), k.to(precise)
    half, source_size = patch_size // 2, tuple(k.shape[2:])
    queries, keys, constant = _tokens(q, k, patch_size, similarity)
    known = None
    if hole is not None:
        none = (False,) * len(source_size)
        usable = patches.source_centres(k, ~hole, patch_size, none)
        inner = (slice(half, n - half) for n in source_size)
        known = usable[(slice(None), *inner)].flatten(1).expand(len(k), -1)
    view = look(queries / temperature, keys, known=known, backend=backend)
    return Cells(view, constant / temperature, tuple(q.shape[2:]), source_size, half)


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
    tokens = image.flatten(2).transpose(1, 2) if basis is None else _convolve(image, basis)
    return tokens.contiguous()


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
