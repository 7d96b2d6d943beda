"""Reconstruction of a map from a nearest-patch field, as a Triton kernel."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from .. import patches
from .device import linear, refusal, tile


def why_not(values: Tensor, positions: Tensor, distances: Tensor, **_) -> str | None:
    numbers = max(t.numel() for t in (values, positions, distances))
    numbers = max(numbers, len(values) * values.shape[1] * positions[:, 0, 0].numel())
    return refusal(values.ndim - 2, values, positions, distances, most=numbers)


def vote(
    values: Tensor,
    positions: Tensor,
    distances: Tensor,
    *,
    patch_size: int,
    wrap: tuple[bool, ...] = (False, False),
    source_wrap: tuple[bool, ...] = (False, False),
    scale: Tensor | float = 1.0,
    best: bool = False,
    mask: Tensor | None = None,
) -> Tensor:
    """The contract of `eager.vote`, for images."""
    wrap = patches.flags(wrap, 2)
    source_wrap = patches.flags(source_wrap, 2, "source_wrap")
    patches.check_vote(values, positions, distances, patch_size, scale, mask)
    (batch, channels), size = values.shape[:2], positions.shape[3:]
    precise = torch.float64 if values.dtype == torch.float64 else torch.float32
    packed = values.detach().to(precise).movedim(1, -1).contiguous()
    matches = positions[:, 0].contiguous()
    distances = distances[:, 0].detach().to(precise)
    silent = (matches[:, 0] < 0) | ~distances.isfinite()
    distances = distances.masked_fill(silent, torch.inf).contiguous()
    scales = torch.as_tensor(scale, dtype=precise, device=values.device).contiguous()
    pixels = linear(mask, batch, size, values.device)
    result = packed.new_zeros(batch, *size, channels)
    block, chunk = tile(channels, len(pixels))
    if len(pixels):
        grid = (triton.cdiv(len(pixels), block), triton.cdiv(channels, chunk))
        _vote[grid](  # pyright: ignore[reportIndexIssue]  a kernel, not the function it was
            pixels,
            len(pixels),
            packed,
            matches,
            distances,
            scales,
            result,
            *size,
            *values.shape[2:],
            channels,
            PATCH=patch_size,
            WRAP_Y=wrap[0],
            WRAP_X=wrap[1],
            SOURCE_WRAP_Y=source_wrap[0],
            SOURCE_WRAP_X=source_wrap[1],
            SCALES=scales.ndim > 0,
            BEST=best,
            BLOCK=block,
            CHUNK=chunk,
        )
    return result.movedim(-1, 1).to(values.dtype).contiguous()


@triton.jit
def _brought_in(place, n, WRAP: tl.constexpr):
    if WRAP:
        place = ((place % n) + n) % n
    else:
        place = tl.minimum(tl.maximum(place, 0), n - 1)
    return place


@triton.jit(
    do_not_specialize=["count", "height", "width", "source_height", "source_width", "channels"]
)
def _vote(
    pixels,
    count,
    values,
    matches,
    distances,
    scale,
    result,
    height,
    width,
    source_height,
    source_width,
    channels,
    PATCH: tl.constexpr,
    WRAP_Y: tl.constexpr,
    WRAP_X: tl.constexpr,
    SOURCE_WRAP_Y: tl.constexpr,
    SOURCE_WRAP_X: tl.constexpr,
    SCALES: tl.constexpr,
    BEST: tl.constexpr,
    BLOCK: tl.constexpr,
    CHUNK: tl.constexpr,
):
    """Tiles of (pixels, channels). Twice over the centres that cover each pixel: first for the
    least distance, then for the votes (the best one alone has its place by then)."""
    lane = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    live = lane < count
    index = tl.load(pixels + lane, mask=live, other=0)
    area = height * width
    picture = index // area
    y = (index - picture * area) // width
    x = (index - picture * area) % width
    channel = tl.program_id(1) * CHUNK + tl.arange(0, CHUNK)
    real = live[:, None] & (channel < channels)[None, :]
    least = tl.full((BLOCK,), float("inf"), distances.dtype.element_ty)
    first = tl.full((BLOCK,), -1, tl.int32)
    place = tl.full((BLOCK,), -1, tl.int32)
    half: tl.constexpr = PATCH // 2
    for step in range(PATCH * PATCH):
        dy = step // PATCH - half
        dx = step % PATCH - half
        covers = live
        if not WRAP_Y:
            covers = covers & (y + dy >= 0) & (y + dy < height)
        if not WRAP_X:
            covers = covers & (x + dx >= 0) & (x + dx < width)
        centre = _brought_in(y + dy, height, WRAP_Y) * width
        centre += _brought_in(x + dx, width, WRAP_X)
        distance = tl.load(distances + picture * area + centre, mask=covers, other=float("inf"))
        if BEST:
            better = (distance < least) | (
                (distance == least) & (distance < float("inf")) & (centre < first)
            )
            match = matches + picture * 2 * area + centre
            source_y = tl.load(match, mask=better, other=0) - dy
            source_x = tl.load(match + area, mask=better, other=0) - dx
            source_y = _brought_in(source_y, source_height, SOURCE_WRAP_Y)
            source_x = _brought_in(source_x, source_width, SOURCE_WRAP_X)
            first = tl.where(better, centre, first)
            place = tl.where(better, source_y * source_width + source_x, place)
        least = tl.minimum(least, distance)
    if BEST:
        chosen = (picture * source_height * source_width + place) * channels
        mask = real & (place >= 0)[:, None]
        votes = tl.load(values + chosen[:, None] + channel[None, :], mask=mask, other=0.0)
    else:
        votes = tl.zeros((BLOCK, CHUNK), values.dtype.element_ty)
        total = tl.zeros((BLOCK,), values.dtype.element_ty)
        if SCALES:
            spread = tl.load(scale + index, mask=live, other=1.0)
        else:
            spread = tl.load(scale)
        least = tl.where(least < float("inf"), least, 0.0)
        for step in range(PATCH * PATCH):
            dy = step // PATCH - half
            dx = step % PATCH - half
            covers = live
            if not WRAP_Y:
                covers = covers & (y + dy >= 0) & (y + dy < height)
            if not WRAP_X:
                covers = covers & (x + dx >= 0) & (x + dx < width)
            centre = _brought_in(y + dy, height, WRAP_Y) * width
            centre += _brought_in(x + dx, width, WRAP_X)
            distance = tl.load(distances + picture * area + centre, mask=covers, other=float("inf"))
            weight = tl.exp((least - distance) / (2 * spread * spread))
            match = matches + picture * 2 * area + centre
            covers = covers & (distance < float("inf"))
            source_y = tl.load(match, mask=covers, other=0) - dy
            source_x = tl.load(match + area, mask=covers, other=0) - dx
            source_y = _brought_in(source_y, source_height, SOURCE_WRAP_Y)
            source_x = _brought_in(source_x, source_width, SOURCE_WRAP_X)
            chosen = (picture * source_height + source_y) * source_width + source_x
            value = tl.load(
                values + (chosen * channels)[:, None] + channel[None, :],
                mask=real & covers[:, None],
                other=0.0,
            )
            total += weight
            votes += weight[:, None] * value
        votes = tl.where(
            (total > 0)[:, None], votes / tl.where(total > 0, total, 1.0)[:, None], 0.0
        )
    tl.store(result + (index * channels)[:, None] + channel[None, :], votes, mask=real)
