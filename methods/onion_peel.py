"""The onion-peel start of hole filling: layer by layer from the border, matching what is known."""

from itertools import product

import torch
from torch import Tensor

from ..backends import patches, random
from .morphology import grown
from .steps import Poll

MOST_SOURCES = 16384  # source patches compared with; a random choice where there are more
MOST_SOURCES_OF_CLIPS = 4096  # with patches of more numbers, for more pixels
CHUNK = 1 << 22  # distances held at a time
PRODUCTS = 1 << 30  # that these take at most, so that the next poll is near


def onion_peel(
    target: Tensor,
    known: Tensor,
    source: Tensor,
    centres: Tensor,
    patch_size: int,
    wrap: tuple[bool, ...] = (False, False),
    seed: int = 0,
    likely: Tensor | None = None,
    poll: Poll | None = None,
) -> Tensor:
    """`target` with its unknown values filled from the outside in.

    target: (1, C, H, W) float32. known: (1, C, H, W) bool, not all False. source: (1, C, H2, W2);
    centres: (1, 1, H2, W2) bool, where whole source patches are centred. Clips likewise, with a T
    axis before H. likely: (1, 1, axes, H, W) int32, of each pixel one source patch more to compare
    with; -1 = none. poll: called now and then; may raise.
    Every pixel that has a known neighbour takes the centre of the source patch that agrees best
    with the known part of its own; then these count as known. All distances are exact, so this is
    for the coarsest scale, where the hole is about as large as a patch.
    """
    axes = target.dim() - 2
    half, wrap = patch_size // 2, patches.flags(wrap, axes)
    middles_at = centres[0, 0].nonzero()  # (n, axes)
    most = MOST_SOURCES if axes == 2 else MOST_SOURCES_OF_CLIPS
    if len(middles_at) > most:
        index = torch.arange(most, device=source.device)
        middles_at = middles_at[random.below(len(middles_at), seed, index)]
    offsets = torch.tensor(list(product(range(patch_size), repeat=axes)), device=source.device)

    def vectors(values: Tensor, corners: Tensor) -> Tensor:
        """(n, C p p) patches of (1, C, *size) that begin at the corners (n, axes).

        Doubles, rounded before the comparison: a sum must not depend on how threads share it.
        """
        places = (corners[:, None] + offsets).unbind(-1)
        return values[0][(slice(None), *places)].transpose(0, 1).flatten(1).double()

    candidates = vectors(source, middles_at - half)
    squares = candidates.square()
    target, known = target.clone(), known.clone()
    while not known.all():
        whole = known.all(1, keepdim=True)
        touching = grown(whole, 1, wrap)
        if not touching.any():  # nothing is known in full yet: begin with what is known in part
            touching = known.any(1, keepdim=True)
        layer = (touching & ~whole)[0, 0].nonzero()
        around = patches.pad(torch.where(known, target, 0.0), half, wrap, fill=0.0)
        weights = patches.pad(known.float(), half, wrap, fill=0.0)
        chosen = torch.empty_like(layer)
        step = max(1, min(CHUNK // len(candidates), PRODUCTS // candidates.numel()))
        for first in range(0, len(layer), step):
            part = slice(first, first + step)
            shares, queries = vectors(weights, layer[part]), vectors(around, layer[part])
            distances = shares @ squares.T - 2 * (queries @ candidates.T)
            least, best = distances.float().min(1)
            chosen[part] = middles_at[best]
            if likely is not None:
                own = likely[0, 0][(slice(None), *layer[part].unbind(1))].T.long()  # (n, axes)
                values = vectors(source, own.clamp(min=half) - half)
                distance = (shares * values.square() - 2 * queries * values).sum(1).float()
                closer = (own[:, 0] >= 0) & (distance < least)
                chosen[part] = torch.where(closer[:, None], own, chosen[part])
            if poll is not None:
                poll()
        there = (slice(None), *layer.unbind(1))
        taken = source[0][(slice(None), *chosen.unbind(1))]
        target[0][there] = torch.where(known[0][there], target[0][there], taken)
        known[0][there] = True
    return target
