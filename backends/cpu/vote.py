"""Votes on the CPU, in numba.

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
from .simd import SLACK, add_scaled
from .threads import run_pieces, stripes

STRIPE = 16  # rows of the result that one piece of work makes
_TINY = 1e-30  # below this sum of weights the ratio of sums is no longer trusted


def why_not(values: Tensor, positions: Tensor, distances: Tensor, **_) -> str | None:
    if values.device.type != "cpu":
        return f"the map lies on {values.device}"
    if values.ndim != 4:
        return "it takes images, not clips"
    if values.dtype == torch.float64:
        return "it works in float32"
    return None


@inline
def _inside(i, n, around):
    """Index i of an axis of n: on a torus the same place in [0, n), else i, or -1 outside."""
    if i < 0:
        return i + n if around else -1
    if i >= n:
        return i - n if around else -1
    return i


@jit
def _spread(flat, source_row, matches, weights, patch_size, wrap, sums, first_row, end_row):
    """Add every patch, times its weight, to rows first_row to end_row of the sums.

    flat: (H2, W2, C) values of rows of source_row numbers, padded by half a patch where the source
    is a torus, and SLACK behind them. matches: (H, W) corners as linear indices, -1 = none. sums:
    (H, W, C).
    """
    height, width, channels = sums.shape
    half, row, out = patch_size // 2, width * channels, sums.reshape(-1)
    for unwrapped_y in range(first_row - half, end_row + half):
        y = _inside(unwrapped_y, height, wrap[0])
        if y < 0:
            continue
        for x in range(width):
            match = matches[y, x]
            if match < 0:
                continue
            weight = weights[y, x]
            low, high = x - half, x + half + 1
            skip = max(0, -low)
            length = (min(high, width) - max(low, 0)) * channels
            for i in range(patch_size):
                to = unwrapped_y - half + i
                if to < first_row or to >= end_row:
                    continue
                start = match * channels + i * source_row
                at, source = to * row + max(low, 0) * channels, start + skip * channels
                add_scaled(out, at, flat, source, length, weight)
                if wrap[1]:
                    if low < 0:
                        at = to * row + (low + width) * channels
                        add_scaled(out, at, flat, start, -low * channels, weight)
                    if high > width:
                        source = start + (width - low) * channels
                        add_scaled(out, to * row, flat, source, (high - width) * channels, weight)


@jit
def _gather(
    values, matches, distances, patch_size, wrap, scale, best, wanted, out, first_row, end_row
):
    """Let each wanted pixel of some rows collect the votes of the patches that cover it.

    values, matches as for _spread. scale: (H, W), or (1, 1) for all. out: (H, W, C).
    """
    height, width = matches.shape
    channels, half, source_width = values.shape[2], patch_size // 2, values.shape[1]
    for y in range(first_row, end_row):
        for x in range(width):
            if not wanted[y, x]:
                continue
            least, at_y, at_x, at_place = np.float32(np.inf), -1, -1, 0
            for dy in range(-half, half + 1):
                from_y = _inside(y + dy, height, wrap[0])
                for dx in range(-half, half + 1):
                    from_x = _inside(x + dx, width, wrap[1])
                    if from_y >= 0 and from_x >= 0 and matches[from_y, from_x] >= 0:
                        distance = distances[from_y, from_x]
                        place = from_y * width + from_x
                        if distance < least or (distance == least and place < at_place):
                            least, at_y, at_x, at_place = distance, dy, dx, place
            if at_place == 0 and least == np.inf:
                for c in range(channels):
                    out[y, x, c] = 0
                continue
            if best:
                match = matches[at_place // width, at_place % width]
                match += (half - at_y) * source_width + half - at_x
                for c in range(channels):
                    out[y, x, c] = values[match // source_width, match % source_width, c]
                continue
            s = scale[y, x] if scale.size > 1 else scale[0, 0]
            sharpness = np.float32(0.5) / (s * s)
            total = np.float32(0)
            for c in range(channels):
                out[y, x, c] = 0
            for dy in range(-half, half + 1):
                from_y = _inside(y + dy, height, wrap[0])
                for dx in range(-half, half + 1):
                    from_x = _inside(x + dx, width, wrap[1])
                    if from_y < 0 or from_x < 0 or matches[from_y, from_x] < 0:
                        continue
                    match = matches[from_y, from_x] + (half - dy) * source_width + half - dx
                    weight = np.exp((least - distances[from_y, from_x]) * sharpness)
                    total += weight
                    for c in range(channels):
                        out[y, x, c] += (
                            weight * values[match // source_width, match % source_width, c]
                        )
            for c in range(channels):
                out[y, x, c] /= total


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
    wrap, source_wrap = patches.flags(wrap, 2), patches.flags(source_wrap, 2, "source_wrap")
    patches.check_vote(values, positions, distances, patch_size, scale, mask)
    half = patch_size // 2
    padded = patches.pad_torus(values.detach().float(), half, source_wrap)
    padded = padded.permute(0, 2, 3, 1).contiguous()
    up, aside = (0 if around else half for around in source_wrap)
    y, x = positions[:, 0].long().unbind(1)
    matches = torch.where(y >= 0, (y - up) * padded.shape[2] + x - aside, -1)
    distances = distances[:, 0].float().contiguous()
    wanted = (
        torch.ones(matches.shape, dtype=torch.bool) if mask is None else mask[:, 0].contiguous()
    )
    result = torch.empty(*values.shape[:2], *matches.shape[1:], dtype=values.dtype)
    for b in range(len(values)):
        field = padded[b], matches[b], distances[b], patch_size, wrap
        if isinstance(scale, Tensor) or best:
            width = torch.ones(1, 1)
            if isinstance(scale, Tensor):
                width = scale[b, 0].float().contiguous()
            pixels = torch.zeros(*matches.shape[1:], values.shape[1])
            _each_pixel(*field, width, best, wanted[b], pixels)
        else:
            pixels = _whole_patches(*field, float(scale), wanted[b])
        result[b] = pixels.permute(2, 0, 1)
    return result


def _whole_patches(
    values: Tensor,
    matches: Tensor,
    distances: Tensor,
    patch_size: int,
    wrap: patches.Flags,
    scale: float,
    wanted: Tensor,
) -> Tensor:
    """(H, W, C) votes, every patch with one weight for all its pixels."""
    weights = torch.exp((distances.min() - distances) * (0.5 / scale**2))
    weights = torch.where(matches >= 0, weights, 0.0)
    flat = np.empty(values.numel() + SLACK, np.float32)
    flat[: values.numel()] = values.numpy().ravel()
    sums = torch.zeros(*matches.shape, values.shape[2])
    row = values.shape[1] * values.shape[2]
    arrays = matches.numpy(), weights.numpy(), patch_size, wrap, sums.numpy()
    run_pieces(partial(_spread, flat, row, *arrays), stripes(len(matches), STRIPE))
    total = patches.pad(weights[None, None], patch_size // 2, wrap, fill=0.0)
    for window in ((patch_size, 1), (1, patch_size)):
        total = F.avg_pool2d(total, window, stride=1, divisor_override=1)
    total = total[0, 0, :, :, None]
    pixels = torch.where(wanted[:, :, None], sums / total, 0)
    vanished = wanted & ~(total[:, :, 0] > _TINY)
    if vanished.any():
        width = torch.full((1, 1), scale)
        _each_pixel(values, matches, distances, patch_size, wrap, width, False, vanished, pixels)
    return pixels


def _each_pixel(
    values: Tensor,
    matches: Tensor,
    distances: Tensor,
    patch_size: int,
    wrap: patches.Flags,
    scale: Tensor,
    best: bool,
    wanted: Tensor,
    pixels: Tensor,
) -> None:
    """Set the wanted ones of the (H, W, C) pixels, each by the patches that cover it."""
    field = values.numpy(), matches.numpy(), distances.numpy(), patch_size, wrap
    work = partial(_gather, *field, scale.numpy(), best, wanted.numpy(), pixels.numpy())
    run_pieces(work, stripes(len(matches), STRIPE))
