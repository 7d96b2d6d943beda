"""Similarities of found pairs of patches on the CPU, in numba."""

from functools import partial

import torch
from torch import Tensor

from .. import pairs, patches
from . import pixels
from .pair_kernels import similarity as kernel
from .threads import run_pieces, stripes


def why_not(q: Tensor, k: Tensor, positions: Tensor, **_) -> str | None:
    return pixels.refusal(q, k, positions)


def patch_similarity(
    q: Tensor, k: Tensor, positions: Tensor, *, patch_size: int, similarity: str = "l2"
) -> Tensor:
    """See backends.eager.patch_similarity.patch_similarity."""
    pairs.check_maps(q, k, positions, patch_size, similarity)
    size, key_size = q.shape[2:], k.shape[2:]
    half, none = patch_size // 2, (False,) * len(size)
    found = torch.empty(*positions.shape[:2], *size)
    for b in range(len(q)):
        work = partial(
            kernel,
            pixels.flat(patches.pad(q[b].detach(), half, none)),
            pixels.volume(size),
            pixels.flat(k[b].detach()),
            pixels.volume(key_size),
            pixels.listed(positions[b]),
            q.shape[1],
            patch_size,
            pixels.depth(size, patch_size),
            patches.SIMILARITIES.index(similarity),
            found[b].flatten(1).numpy(),
        )
        run_pieces(work, stripes(*pixels.lines(size)))
    return found
