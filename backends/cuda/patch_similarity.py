"""Similarities of found pairs of patches, as a Triton kernel."""

import torch
import triton
from torch import Tensor

from .. import pairs, patches
from .device import linear, refusal_of_clips, tile
from .pair_kernels import similarity as kernel


def why_not(q: Tensor, k: Tensor, positions: Tensor, *, patch_size: int, **_) -> str | None:
    numbers = len(q) * q.shape[1] * torch.Size(n + patch_size for n in q.shape[2:]).numel()
    return refusal_of_clips(
        q.ndim - 2, q, k, positions, most=max(numbers, k.numel(), positions.numel())
    )


def patch_similarity(
    q: Tensor, k: Tensor, positions: Tensor, *, patch_size: int, similarity: str = "l2"
) -> Tensor:
    """The contract of `eager.patch_similarity`, for images."""
    pairs.check_maps(q, k, positions, patch_size, similarity)
    dtype, size, channels = pairs.precise(q, k), q.shape[2:], q.shape[1]
    padded = patches.pad(q.detach(), patch_size // 2, (False, False)).to(dtype)
    pixels = linear(None, len(q), size, q.device)
    neighbours = positions.shape[1]
    found = torch.empty(len(q), neighbours, *size, dtype=dtype, device=q.device)
    block, chunk = tile(patch_size**2 * channels, len(pixels))
    kernel[(triton.cdiv(len(pixels), block), neighbours)](  # pyright: ignore[reportIndexIssue]
        pixels,
        len(pixels),
        padded.movedim(1, -1).contiguous(),
        k.detach().to(dtype).movedim(1, -1).contiguous(),
        positions.contiguous(),
        found,
        neighbours,
        *size,
        *k.shape[2:],
        PATCH=patch_size,
        CHANNELS=channels,
        SIMILARITY=similarity,
        BLOCK=block,
        CHUNK=chunk,
    )
    return found
