"""Hole filling by patches: every patch over the hole becomes one that the picture has elsewhere.

The multi-scale alternation of Wexler et al. 2007 (doi:10.1109/TPAMI.2007.60) in the form of Newson
et al. 2014 (doi:10.1137/140954933): onion-peel start, texture features, patch search, weighted
vote. Work is done on the hole and its surroundings only. Departures:
- votes of coarse scales take the best patch, not a mean, which keeps stochastic texture sharp;
- a source patch that is used more than its share becomes dearer, so that the fill does not settle
  on a few smooth patches (the idea of the transport cost, at a fraction of its price);
- what the finished field says about the known ring is compared with the ring, and the difference
  fades out over a few pixels into the fill, so that no line shows where they meet.
"""

import logging
import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ..backends import patches, random, run
from ..backends.threads import kernels_only
from .checks import check_image, check_mask, check_patch_size
from .field import Field
from .hole import (
    Scale,
    Setting,
    hole_scales,
    identity_field,
    upscaled_field,
    upscaled_image,
    whole_field,
    working_window,
)
from .morphology import depths, grown, padded
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
REUSE = 0.4  # price of a source patch used twice as often as its share, in median distances
SHARE = 0.4  # uses per source pixel that are never priced
SCARCE = 0.25  # hole patches per source patch from which reuse has its full price
RING = 2  # pixels of known surroundings that the seam is measured on
FADE = 2.0  # pixels over which the correction of the seam falls to 1 / e


def inpaint(
    image: Tensor,
    mask: Tensor,
    *,
    patch_size: int = 7,
    levels: int | None = None,
    iterations: int = 10,
    upsample: str = "field",
    wrap: tuple[bool, bool] = (False, False),
    source_mask: Tensor | None = None,
    avoid_mask: Tensor | None = None,
    guide: Tensor | None = None,
    guide_weight: float = 1.0,
    memory: int = 2 << 30,
    seed: int = 0,
    backend: str = "auto",
    callback: Callback | None = None,
) -> tuple[Tensor, Field]:
    """Fill the hole of each image with patches from the rest of it.

    image: (B, C, H, W) floating, any finite range; of 4 or more channels the first three are
        compared and the rest (alpha ...) comes along with the patches.
    mask: (B or 1, 1, H, W) in [0, 1]; where it is exactly 0 the image comes back bit for bit,
        elsewhere fill and image are mixed in its proportion.
    patch_size: odd. levels: scales, each half the next; None = until a patch covers the hole.
    iterations: at most so many alternations of search and vote per scale.
    upsample: between scales carry on the "field" (sharp) or the "image" (softer).
    wrap: (y, x), the image is a torus along these axes: the hole may cross its border.
    source_mask: (B or 1, 1, H, W), copy only from where it is > 0.5. avoid_mask: only from where it
        is not.
    guide: (B or 1, G, h, w), known in the hole as well (a rough fill, depth, labels), resized to
        the image; the squared difference of its values, times guide_weight^2, adds to distances.
    memory: bytes of scratch beyond image and result. Where the whole picture does not fit, patches
        come from as large a window around the hole as does.
    callback: called with a Step before the first and after every alternation; its image is what
        surrounds the hole.
    Returns the filled images and the Field that fills them (identity away from the hole), which
        fills other maps of the picture likewise: field.apply(map).
    Raises ValueError for a mask that leaves nothing to copy from, a wrong size, and so on.
    """
    check_image(image, "image")
    check_patch_size(patch_size)
    size, batch = (image.shape[2], image.shape[3]), image.shape[0]
    if upsample not in ("field", "image"):
        raise ValueError(f"upsample {upsample!r} is not one of field, image")
    for name, number in (("iterations", iterations), ("levels", levels), ("memory", memory)):
        if number is not None and number < 1:
            raise ValueError(f"{name} has to be positive, got {number}")
    allowed = torch.ones((1, 1, *size), dtype=torch.bool, device=image.device)
    for name, given, wanted in (
        ("mask", mask, None),
        ("source_mask", source_mask, True),
        ("avoid_mask", avoid_mask, False),
    ):
        if given is not None:
            check_mask(given, name, size, batch)
            if wanted is not None:
                allowed = allowed & ((given > 0.5) == wanted)
    if guide is not None:
        check_image(guide, "guide", batch=(1, batch))
        guide = guide_weight * F.interpolate(
            guide.float(), size=size, mode="bilinear", antialias=True
        )
    setting = Setting(
        patch_size, levels, iterations, upsample == "image", (bool(wrap[0]), bool(wrap[1])),
        memory, seed, backend,
    )  # fmt: skip
    done = []
    for b in range(batch):
        one = slice(b, b + 1)
        part = [t if len(t) == 1 else t[one] for t in (mask, allowed)]
        hint = guide if guide is None or len(guide) == 1 else guide[one]
        with kernels_only():
            done.append(_fill(image[one].detach(), part[0], part[1], hint, setting, callback))
    fields = [field for _, field in done]
    return torch.cat([filled for filled, _ in done]), Field(
        torch.cat([field.positions for field in fields]),
        torch.cat([field.distances for field in fields]),
        patch_size,
        size,
        wrap=setting.wrap,
    )


