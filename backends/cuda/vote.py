"""Reconstruction of a map from a nearest-patch field, as a Triton kernel."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from .. import patches
from .device import linear, refusal, shape_constants, tile, volume


def why_not(values: Tensor, positions: Tensor, distances: Tensor, **_) -> str | None:
    numbers = max(t.numel() for t in (values, positions, distances))
    numbers = max(numbers, len(values) * values.shape[1] * positions[:, 0, 0].numel())
    return refusal(values, positions, distances, most=numbers)


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
    """The contract of `eager.vote`."""
    axes = values.ndim - 2
    wrap = patches.flags(wrap, axes)
    source_wrap = patches.flags(source_wrap, axes, "source_wrap")
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
            *volume(size),
            *volume(values.shape[2:]),
            channels,
            **shape_constants(axes, patch_size, wrap=wrap, source_wrap=source_wrap),
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


@triton.jit
def _centre(
    step, t, y, x, live, frames, height, width,
    DEPTH: tl.constexpr, PATCH: tl.constexpr,
    WRAP_T: tl.constexpr, WRAP_Y: tl.constexpr, WRAP_X: tl.constexpr,
):  # fmt: skip
    """One of the centres whose patches cover the pixels: how far it lies off them in time, down and
    across, its index, and for which pixels there is one."""
    dt = step // (PATCH * PATCH) - DEPTH // 2
    dy = step // PATCH % PATCH - PATCH // 2
    dx = step % PATCH - PATCH // 2
    covers = live
    if not WRAP_T:
        covers = covers & (t + dt >= 0) & (t + dt < frames)
    if not WRAP_Y:
        covers = covers & (y + dy >= 0) & (y + dy < height)
    if not WRAP_X:
        covers = covers & (x + dx >= 0) & (x + dx < width)
    centre = _brought_in(t + dt, frames, WRAP_T) * height + _brought_in(y + dy, height, WRAP_Y)
    return dt, dy, dx, centre * width + _brought_in(x + dx, width, WRAP_X), covers


@triton.jit
def _said(
    match, asked, volume, dt, dy, dx, source_frames, source_height, source_width,
    AXES: tl.constexpr, SOURCE_WRAP_T: tl.constexpr, SOURCE_WRAP_Y: tl.constexpr,
    SOURCE_WRAP_X: tl.constexpr,
):  # fmt: skip
    """Which source pixel the patch matched at `match` gives to the pixel it lies dt, dy, dx off."""
    place = tl.load(match + (AXES - 2) * volume, mask=asked, other=0) - dy
    place = _brought_in(place, source_height, SOURCE_WRAP_Y)
    if AXES == 3:
        t = _brought_in(tl.load(match, mask=asked, other=0) - dt, source_frames, SOURCE_WRAP_T)
        place += t * source_height
    x = tl.load(match + (AXES - 1) * volume, mask=asked, other=0) - dx
    return place * source_width + _brought_in(x, source_width, SOURCE_WRAP_X)


@triton.jit(
    do_not_specialize=[
        *("count", "frames", "height", "width", "channels"),
        *("source_frames", "source_height", "source_width"),
    ]
)
def _vote(
    pixels,
    count,
    values,
    matches,
    distances,
    scale,
    result,
    frames,
    height,
    width,
    source_frames,
    source_height,
    source_width,
    channels,
    AXES: tl.constexpr,
    DEPTH: tl.constexpr,
    PATCH: tl.constexpr,
    WRAP_T: tl.constexpr,
    WRAP_Y: tl.constexpr,
    WRAP_X: tl.constexpr,
    SOURCE_WRAP_T: tl.constexpr,
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
    volume = frames * height * width
    picture = index // volume
    t = index // (height * width) % frames
    y = index // width % height
    x = index % width
    channel = tl.program_id(1) * CHUNK + tl.arange(0, CHUNK)
    real = live[:, None] & (channel < channels)[None, :]
    least = tl.full((BLOCK,), float("inf"), distances.dtype.element_ty)
    first = tl.full((BLOCK,), -1, tl.int32)
    place = tl.full((BLOCK,), -1, tl.int32)
    for step in range(DEPTH * PATCH * PATCH):
        dt, dy, dx, centre, covers = _centre(
            step, t, y, x, live, frames, height, width, DEPTH, PATCH, WRAP_T, WRAP_Y, WRAP_X
        )
        distance = tl.load(distances + picture * volume + centre, mask=covers, other=float("inf"))
        if BEST:
            better = (distance < least) | (
                (distance == least) & (distance < float("inf")) & (centre < first)
            )
            said = _said(
                matches + picture * AXES * volume + centre, better, volume, dt, dy, dx,
                source_frames, source_height, source_width,
                AXES, SOURCE_WRAP_T, SOURCE_WRAP_Y, SOURCE_WRAP_X,
            )  # fmt: skip
            first = tl.where(better, centre, first)
            place = tl.where(better, said, place)
        least = tl.minimum(least, distance)
    source_volume = source_frames * source_height * source_width
    if BEST:
        chosen = (picture * source_volume + place) * channels
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
        for step in range(DEPTH * PATCH * PATCH):
            dt, dy, dx, centre, covers = _centre(
                step, t, y, x, live, frames, height, width, DEPTH, PATCH, WRAP_T, WRAP_Y, WRAP_X
            )
            there = distances + picture * volume + centre
            distance = tl.load(there, mask=covers, other=float("inf"))
            weight = tl.exp((least - distance) / (2 * spread * spread))
            covers = covers & (distance < float("inf"))
            said = _said(
                matches + picture * AXES * volume + centre, covers, volume, dt, dy, dx,
                source_frames, source_height, source_width,
                AXES, SOURCE_WRAP_T, SOURCE_WRAP_Y, SOURCE_WRAP_X,
            )  # fmt: skip
            chosen = picture * source_volume + said
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
