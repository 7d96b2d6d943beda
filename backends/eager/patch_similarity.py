"""Similarities of found pairs of patches, in plain torch."""

import torch
from torch import Tensor

from .. import pairs, patches

NUMBERS = 1 << 21  # handled at once


def why_not(q: Tensor, k: Tensor, positions: Tensor, **_) -> str | None:
    return None


def patch_similarity(
    q: Tensor, k: Tensor, positions: Tensor, *, patch_size: int, similarity: str = "l2"
) -> Tensor:
    """How similar each query's patch is to the key patches that were found for it.

    q: (B, C, *size), k: (B, C, *key size), floating; size is (H, W) or (T, H, W).
    positions: (B, n, axes, *size) int32, centres of key patches that lie whole in k, -1 = none.
    similarity: "l2" (minus the sum of squared differences over the patch and channels), "dot"
        (their inner product) or "cosine" (the inner product over both lengths).
    Query patches that leave q are completed by reflection.
    Returns (B, n, *size), float64 for float64 maps, else float32; -inf where there is no key.
    """
    pairs.check_maps(q, k, positions, patch_size, similarity)
    dtype, size, key_size = pairs.precise(q, k), q.shape[2:], k.shape[2:]
    half = patch_size // 2
    here = torch.arange(size.numel(), device=q.device)
    corners = patches.corners(here, size, patch_size)
    steps = [step for _, step in patches.steps(patch_size, size)]
    key_steps = pairs.patch_steps(patch_size, key_size)
    found = []
    for b in range(len(q)):
        padded = patches.pad(q[b], half, (False,) * len(size)).to(dtype).flatten(1)
        keys = k[b].to(dtype).flatten(1)
        first = pairs.first_pixels(positions[b], patch_size, key_size)
        rows = []
        for part in here.split(max(1, NUMBERS // max(1, first.shape[0] * len(keys)))):
            a, c = corners[part], first[:, part]
            inner = left_length = right_length = keys.new_zeros(())
            for step, key_step in zip(steps, key_steps, strict=True):
                left, right = padded[:, None, a + step], keys[:, c + key_step]
                if similarity == "l2":
                    inner = inner - (left - right).square().sum(0)
                    continue
                inner = inner + (left * right).sum(0)
                if similarity == "cosine":
                    left_length = left_length + left.square().sum(0)
                    right_length = right_length + right.square().sum(0)
            if similarity == "cosine":
                length = left_length.sqrt() * right_length.sqrt()
                inner = torch.where(length > 0, inner / length.where(length > 0, 1.0), 0.0)
            rows.append(inner)
        found.append(torch.cat(rows, 1).view(-1, *size))
    return torch.stack(found).masked_fill(positions[:, :, 0] < 0, -torch.inf)
