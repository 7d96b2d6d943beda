"""The gradient of the similarities of found pairs of patches on the CPU, in numba."""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from .. import pairs
from . import pixels
from .pair_kernels import spread as kernel
from .threads import run_pieces, stripes


def why_not(gradient: Tensor, q: Tensor, k: Tensor, *_, **__) -> str | None:
    return pixels.refusal(q, k)


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
    """See backends.eager.patch_similarity_gradient.patch_similarity_gradient."""
    return pairs.similarity_gradient(
        _spread, _inverse, gradient, q, k, positions, similarities, patch_size, similarity
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
    channels, *size = shape
    deep = pixels.depth(size, patch_size)
    out = torch.zeros(*size, channels)
    _, height, width = pixels.volume(other.shape[1:])
    work = partial(
        kernel,
        out.flatten().numpy(),
        pixels.volume(size),
        patch_size,
        deep,
        (lift if deep > 1 else 0, lift),
        pixels.volume(cells),
        starts.numpy(),
        begins.numpy(),
        weights.contiguous().numpy(),
        pixels.flat(other),
        width * channels,
        height * width * channels,
        channels,
    )
    run_pieces(work, stripes(*pixels.lines(size)))
    return out.movedim(-1, 0)


def _inverse(positions: Tensor, key_size: Sequence[int]) -> tuple[Tensor, Tensor]:
    starts, order = pixels.inverse(pixels.listed(positions), key_size)
    return torch.from_numpy(starts), torch.from_numpy(order).long()
