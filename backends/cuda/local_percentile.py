"""The percentile of the distances of the patches that cover each pixel, as a Triton kernel."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from .. import patches
from .device import TILE, linear, refusal, shape_constants, tile, volume


def why_not(distances: Tensor, **_) -> str | None:
    return refusal(distances, most=distances.numel())


def local_percentile(
    distances: Tensor,
    *,
    patch_size: int,
    percentile: float = 75.0,
    floor: float = 0.0,
    wrap: tuple[bool, ...] = (False, False),
    mask: Tensor | None = None,
) -> Tensor:
    """The contract of `eager.local_percentile`."""
    axes = distances.ndim - 2
    wrap = patches.flags(wrap, axes)
    patches.check_percentile(distances, patch_size, percentile, mask)
    size, device = distances.shape[2:], distances.device
    result = distances.new_full(distances.shape, floor, dtype=torch.float32)
    pixels = linear(mask, len(distances), size, device)
    window = triton.next_power_of_2(patch_size**axes)
    block = max(1, min(TILE // window, tile(1, len(pixels))[0]))
    if len(pixels):
        grid = (triton.cdiv(len(pixels), block),)
        _local_percentile[grid](  # pyright: ignore[reportIndexIssue]  a kernel, not a function
            pixels,
            len(pixels),
            distances.detach().float().contiguous(),
            patches.ranks(patch_size**axes, percentile).int().to(device),
            float(floor),
            result,
            *volume(size),
            **shape_constants(axes, patch_size, wrap=wrap),
            BLOCK=block,
            WINDOW=window,
        )
    return result


@triton.jit(do_not_specialize=["count", "frames", "height", "width"])
def _local_percentile(
    pixels,
    count,
    distances,
    ranks,
    floor,
    result,
    frames,
    height,
    width,
    AXES: tl.constexpr,
    DEPTH: tl.constexpr,
    PATCH: tl.constexpr,
    WRAP_T: tl.constexpr,
    WRAP_Y: tl.constexpr,
    WRAP_X: tl.constexpr,
    BLOCK: tl.constexpr,
    WINDOW: tl.constexpr,
):
    """Tiles of (pixels, centres over each). The value of the wanted rank is built bit by bit from
    the top: a bit stays set while no more values lie below than the rank allows."""
    lane = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    live = lane < count
    index = tl.load(pixels + lane, mask=live, other=0)
    first = index - index % (frames * height * width)
    step = tl.arange(0, WINDOW)[None, :]
    t = (index // (height * width) % frames)[:, None] + step // (PATCH * PATCH) - DEPTH // 2
    y = (index // width % height)[:, None] + step // PATCH % PATCH - PATCH // 2
    x = (index % width)[:, None] + step % PATCH - PATCH // 2
    covers = live[:, None] & (step < DEPTH * PATCH * PATCH)
    if not WRAP_T:
        covers = covers & (t >= 0) & (t < frames)
    if not WRAP_Y:
        covers = covers & (y >= 0) & (y < height)
    if not WRAP_X:
        covers = covers & (x >= 0) & (x < width)
    t = ((t % frames) + frames) % frames
    y = ((y % height) + height) % height
    x = ((x % width) + width) % width
    place = first[:, None] + (t * height + y) * width + x
    distance = tl.load(distances + place, mask=covers, other=float("inf"))
    counts = (distance == distance) & (tl.abs(distance) < float("inf"))
    bits = distance.to(tl.uint32, bitcast=True)
    negative = bits >> 31  # bits in the order of the values: all flipped, or the sign alone
    key = bits ^ tl.where(negative == 1, 0xFFFFFFFF, 0x80000000).to(tl.uint32)
    finite = tl.sum(counts.to(tl.int32), 1)
    rank = tl.load(ranks + finite)
    found = tl.zeros((BLOCK,), tl.uint32)
    bit = tl.full((BLOCK,), 0x80000000, tl.uint32)
    for _ in range(32):
        trial = found | bit
        below = tl.sum((counts & (key < trial[:, None])).to(tl.int32), 1)
        found = tl.where(below <= rank, trial, found)
        bit = bit >> 1
    found = found ^ tl.where((found >> 31) == 1, 0x80000000, 0xFFFFFFFF).to(tl.uint32)
    value = found.to(tl.float32, bitcast=True)
    value = tl.where(finite > 0, tl.maximum(value, floor), floor)
    tl.store(result + index, value, mask=live)
