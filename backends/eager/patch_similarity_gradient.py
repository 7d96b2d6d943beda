"""The gradient of the similarities of found pairs of patches, in plain torch."""

import torch
from torch import Tensor

from .. import pairs, patches
from .patch_similarity import NUMBERS


def why_not(gradient: Tensor, q: Tensor, k: Tensor, *_, **__) -> str | None:
    return None


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
    """What a gradient (B, n, *size) with respect to the similarities is with respect to q and k.

    q, k, positions and the settings are those that patch_similarity made `similarities` of. A patch
    of zeros has cosine 0, and receives nothing.
    Returns (B, C, *size) and (B, C, *key size), float64 for float64 maps, else float32. Every query
    patch gives to all of its pixels, and what reflection took from the inside goes back there.
    """
    pairs.check_maps(q, k, positions, patch_size, similarity)
    dtype, size, key_size = pairs.precise(q, k), q.shape[2:], k.shape[2:]
    half, none = patch_size // 2, (False,) * len(size)
    here = torch.arange(size.numel(), device=q.device)
    corners = patches.corners(here, size, patch_size)
    steps = [step for _, step in patches.steps(patch_size, size)]
    steps = list(zip(steps, pairs.patch_steps(patch_size, key_size), strict=True))
    gradient = gradient.to(dtype).masked_fill(positions[:, :, 0] < 0, 0)
    to_q, to_k = [], []
    for b in range(len(q)):
        padded = patches.pad(q[b], half, none).to(dtype)
        queries, keys = padded.flatten(1), k[b].to(dtype).flatten(1)
        given_q, given_k = torch.zeros_like(queries), torch.zeros_like(keys)
        first = pairs.first_pixels(positions[b], patch_size, key_size)
        for part in here.split(max(1, NUMBERS // max(1, first.shape[0] * len(keys)))):
            a, c, given = corners[part], first[:, part], gradient[b].flatten(1)[:, part]
            own_q = own_k = torch.zeros_like(given)
            if similarity == "cosine":
                square_q = square_k = torch.zeros_like(given)
                for step, key_step in steps:
                    square_q = square_q + queries[:, None, a + step].square().sum(0)
                    square_k = square_k + keys[:, c + key_step].square().sum(0)
                some = (square_q > 0) & (square_k > 0)
                square_q, square_k = (t.where(some, 1.0) for t in (square_q, square_k))
                found = similarities[b].flatten(1)[:, part].nan_to_num(neginf=0.0)
                weighted = given * found.to(dtype)  # the cosine of zeros is 0
                own_q, own_k = -weighted / square_q, -weighted / square_k
                given = given.where(some, 0.0) / (square_q.sqrt() * square_k.sqrt())
            for step, key_step in steps:
                left, right = queries[:, None, a + step], keys[:, c + key_step]
                if similarity == "l2":
                    left_given = 2 * given * (right - left)
                    right_given = -left_given
                else:
                    left_given = given * right + own_q * left
                    right_given = given * left + own_k * right
                given_q[:, a + step] += left_given.sum(1)
                index = (c + key_step).flatten().expand(len(keys), -1)
                given_k.scatter_add_(1, index, right_given.flatten(1))
        to_q.append(pairs.folded(given_q.view(padded.shape), half, size))
        to_k.append(given_k.view(k[b].shape))
    return torch.stack(to_q), torch.stack(to_k)
