"""Votes on the CPU, in numba. A picture is a clip of one frame with patches one frame deep.

Where the weight of a patch does not depend on the pixel (one scale for all), whole rows of patches
are added up at vector speed; elsewhere, and where such weights all vanish, each pixel gathers its
votes.
"""

from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .. import patches
from .compile import inline, jit
from .pixels import depth as depth_of
from .pixels import flat, unflat
from .simd_rows import add_scaled
from .threads import frame_stripes, run_pieces

STRIPE = 16  # rows of the result that one piece of work makes
_TINY = 1e-30  # below this sum of weights the ratio of sums is no longer trusted


def why_not(values: Tensor, positions: Tensor, distances: Tensor, **_) -> str | None:
    if values.device.type != "cpu":
        return f"the map lies on {values.device}"
    if values.dtype == torch.float64:
        return "it works in float32"
    return None


@inline
def inside(i, n, around):
    """Index i of an axis of n: on a torus the same place in [0, n), else i, or -1 outside."""
    if i < 0 or i >= n:
        return i % n if around else -1
    return i


@jit
def _spread(values, strides, matches, weights, patch, wrap, sums, first_row, end_row):
    """Add every patch, times its weight, to some rows of one frame of the sums.

    values: flat (T2, H2, W2, C), padded by half a patch where the source is a torus. strides: how
    many pixels a frame and a row of it have. matches: (T, H, W) corners as linear indices, -1 =
    none. patch: its depth and its side. sums: flat (T, H, W, C).
    """
    frames, height, width = matches.shape
    depth, side = patch
    channels, ahead, half = sums.size // matches.size, depth // 2, side // 2
    t = first_row // height
    first_row -= t * height
    end_row -= t * height
    row = width * channels
    for unwrapped_t in range(t - ahead, t + ahead + 1):
        from_t = inside(unwrapped_t, frames, wrap[0])
        if from_t < 0:
            continue
        frame = (t - unwrapped_t + ahead) * strides[0] * channels
        for unwrapped_y in range(first_row - half, end_row + half):
            y = inside(unwrapped_y, height, wrap[1])
            if y < 0:
                continue
            for x in range(width):
                match = matches[from_t, y, x]
                if match < 0:
                    continue
                weight = weights[from_t, y, x]
                low, high = x - half, x + half + 1
                skip = max(0, -low)
                length = (min(high, width) - max(low, 0)) * channels
                for i in range(side):
                    to = unwrapped_y - half + i
                    if to < first_row or to >= end_row:
                        continue
                    to = (t * height + to) * row
                    start = match * channels + frame + i * strides[1] * channels
                    at, source = to + max(low, 0) * channels, start + skip * channels
                    add_scaled(sums, at, values, source, length, weight)
                    if wrap[2]:
                        if low < 0:
                            at = to + (low + width) * channels
                            add_scaled(sums, at, values, start, -low * channels, weight)
                        if high > width:
                            source = start + (width - low) * channels
                            add_scaled(sums, to, values, source, (high - width) * channels, weight)


@jit
def _gather(
    values, strides, matches, distances, patch, wrap, scale, best, wanted, out, first_row, end_row
):
    """Let each wanted pixel of some rows collect the votes of the patches that cover it.

    values, strides, matches, patch as for _spread. scale: (T, H, W), or (1, 1, 1) for all. out:
    flat (T, H, W, C).
    """
    frames, height, width = matches.shape
    depth, side = patch
    channels, ahead, half = out.size // matches.size, depth // 2, side // 2
    t = first_row // height
    for y in range(first_row - t * height, end_row - t * height):
        for x in range(width):
            if not wanted[t, y, x]:
                continue
            to = ((t * height + y) * width + x) * channels
            least, behind, first = np.float32(np.inf), 0, -1
            for dt in range(-ahead, ahead + 1):
                from_t = inside(t + dt, frames, wrap[0])
                for dy in range(-half, half + 1):
                    from_y = inside(y + dy, height, wrap[1])
                    if from_t < 0 or from_y < 0:
                        continue
                    for dx in range(-half, half + 1):
                        from_x = inside(x + dx, width, wrap[2])
                        if from_x >= 0 and matches[from_t, from_y, from_x] >= 0:
                            distance = distances[from_t, from_y, from_x]
                            place = (from_t * height + from_y) * width + from_x
                            if distance < least or (distance == least and place < first):
                                least, first = distance, place
                                # where the pixel lies in the patch that says it
                                behind = (ahead - dt) * strides[0] + (half - dy) * strides[1]
                                behind += half - dx + matches[from_t, from_y, from_x]
            for c in range(channels):
                out[to + c] = values[behind * channels + c] if best and first >= 0 else 0
            if best or first < 0:
                continue
            s = scale[t, y, x] if scale.size > 1 else scale[0, 0, 0]
            sharpness = np.float32(0.5) / (s * s)
            total = np.float32(0)
            for dt in range(-ahead, ahead + 1):
                from_t = inside(t + dt, frames, wrap[0])
                for dy in range(-half, half + 1):
                    from_y = inside(y + dy, height, wrap[1])
                    if from_t < 0 or from_y < 0:
                        continue
                    for dx in range(-half, half + 1):
                        from_x = inside(x + dx, width, wrap[2])
                        if from_x < 0 or matches[from_t, from_y, from_x] < 0:
                            continue
                        match = matches[from_t, from_y, from_x] + (ahead - dt) * strides[0]
                        match += (half - dy) * strides[1] + half - dx
                        weight = np.exp((least - distances[from_t, from_y, from_x]) * sharpness)
                        total += weight
                        for c in range(channels):
                            out[to + c] += weight * values[match * channels + c]
            for c in range(channels):
                out[to + c] /= total


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
    """See backends.eager.vote.vote."""
    axes = values.ndim - 2
    wrap = patches.flags(wrap, axes)
    source_wrap = patches.flags(source_wrap, axes, "source_wrap")
    patches.check_vote(values, positions, distances, patch_size, scale, mask)
    result = torch.empty(*values.shape[:2], *positions.shape[3:], dtype=values.dtype)

    def clip(given: Tensor) -> Tensor:
        return given if axes == 3 else given.unsqueeze(-3)

    for b in range(len(values)):
        pixels = _clip_vote(
            clip(values[b].detach()),
            clip(positions[b, 0]),
            clip(distances[b, 0].float()).contiguous(),
            (depth_of(values.shape[2:], patch_size), patch_size),
            (False,) * (3 - axes) + wrap,
            (False,) * (3 - axes) + source_wrap,
            clip(scale[b, 0].float()).contiguous() if isinstance(scale, Tensor) else float(scale),
            best,
            None if mask is None else clip(mask[b, 0]).contiguous(),
        )
        clip(result[b]).copy_(pixels)
    return result


