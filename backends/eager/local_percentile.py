"""The percentile of the distances of the patches that cover each pixel, in plain torch."""

import torch
from torch import Tensor

from .. import patches

NUMBERS = 1 << 22  # handled at once


def why_not(distances: Tensor, **_) -> str | None:
    return None


def local_percentile(
    distances: Tensor,
    *,
    patch_size: int,
    percentile: float = 75.0,
    floor: float = 0.0,
    wrap: tuple[bool, ...] = (False, False),
    mask: Tensor | None = None,
) -> Tensor:
    """At each pixel, max(floor, a percentile of the distances of the patches that cover it).

    distances: (B, 1, H, W) or (B, 1, T, H, W) float32; those not finite do not count. Where none
    counts, and outside `mask`, the answer is `floor`.
    percentile: 0 to 100; the smallest value with at least that share of the values at or below it
    (no interpolation).
    Returns the shape of `distances`, float32.
    """
    size = distances.shape[2:]
    wrap = patches.flags(wrap, len(size))
    patches.check_percentile(distances, patch_size, percentile, mask)
    steps = torch.tensor([s for _, s in patches.steps(patch_size, size)], device=distances.device)
    ranks = patches.ranks(len(steps), percentile).to(distances.device)
    result = distances.new_full(distances.shape, floor, dtype=torch.float32)
    for b in range(len(distances)):
        around = distances[b, 0].detach().float()
        around = around.masked_fill(~around.isfinite(), torch.inf)
        around = patches.pad(around, patch_size // 2, wrap, fill=torch.inf).flatten()
        wanted = result.new_ones(size, dtype=torch.bool) if mask is None else mask[b, 0]
        pixels = wanted.flatten().nonzero().squeeze(1)
        for some in pixels.split(max(1, NUMBERS // len(steps))):
            first = patches.corners(some, size, patch_size)
            values = around[first[:, None] + steps].sort(1).values
            rank = ranks[values.isfinite().sum(1)]
            answer = values.gather(1, rank[:, None]).squeeze(1)
            result[b].flatten()[some] = answer.masked_fill(answer.isinf(), floor).clamp(min=floor)
    return result
