"""Filling a hole of one picture or clip: patch search and vote in turns, from coarse to fine.

The multi-scale alternation of Wexler et al. 2007 (doi:10.1109/TPAMI.2007.60) in the form of Newson
et al. 2014 (doi:10.1137/140954933): onion-peel start, texture features, patch search, weighted
vote. Work is done on the hole and its surroundings only. Departures:
- votes of coarse scales take the best patch, not a mean, which keeps stochastic texture sharp;
- in pictures, a source patch that is used more than its share becomes dearer, so that the fill does
  not settle on a few smooth patches (the idea of the transport cost, at a fraction of its price);
- what the finished field says about the known ring is compared with the ring, and the difference
  fades out over a few pixels into the fill, so that no line shows where they meet;
- of clips, the first search also looks at each patch's own place in other frames, where the answer
  is if the camera rests; and the last vote is softer, for borders of pieces that are copied sharply
  show as they move.
In clips, means at all scales, as in the paper, are better for fine regular motion and worse for
scenes: LPIPS of a hidden place 0.038 and 0.080, against 0.044 and 0.055 with best votes at coarse
scales and a last vote of sharpness 2 (a school of fish, a fountain in a street; one run each).
"""

import logging
import math
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from ..backends import patches, random, run
from ..backends.threads import kernels_only
from .checks import by
from .field import Field
from .hole import (
    Scale,
    Setting,
    hole_scales,
    identity_field,
    same_place,
    upscaled_field,
    upscaled_image,
    whole_field,
    whole_patches,
    working_window,
)
from .morphology import depths, grown
from .onion_peel import onion_peel
from .steps import Callback, Progress

log = logging.getLogger(__name__)

PASSES = 2  # of PatchMatch in each alternation
FIRST_PASSES = 6  # where there is no field yet
FINEST = 0.25  # share of the alternations that the finest scale gets: it starts almost finished
STILL = 1e-4  # mean change of the hole below which a scale is finished
SHARPNESS = (
    0.5  # the scale of the weights, as a share of the 75th percentile of the distances around
)
LAST_SHARPNESS = (
    20.0  # how much sharper the last vote is: nearly the best patch, without its jaggedness
)
LAST_SHARPNESS_OF_CLIPS = 3.0
REUSE = 0.4  # price of a source patch used twice as often as its share, in median distances
SHARE = 0.4  # uses per source pixel that are never priced
SCARCE = 0.25  # hole patches per source patch from which reuse has its full price
RING = 2  # pixels of known surroundings that the seam is measured on
FADE = 2.0  # pixels over which the correction of the seam falls to 1 / e


def fill_holes(
    images: Tensor,
    mask: Tensor,
    allowed: Tensor,
    guide: Tensor | None,
    setting: Setting,
    callback: Callback | None,
) -> tuple[Tensor, Field]:
    """The filled pictures (B, C, H, W) or clips (B, C, T, H, W), and the Field that fills them.

    mask: (B or 1, 1, ...) in [0, 1]. allowed: (B or 1, 1, ...) bool, what may be copied. guide:
    (B or 1, G, ...), or None.
    Raises ValueError where nothing is left to copy from.
    """
    done = []
    for b in range(len(images)):
        one = slice(b, b + 1)
        part = [given if len(given) == 1 else given[one] for given in (mask, allowed)]
        hint = guide if guide is None or len(guide) == 1 else guide[one]
        with kernels_only():
            done.append(_fill(images[one].detach(), part[0], part[1], hint, setting, callback))
    filled, fields = zip(*done, strict=True)
    positions = torch.cat([field.positions for field in fields])
    distances = torch.cat([field.distances for field in fields])
    return torch.cat(filled), setting.field(positions, distances, images.shape[2:])


def _fill(
    image: Tensor,
    mask: Tensor,
    allowed: Tensor,
    guide: Tensor | None,
    setting: Setting,
    callback: Callback | None,
) -> tuple[Tensor, Field]:
    """One picture or clip."""
    hole = mask > 0
    if not hole.any():
        log.warning("the mask is empty: everything comes back unchanged")
        return image.clone(), identity_field(hole, setting)
    if not (allowed & ~hole).any():
        raise ValueError(
            "mask, source_mask and avoid_mask together leave nothing to copy from; "
            "shrink the mask or allow more"
        )
    if not whole_patches(allowed & ~hole, setting.half).any():
        raise ValueError(
            f"nowhere in {by(image.shape[2:])} a whole {setting.patch_size}-pixel patch is known "
            "that may be copied; use a smaller patch_size, shrink the mask, or allow more"
        )
    window = working_window(hole, setting)
    part = (slice(None), slice(None), *window)
    guide = None if guide is None else guide[part]
    scales = hole_scales(image[part], hole[part], allowed[part], guide, setting)
    progress = Progress(callback, len(scales) * setting.iterations, len(scales))
    found, costs = _solve(scales, setting, progress)
    finest = scales[-1]
    inner = (slice(None), slice(None), *finest.box)
    fill = _final_vote(
        image[part].float(), finest.box, hole[part][inner], found, costs, setting, progress
    )
    filled = image.clone()
    inside = filled[part][inner]
    share = mask[part][inner].to(image.dtype)
    mixed = torch.where(
        share >= 1, fill.to(image.dtype), inside + share * (fill - inside).to(image.dtype)
    )
    inside.copy_(torch.where(share > 0, mixed, inside))
    return filled, whole_field(hole, window, finest, found, setting)