def _clip_vote(
    values: Tensor,
    positions: Tensor,
    distances: Tensor,
    patch: tuple[int, int],
    wrap: patches.Flags,
    source_wrap: patches.Flags,
    scale: Tensor | float,
    best: bool,
    wanted: Tensor | None,
) -> Tensor:
    """(C, T, H, W) votes of one clip. scale: (T, H, W), or one for all."""
    reach = (patch[0] // 2, patch[1] // 2, patch[1] // 2)
    padded = patches.pad_torus(values, patch[1] // 2, source_wrap).float()
    _, height, width = padded.shape[1:]
    strides = (height * width, width)
    axes = slice(3 - len(positions), None)
    matches = torch.zeros(positions.shape[1:], dtype=torch.int64)
    for place, r, around, step in zip(
        positions, reach[axes], source_wrap[axes], (*strides, 1)[axes], strict=True
    ):
        matches += (place.long() - (0 if around else r)) * step
    matches = torch.where(positions[0] >= 0, matches, -1)
    if wanted is None:
        wanted = torch.ones(matches.shape, dtype=torch.bool)
    field = flat(padded), strides, matches.numpy()
    out = np.zeros(len(values) * matches.numel(), np.float32)
    shape = (len(values), *matches.shape)
    narrow = wrap[2] and matches.shape[2] < reach[2]  # then a patch goes around more than once
    widths = scale if isinstance(scale, Tensor) else torch.full((1, 1, 1), scale)
    if best or narrow or isinstance(scale, Tensor):
        rest = distances.numpy(), patch, wrap, widths.numpy(), best, wanted.numpy(), out
        _run(partial(_gather, *field, *rest), matches)
        return unflat(out, shape)
    weights = torch.exp((distances.min() - distances) * (0.5 / scale**2))
    weights = torch.where(matches >= 0, weights, 0.0)
    _run(partial(_spread, *field, weights.numpy(), patch, wrap, out), matches)
    votes, total = unflat(out, shape), _covering(weights, patch, wrap)
    votes.div_(total).masked_fill_(~wanted, 0)
    vanished = wanted & ~(total > _TINY)
    if vanished.any():
        rest = distances.numpy(), patch, wrap, widths.numpy(), False, vanished.numpy(), out
        _run(partial(_gather, *field, *rest), matches)
    return votes


def _covering(weights: Tensor, patch: tuple[int, int], wrap: patches.Flags) -> Tensor:
    """(T, H, W) sums of the weights of the patches that cover each pixel."""
    depth, side = patch
    total = patches.pad(weights, side // 2, wrap[1:], fill=0.0)
    for window in ((side, 1), (1, side)):
        total = F.avg_pool2d(total[:, None], window, stride=1, divisor_override=1)[:, 0]
    if depth > 1:
        total = patches.pad(total.movedim(0, -1), depth // 2, wrap[:1], fill=0.0).movedim(-1, 0)
        total = sum(total[i : i + len(weights)] for i in range(depth))
    return torch.as_tensor(total)


def _run(work, matches: Tensor) -> None:
    run_pieces(work, frame_stripes(len(matches), matches.shape[1], STRIPE))
