"""The gradient of the similarities of found pairs of patches, as a Triton kernel."""

from collections.abc import Sequence

import torch
import triton
from torch import Tensor

from .. import pairs
from .device import refusal_of_clips, tile
from .pair_kernels import spread as kernel


def why_not(
    gradient: Tensor, q: Tensor, k: Tensor, positions: Tensor, *_, patch_size: int, **__
) -> str | None:
    numbers = q.shape[1] * torch.Size(n + patch_size for n in q.shape[2:]).numel()
    return refusal_of_clips(
        q.ndim - 2, gradient, q, k, most=max(numbers, k.numel(), positions.numel())
    )


def patch_similarity_gradient(
    gradient: Tensor,
    q: Tensor,
    k: Tensor,
    positions: Tensor,
    similarities: Tensor,
    *,
    patch_size: int,
    similarity: str = "l2",
) -> tuple[Tensor, Tensor]:
    """The contract of `eager.patch_similarity_gradient`, for images."""
    return pairs.similarity_gradient(
        _spread, pairs.inverse, gradient, q, k, positions, similarities, patch_size, similarity
    )


def _spread(
    shape: Sequence[int],
    other: Tensor,
    starts: Tensor,
    begins: Tensor,
    weights: Tensor,
    cells: Sequence[int],
    lift: int,
    patch_size: int,
) -> Tensor:
    """See pairs.similarity_gradient."""
    channels, height, width = shape
    out = torch.empty(height, width, channels, dtype=other.dtype, device=other.device)
    block, chunk = tile(channels, height * width)
    grid = (triton.cdiv(height * width, block), triton.cdiv(channels, chunk))
    kernel[grid](  # pyright: ignore[reportIndexIssue]  a kernel, not the function it was
        out,
        height * width,
        other.movedim(0, -1).contiguous(),
        starts.int(),
        begins.int(),
        weights.contiguous(),
        width,
        *cells,
        other.shape[2],
        channels,
        LIFT=lift,
        PATCH=patch_size,
        BLOCK=block,
        CHUNK=chunk,
    )
    return out.movedim(-1, 0)