def _solve(scales: list[Scale], setting: Setting, progress: Progress) -> tuple[Field, Tensor]:
    """The field of the finest target, and the cost of each of its votes."""
    found = target = likely = None
    costs = torch.empty(0)
    _report(progress, scales[0].target, 0, 0)  # the first search can be interrupted as well
    for level, scale in enumerate(scales):
        last_level = level == len(scales) - 1
        if found is None or target is None:
            centres = patches.source_centres(
                scale.source, scale.usable, setting.patch_size, (False,) * len(setting.wrap)
            )[:, None]
            likely = same_place(centres, scale) if setting.is_clip else None
            target = onion_peel(
                scale.target, scale.known, scale.source, centres, setting.patch_size, setting.wrap,
                setting.seed, likely, progress.poll,
            )  # fmt: skip
        else:
            coarse = scales[level - 1]
            if setting.image_upsampling:
                target = upscaled_image(target, coarse, scale)
            found = upscaled_field(found, coarse, scale, setting)
            if not setting.image_upsampling:
                costs = _costs(found, scale, setting)
                target = scale.pin(_vote(scale.source, found, costs, scale.unknown, setting))
        turns = setting.iterations
        if last_level and len(scales) > 1:
            turns = max(2, round(FINEST * turns))
        used = None
        for turn in range(turns):
            bias = None
            if found is not None and not last_level and not setting.is_clip:
                used, bias = _price_of_reuse(used, found, scale)
            found = _search(target, found, bias, scale, setting, level, turn, progress)
            if likely is not None and level == turn == 0:
                shown = setting.field(likely, found.distances, found.source_size)
                shown = _search(target, shown, None, scale, setting, 0, 0, progress, passes=0)
                found = _closer(found, shown)
            costs = _costs(found, scale, setting)
            best = not last_level or turn == turns - 1
            new = scale.pin(_vote(scale.source, found, costs, scale.unknown, setting, best=best))
            change = (new - target).abs().double().sum() / max(1, int(scale.unknown.sum()))
            target = new
            last = turn == turns - 1 or float(change) <= STILL
            done = level * setting.iterations + (setting.iterations if last else turn + 1)
            _report(progress, target, level, done, last)
            if last:
                break
    assert found is not None
    return found, costs


