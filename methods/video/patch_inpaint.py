"""Filling a hole in a clip with patches of space and time from the rest of it."""

import torch
from torch import Tensor

from ..checks import check_clip, check_clip_mask, check_patch_size, largest_odd
from ..field import Field
from ..hole import Setting
from ..hole_filling import fill_holes
from ..steps import Callback


def inpaint_video(
    clip: Tensor,
    mask: Tensor,
    *,
    patch_size: int = 5,
    levels: int | None = None,
    iterations: int = 10,
    source_mask: Tensor | None = None,
    memory: int = 4 << 30,
    seed: int = 0,
    backend: str = "auto",
    callback: Callback | None = None,
) -> tuple[Tensor, Field]:
    """Fill the hole of each clip with cubes of space and time from where the clip is known.

    clip: (B, C, T, H, W) floating, any finite range; of 4 or more channels the first three are
        compared and the rest (alpha ...) comes along with the patches.
    mask: (B or 1, 1, T or 1, H, W) in [0, 1]; where it is exactly 0 the clip comes back bit for
        bit, elsewhere fill and clip are mixed in its proportion. One frame serves for all.
    patch_size: odd, in pixels and in frames; the clip needs so many frames.
    levels: scales of the frames, each half the next; None = until two patches, side by side, cover
        the hole in each.
    iterations: at most so many alternations of search and vote per scale.
    source_mask: (B or 1, 1, T or 1, H, W), copy only from where it is > 0.5.
    memory: bytes of scratch beyond clip and result. Where the whole clip does not fit, patches come
        from as large a window of space and time around the hole as does.
    callback: called with a Step before the first and after every alternation; its image is the
        middle frame of what surrounds the hole.
    Returns the filled clips and the Field that fills them (identity away from the hole).
    Raises ValueError for a mask that leaves nothing to copy from, too few frames, and so on.
    Newson et al. 2014, doi:10.1137/140954933. Differs as `hole_filling` says; the frames are not
    aligned with each other; stabilising before helps where the background is nearly a plane, and
    not where near and far move apart.
    """
    check_clip(clip, "clip")
    check_patch_size(patch_size)
    size = tuple(clip.shape[2:])
    if size[0] < patch_size:
        raise ValueError(
            f"the clip has {size[0]} frames, but patches are {patch_size} frames deep; give at "
            f"least as many, use a patch_size of at most {largest_odd(size[0])}, or fill the "
            "frames as single pictures"
        )
    for name, number in (("iterations", iterations), ("levels", levels), ("memory", memory)):
        if number is not None and number < 1:
            raise ValueError(f"{name} has to be positive, got {number}")
    allowed = torch.ones((1, 1, *size), dtype=torch.bool, device=clip.device)
    for name, given in (("mask", mask), ("source_mask", source_mask)):
        if given is not None:
            check_clip_mask(given, name, clip)
    if source_mask is not None:
        allowed = allowed & (source_mask > 0.5)
    mask = mask.expand(-1, -1, size[0], -1, -1)
    setting = Setting(patch_size, levels, iterations, False, (False,) * 3, memory, seed, backend)
    return fill_holes(clip, mask, allowed, None, setting, callback)
