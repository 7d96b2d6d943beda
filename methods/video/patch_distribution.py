"""Bring the patches of new clips into the distribution of those of another one.

Along random directions the values of all patches of space and time are ordered, and each is drawn
to what stands in its place in the order of the other clip: the sliced Wasserstein distance of
Elnekave & Weiss 2022 (arXiv:2203.11862), made for pictures, here for clips. Departures: it begins
with a clip, not with noise, whose layout and motion stay where there are any; and a direction looks
at one principal colour of the source, for along directions of all three at once the rare colours
come right last, as coloured noise.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from ...backends import random
from ..checks import check_clip, check_clip_mask
from ..diffusion.settings import check_least
from ..steps import Callback, Progress

PATCH = (3, 7, 7)  # frames, rows and columns, at most
SCALES = 3  # each half the one before, as long as two patches fit side by side
DIRECTIONS = 16  # in a step
RATE = 0.01  # change of a value in a step at first, as a share of the range


def match_patches(
    clips: Tensor,
    source: Tensor,
    *,
    mask: Tensor | None = None,
    loop: bool = False,
    steps: int = 100,
    seed: int = 0,
    callback: Callback | None = None,
) -> Tensor:
    """Clips changed a little, so that their patches are distributed as those of the source.

    clips: (B, C, T, H, W) floating. source: (1, C, T2, H2, W2), any finite range.
    mask: (1, 1, T2 or 1, H2, W2); patches with anything above 0 are left out of the source.
    loop: the last frame leads to the first. steps: at the coarsest of three scales, of 16 random
        directions each; half as many at the next, and so on.
    callback: called with a Step after every step, its image a frame; may raise.
    Returns the shape and dtype of `clips`, within the range of what is known of the source.
    Repeats bit for bit on the CPU for the same number of threads.
    Raises ValueError for shapes that do not fit, and a mask that leaves no patch.
    """
    check_clip(clips, "clips")
    check_clip(source, "source")
    check_least("steps", steps, 1)
    if len(source) != 1 or source.shape[1] != clips.shape[1]:
        raise ValueError(
            f"source has shape {tuple(source.shape)}, expected one clip of {clips.shape[1]} "
            "channels, as the clips have"
        )
    hidden = torch.zeros(1, 1, *source.shape[2:], device=source.device)
    if mask is not None:
        check_clip_mask(mask, "mask", source)
        hidden = (mask > 0).to(hidden).expand_as(hidden)
    if bool(hidden.all()):
        raise ValueError("the mask covers everything: nothing is left to compare with")
    seen = source.detach()[(hidden == 0).expand_as(source)].float()
    low, reach = float(seen.min()), float(seen.max() - seen.min()) or 1.0
    with torch.inference_mode(False), torch.enable_grad():
        there = (source.detach().clone().float() - low) / reach
        levels = _levels(there, hidden.clone(), clips.shape[2:])
        counts = [max(1, steps >> (len(levels) - 1 - n)) for n in range(len(levels))]
        progress, made = Progress(callback, sum(counts) * len(clips), len(levels)), []
        for clip in clips:
            values = (clip.detach().clone()[None].float() - low) / reach
            for number in reversed(range(len(levels))):
                size = (1, 2**number, 2**number)
                coarse = F.avg_pool3d(values, size)
                done = len(made) * sum(counts) + sum(counts[number + 1 :])
                matched = coarse.clone().requires_grad_()
                optimizer = torch.optim.Adam([matched], RATE)
                for step in range(counts[number]):
                    for group in optimizer.param_groups:
                        group["lr"] = RATE * (1 - step / counts[number])
                    optimizer.zero_grad(set_to_none=True)
                    drawn = int(random.bits(seed, SCALES * step + number))
                    levels[number].distance(matched, loop, drawn).backward()
                    optimizer.step()
                    shown = matched.detach()[:, :3, 0] * reach + low
                    last = step == counts[number] - 1
                    progress.report(shown, len(levels) - 1 - number, done + step + 1, last)
                change = (matched.detach() - coarse)[0].movedim(1, 0)
                change = F.interpolate(change, values.shape[3:], mode="bilinear")
                values = (values + change.movedim(0, 1)).clamp(0, 1)
            made.append((values * reach + low).to(clips.dtype))
    return torch.cat(made)


@dataclass(frozen=True)
class _Level:
    """The source at one scale. patch: frames, rows and columns. whole: (P,) bool, which of its
    patches may be compared. colours: (C, C), its principal ones in rows."""

    source: Tensor
    patch: tuple[int, ...]
    whole: Tensor
    colours: Tensor

    def distance(self, values: Tensor, loop: bool, seed: int) -> Tensor:
        """How far the patches of (1, C, T, H, W) are from their places in the source's order."""
        ways = torch.randn(DIRECTIONS, 1, *self.patch, generator=Generator().manual_seed(seed))
        ways = ways / ways.flatten(1).norm(dim=1).view(-1, 1, 1, 1, 1)
        which = torch.arange(DIRECTIONS) % len(self.colours)
        ways = ways.to(values.device) * self.colours[which].view(DIRECTIONS, -1, 1, 1, 1)
        along = _along(values, ways, loop)
        with torch.no_grad():
            wanted = _along(self.source, ways, False)[:, self.whole].sort(1).values
            if wanted.shape != along.shape:
                count = along.shape[1]
                wanted = F.interpolate(wanted[None], count, mode="linear", align_corners=True)[0]
            wanted = torch.empty_like(wanted).scatter_(1, _order(along), wanted)
        return (along - wanted).abs().mean()


def _levels(source: Tensor, hidden: Tensor, size: Sequence[int]) -> list[_Level]:
    """The source from fine to coarse, as far as two patches fit into it and clips (T, H, W)."""
    known = source[0][:, hidden[0, 0] == 0]
    colours = torch.linalg.eigh(
        known.cov(correction=0).view(len(known), -1)
    ).eigenvectors.T.contiguous()
    largest, levels = tuple(map(min, PATCH, source.shape[2:])), []
    patch = tuple(map(min, largest, size))
    least = min(*size[1:], *source.shape[3:])
    while len(levels) < SCALES and (not levels or least >> len(levels) >= 2 * max(PATCH)):
        if levels:
            source, hidden = F.avg_pool3d(source, (1, 2, 2)), F.max_pool3d(hidden, (1, 2, 2))
        if not (F.max_pool3d(hidden, largest, 1) == 0).any():
            break
        whole = (F.max_pool3d(hidden, patch, 1) == 0).flatten()
        levels.append(_Level(source, patch, whole, colours))
    if not levels:
        raise ValueError("the mask leaves no whole patch of the source")
    return levels


def _along(clip: Tensor, ways: Tensor, loop: bool) -> Tensor:
    """(n, P): every patch of (1, C, T, H, W) times n of its shape. Frames are a batch of pictures:
    torch has fast convolutions for these."""
    frames, depth = clip[0].movedim(1, 0), ways.shape[2]
    if loop:
        frames = torch.cat([frames, frames[: depth - 1]])
    length = len(frames) - depth + 1
    each = [F.conv2d(frames[t : t + length], ways[:, :, t]) for t in range(depth)]
    return torch.stack(each).sum(0).movedim(1, 0).flatten(1)


def _order(values: Tensor) -> Tensor:
    """What sorts each row."""
    if values.device.type == "cpu":  # numpy is three times as fast
        return torch.from_numpy(np.argsort(values.detach().numpy(), axis=1))
    return values.detach().argsort(1)