def _report(
    progress: Progress, target: Tensor, level: int, done: int, level_done: bool = False
) -> None:
    """Show the target; of a clip, its middle frame."""
    picture = target[:, :3] if target.dim() == 4 else target[:, :3, target.shape[2] // 2]
    progress.report(picture, level, done, level_done)


def _search(
    target: Tensor,
    found: Field | None,
    bias: Tensor | None,
    scale: Scale,
    setting: Setting,
    level: int,
    turn: int,
    progress: Progress,
    passes: int | None = None,
) -> Field:
    if passes is None:
        passes = PASSES if found is not None else FIRST_PASSES
    positions, distances = run(
        "nearest_patch",
        target,
        scale.source,
        patch_size=setting.patch_size,
        iterations=passes,
        target_mask=scale.queries,
        source_mask=scale.usable,
        bias=bias,
        wrap=setting.wrap,
        positions=None if found is None else found.positions,
        seed=int(random.bits(setting.seed, level, turn)),
        poll=progress.poll,
        backend=setting.backend,
    )
    return setting.field(positions, distances, scale.source.shape[2:])


def _closer(one: Field, other: Field) -> Field:
    """Of two fields over the same target, the better match of each patch."""
    closer = other.distances < one.distances
    positions = torch.where(closer[:, :, None], other.positions, one.positions)
    return replace(
        one, positions=positions, distances=torch.where(closer, other.distances, one.distances)
    )


def _costs(found: Field, scale: Scale, setting: Setting) -> Tensor:
    """What each patch's vote costs, which weighs exp(-cost): its distance, in terms of those around
    it, and how far it is from what is known."""
    typical = run(
        "local_percentile",
        found.distances,
        patch_size=setting.patch_size,
        floor=1e-6,
        wrap=setting.wrap,
        mask=scale.queries,
        backend=setting.backend,
    )
    costs = found.distances / (2 * SHARPNESS * typical) + scale.penalty
    return torch.where(found.found, costs, torch.inf)


def _vote(
    values: Tensor,
    found: Field,
    costs: Tensor,
    wanted: Tensor,
    setting: Setting,
    *,
    sharpness: float = 1.0,
    best: bool = False,
) -> Tensor:
    """What the field says about the wanted pixels; a patch weighs exp(-sharpness * cost)."""
    return run(
        "vote",
        values,
        found.positions,
        costs,
        patch_size=setting.patch_size,
        wrap=setting.wrap,
        scale=math.sqrt(0.5 / sharpness),
        best=best,
        mask=wanted,
        backend=setting.backend,
    )


def _price_of_reuse(used: Tensor | None, found: Field, scale: Scale) -> tuple[Tensor, Tensor]:
    """How often each patch of a picture was used lately, and what that adds to its distance."""
    height, width = scale.source.shape[2:]
    y, x = found.positions[0, 0].long().flatten(1)
    index = (y * width + x)[y >= 0]
    counts = torch.bincount(index, minlength=height * width).view(1, 1, height, width).float()
    patch = found.patch_size
    density = F.avg_pool2d(counts, (patch, 1), stride=1, padding=(patch // 2, 0))
    density = F.avg_pool2d(density, (1, patch), stride=1, padding=(0, patch // 2))
    used = density if used is None else 0.5 * used + density
    demand = len(index) / max(1, int(scale.usable.sum()))
    price = REUSE * min(1.0, demand / SCARCE) * found.distances[found.found].median()
    return used, price * (used / max(demand, SHARE) - 1).clamp(min=0)


def _final_vote(
    values: Tensor, box: tuple[slice, ...], hole: Tensor, found: Field, costs: Tensor,
    setting: Setting, progress: Progress,
) -> Tensor:  # fmt: skip
    """The hole in the range and with all channels of the picture, fitted to its border.

    values: (1, C, H, W), the working window. box: where in it the target lies. hole: (1, 1, h, w).
    Returns (1, C, h, w), 0 outside the hole. Clips likewise, with a T axis before H, t before h.
    """
    ring = grown(hole, RING, setting.wrap) & ~hole
    sharpness = LAST_SHARPNESS_OF_CLIPS if setting.is_clip else LAST_SHARPNESS
    said = _vote(values, found, costs, hole | ring, setting, sharpness=sharpness)
    progress.poll()
    errors = torch.where(ring, values[(slice(None), slice(None), *box)] - said, 0.0)
    reach = 2 * RING
    near = _blurred(errors, setting.wrap)
    progress.poll()
    near /= _blurred(ring.to(values.dtype), setting.wrap).clamp(min=1e-6)
    progress.poll()
    depth = depths(hole, reach, setting.wrap)
    fitted = said + near * torch.exp((1 - depth) / FADE) * (depth <= reach)
    known = torch.ones_like(values[:, :1], dtype=torch.bool)
    known[(slice(None), slice(None), *box)] = ~hole
    # no darker and no brighter than what there is
    around = tuple(range(2, values.dim()))
    low = torch.where(known, values, torch.inf).amin(dim=around, keepdim=True)
    high = torch.where(known, values, -torch.inf).amax(dim=around, keepdim=True)
    return torch.where(hole, fitted.clamp(low, high), 0.0)


def _blurred(values: Tensor, wrap: tuple[bool, ...]) -> Tensor:
    """(1, C, *size) under a Gaussian that weighs what lies on both sides of the ring; sums to more
    than 1."""
    reach = 2 * RING
    taps = torch.exp(
        -(torch.arange(-reach, reach + 1, device=values.device).float() ** 2) / (RING + 1)
    )
    kernel = (taps[:, None] * taps).view(1, 1, 2 * reach + 1, 2 * reach + 1)
    flat = patches.pad(values.reshape(-1, 1, *values.shape[-2:]), reach, wrap[-2:], fill=0.0)
    flat = F.conv2d(flat, kernel).view(values.shape)
    if values.dim() == 4:
        return flat
    frames = F.pad(flat, (0, 0, 0, 0, reach, reach))
    total = torch.zeros_like(flat)
    for place, weight in enumerate(taps.tolist()):
        total.add_(frames.narrow(2, place, flat.shape[2]), alpha=weight)
    return total