def _fill(
    image: Tensor,
    mask: Tensor,
    allowed: Tensor,
    guide: Tensor | None,
    setting: Setting,
    callback: Callback | None,
) -> tuple[Tensor, Field]:
    """One picture, (1, C, H, W)."""
    hole = mask > 0
    if not hole.any():
        log.warning("the mask is empty: the image comes back unchanged")
        return image.clone(), identity_field(hole, setting)
    if not (allowed & ~hole).any():
        raise ValueError(
            "mask, source_mask and avoid_mask together leave nothing to copy from; "
            "shrink the mask or allow more of the picture"
        )
    window = working_window(hole, setting)
    part = (slice(None), slice(None), *window)
    guide = None if guide is None else guide[part]
    scales = hole_scales(image[part], hole[part], allowed[part], guide, setting)
    progress = Progress(callback, len(scales) * setting.iterations, len(scales))
    found, costs = _solve(scales, setting, progress)
    finest = scales[-1]
    inner = (slice(None), slice(None), *finest.box)
    fill = _final_vote(image[part].float(), finest.box, hole[part][inner], found, costs, setting)
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
    found = target = None
    costs = torch.empty(0)
    progress.report(scales[0].target[:, :3], 0, 0)  # the first search can be interrupted as well
    for level, scale in enumerate(scales):
        last_level = level == len(scales) - 1
        if found is None or target is None:
            centres = patches.source_centres(
                scale.source, scale.usable, setting.patch_size, (False, False)
            )[:, None]
            target = onion_peel(
                scale.target, scale.known, scale.source, centres, setting.patch_size, setting.wrap,
                setting.seed,
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
            if found is not None and not last_level:
                used, bias = _price_of_reuse(used, found, scale)
            found = _search(target, found, bias, scale, setting, level, turn, progress)
            costs = _costs(found, scale, setting)
            best = not last_level or turn == turns - 1
            new = scale.pin(_vote(scale.source, found, costs, scale.unknown, setting, best=best))
            change = (new - target).abs().double().sum() / max(1, int(scale.unknown.sum()))
            target = new
            last = turn == turns - 1 or float(change) <= STILL
            done = level * setting.iterations + (setting.iterations if last else turn + 1)
            progress.report(target[:, :3], level, done, last)
            if last:
                break
    assert found is not None
    return found, costs


def _search(
    target: Tensor,
    found: Field | None,
    bias: Tensor | None,
    scale: Scale,
    setting: Setting,
    level: int,
    turn: int,
    progress: Progress,
) -> Field:
    positions, distances = run(
        "nearest_patch",
        target,
        scale.source,
        patch_size=setting.patch_size,
        iterations=PASSES if found is not None else FIRST_PASSES,
        target_mask=scale.queries,
        source_mask=scale.usable,
        bias=bias,
        wrap=setting.wrap,
        positions=None if found is None else found.positions,
        seed=int(random.bits(setting.seed, level, turn)),
        poll=progress.poll,
        backend=setting.backend,
    )
    size = (scale.source.shape[2], scale.source.shape[3])
    return Field(positions, distances, setting.patch_size, size, wrap=setting.wrap)


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
    """How often each source patch has been used lately, and what that adds to its distance."""
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
    values: Tensor, box: tuple[slice, slice], hole: Tensor, found: Field, costs: Tensor,
    setting: Setting,
) -> Tensor:  # fmt: skip
    """The hole in the range and with all channels of the picture, fitted to its border.

    values: (1, C, H, W), the working window. box: where in it the target lies. hole: (1, 1, h, w).
    Returns (1, C, h, w), 0 outside the hole.
    """
    ring = grown(hole, RING, setting.wrap) & ~hole
    said = _vote(values, found, costs, hole | ring, setting, sharpness=LAST_SHARPNESS)
    errors = torch.where(ring, values[(slice(None), slice(None), *box)] - said, 0.0)
    reach = 2 * RING
    taps = torch.exp(
        -(torch.arange(-reach, reach + 1, device=values.device).float() ** 2) / (RING + 1)
    )
    kernel = (taps[:, None] * taps).view(1, 1, 2 * reach + 1, 2 * reach + 1)

    def blurred(what: Tensor) -> Tensor:
        flat = padded(what.view(-1, 1, *what.shape[2:]), reach, setting.wrap)
        return F.conv2d(flat, kernel).view(what.shape)

    near = blurred(errors) / blurred(ring.to(values.dtype)).clamp(min=1e-6)
    depth = depths(hole, 2 * reach, setting.wrap)
    fitted = said + near * torch.exp((1 - depth) / FADE) * (depth <= reach)
    known = torch.ones_like(values[:, :1], dtype=torch.bool)
    known[(slice(None), slice(None), *box)] = ~hole
    # no darker and no brighter than what there is
    low = torch.where(known, values, torch.inf).amin(dim=(2, 3), keepdim=True)
    high = torch.where(known, values, -torch.inf).amax(dim=(2, 3), keepdim=True)
    return torch.where(hole, fitted.clamp(low, high), 0.0)
