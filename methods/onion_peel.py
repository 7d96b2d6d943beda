"""The onion-peel start of hole filling: layer by layer from the border, matching what is known."""

import torch
from torch import Tensor

from ..backends import random
from .morphology import grown, padded

MOST_SOURCES = 16384  # source patches compared with; a random choice where there are more
CHUNK = 1 << 22  # distances held at a time


def onion_peel(
    target: Tensor,
    known: Tensor,
    source: Tensor,
    centres: Tensor,
    patch_size: int,
    wrap: tuple[bool, bool] = (False, False),
    seed: int = 0,
) -> Tensor:
    """`target` with its unknown values filled from the outside in.

    target: (1, C, H, W) float32. known: (1, C, H, W) bool, not all False. source: (1, C, H2, W2);
    centres: (1, 1, H2, W2) bool, where whole source patches are centred.
    Every pixel that has a known neighbour takes the centre of the source patch that agrees best
    with the known part of its own; then these count as known. All distances are exact, so this is
    for the coarsest scale, where the hole is about as large as a patch.
    """
    half = patch_size // 2
    rows, columns = centres[0, 0].nonzero().unbind(1)
    if len(rows) > MOST_SOURCES:
        index = torch.arange(MOST_SOURCES, device=rows.device)
        some = random.below(len(rows), seed, index)
        rows, columns = rows[some], columns[some]
    offsets = torch.arange(patch_size, device=rows.device) - half
    y, x = rows[:, None, None] + offsets[:, None], columns[:, None, None] + offsets
    # doubles, rounded before the comparison: a sum must not depend on how threads share it
    patches = source[0][:, y, x].permute(1, 0, 2, 3).flatten(1).double()  # (n, C p p)
    squares = patches.square()
    middles = source[0][:, rows, columns]  # (C, n)
    target, known = target.clone(), known.clone()
    while not known.all():
        whole = known.all(1, keepdim=True)
        touching = grown(whole, 1, wrap)
        if not touching.any():  # nothing is known in full yet: begin with what is known in part
            touching = known.any(1, keepdim=True)
        layer_y, layer_x = (touching & ~whole)[0, 0].nonzero().unbind(1)
        around = padded(torch.where(known, target, 0.0), half, wrap)
        weights = padded(known.float(), half, wrap)
        inner_y = layer_y[:, None, None] + half + offsets[:, None]
        inner_x = layer_x[:, None, None] + half + offsets
        queries = around[0][:, inner_y, inner_x].permute(1, 0, 2, 3).flatten(1).double()
        shares = weights[0][:, inner_y, inner_x].permute(1, 0, 2, 3).flatten(1).double()
        best = torch.empty_like(layer_y)
        step = max(1, CHUNK // len(patches))
        for first in range(0, len(queries), step):
            part = slice(first, first + step)
            distances = shares[part] @ squares.T - 2 * (queries[part] @ patches.T)
            best[part] = distances.float().argmin(1)
        unknown = ~known[0][:, layer_y, layer_x]
        old = target[0][:, layer_y, layer_x]
        target[0, :, layer_y, layer_x] = torch.where(unknown, middles[:, best], old)
        known[0, :, layer_y, layer_x] = True
    return target
