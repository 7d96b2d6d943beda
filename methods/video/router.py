"""Removing things from a clip: every pixel by the engine that suits it.

What other frames show is taken along the motion; the rest is filled with patches of space and time,
which see what the motion has brought. How far the motion is to be trusted is tried out first: a
hole of the same shape is put where the clip is known, both engines fill it, and the least error
says from which confidence on the motion is the better one. So still backgrounds come out as they
were, and water, fire and leaves as something that moves as they do.
"""

import logging
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..checks import check_clip, check_clip_mask
from ..hidden_regions import hidden_regions
from ..steps import Callback, Step
from .flow_fill import flow_fill
from .likeness import unlikeness
from .patch_inpaint import inpaint_video

log = logging.getLogger(__name__)

ENGINES = ("flow", "patch")
KNOWN = -1  # in the map: not filled
TRUST = 0.5  # confidence from which the motion is taken where nothing could be tried out
MARGIN = 12  # pixels between a hole and where it is tried out
TRIED = 24  # frames in which it is, at most
SPECK = (3, 5, 5)  # frames and pixels over which the choice is made alike
STEPS = 1000  # of a progress


@dataclass(frozen=True)
class Removal:
    """clip: (1, C, T, H, W), filled. engines: (1, 1, T, H, W) int8, the number in ENGINES of what
    filled a pixel, KNOWN elsewhere. trust: confidence from which the motion was taken; above 1 =
    nowhere. words: what was done, for reading.
    """

    clip: Tensor
    engines: Tensor
    trust: float
    words: str


def remove(
    clip: Tensor,
    mask: Tensor,
    *,
    engine: str = "auto",
    trust: float | None = None,
    patch_size: int = 5,
    seed: int = 0,
    backend: str = "auto",
    callback: Callback | None = None,
) -> Removal:
    """Fill the hole of a clip, with what other frames show or with patches, whichever suits.

    clip: (1, C, T, H, W) floating, nominally [0, 1]. mask: (1, 1, T or 1, H, W) in [0, 1]; where it
        is exactly 0 the clip comes back bit for bit, elsewhere fill and clip are mixed in its
        proportion.
    engine: "auto", or "flow" or "patch" alone; what the motion cannot fill falls to patches.
    trust: confidence of the motion (0 to 1) from which it is taken, default what a trial says.
    patch_size, seed, backend: of the patches, see `inpaint_video`.
    callback: called with a Step now and then, its image a frame of the clip; may raise.
    Raises ValueError for sizes that do not fit, and a hole that leaves nothing to copy from.
    """
    check_clip(clip, "the clip")
    check_clip_mask(mask, "mask", clip)
    share = mask.expand(1, 1, *clip.shape[2:])
    hole = share > 0
    if not hole.any():
        log.warning("the mask is empty: the clip comes back unchanged")
        empty = torch.full(hole.shape, KNOWN, dtype=torch.int8)
        return Removal(clip.clone(), empty, 1.0, "the mask is empty: nothing was filled")
    ...
