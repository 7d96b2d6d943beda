"""Single-image generation: new pictures made of the patches of one.

PSin and PSinOT, after Cherel, "Internal methods for the generation and inpainting of images and
videos", 2024, chapter III; the alternation is that of Kwatra et al. 2005,
doi:10.1145/1186822.1073263.
"""

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from ..backends import random
from ..backends.threads import kernels_only
from .alternation import FIRST_PASSES, Alternation, upscaled, whole_patches
from .checks import by, check_image, check_mask, check_patch_size, check_scales, size_of
from .features import MatchingSpace, colour_channels, luma
from .field import Field
from .pyramid import level_sizes, masked_pyramid, pyramid
from .steps import Callback, Progress
from .transport import LATER_ROUNDS, ROUNDS, fits, transport_rounds, transport_start

METHODS = ("psin", "psinot")
UPSAMPLING = ("field", "image")
FIRST = -1  # the turn of the search that begins a scale


def generate(
    reference: Tensor,
    *,
    method: str = "psin",
    size: tuple[int, int] | None = None,
    scales: int = 4,
    patch_size: int = 11,
    count: int = 1,
    iterations: int = 10,
    wrap: tuple[bool, bool] = (False, False),
    upsample: str = "field",
    texture: float = 5.0,
    guide: Tensor | None = None,
    start_scale: int | None = None,
    keep: Tensor | None = None,
    keep_mask: Tensor | None = None,
    seed: int = 0,
    backend: str = "auto",
    callback: Callback | None = None,
    with_field: bool = False,
) -> Tensor | tuple[Tensor, Field]:
    """New pictures whose patches are all patches of `reference`, in new places.

    reference: (1, C, H, W) floating, any range; of four or more channels the first three are
        compared and the rest (alpha, depth ...) comes along with the patches.
    method: "psin" starts from noise; "psinot" lets the coarse scales follow the reference's
        distribution of patches by optimal transport, so that nothing goes missing and nothing
        takes over; scales are added until the coarsest is small enough for that (64x64 pixels).
    size: (H', W') of the result, default that of the reference; any aspect ratio.
    scales: pictures of halved size, counted with the full one. More give larger pieces and a layout
        closer to the reference's; the coarsest must hold a few patches.
    patch_size: odd, in pixels of every scale. iterations: at most so many alternations per scale.
    count: variants; variant i of seed s is the picture of seed s + i.
    wrap: (y, x), make the result tile along these axes; the reference is not taken as tileable.
    upsample: between scales carry on the "field" (sharp) or the "image" (softer, re-matched).
    texture: weight of the absolute luma derivatives among the features.
    guide: (1 or count, C, h, w), a rough picture, resized to the result, in place of the noise.
    start_scale: scale to begin with, 0 = coarsest. Default 0, with a guide 1: from 0 on its layout
        is followed loosely, from 2 on its flat paint shows.
    keep, keep_mask: (1, C, H', W') and (1, 1, H', W'). Where the mask is > 0.5 the result has
        exactly the pixels of `keep`, and what is around is made to fit them.
    callback: called with a Step before the first and after every alternation.
    Returns (count, C, H', W') in the dtype of reference; with_field: also the Field (batch = count)
        that rebuilds it, for other maps of the reference.
    Raises ValueError for images that do not fit the patch at the coarsest scale, and for wrong
        shapes.
    """
    check_image(reference, "reference", batch=1)
    size = size_of(reference) if size is None else (int(size[0]), int(size[1]))
    scales = _check_settings(
        reference, method, upsample, size, scales, patch_size, count, iterations
    )
    start = start_scale
    if start is None:
        start = 0 if guide is None else min(1, scales - 1)
    if not 0 <= start < scales:
        raise ValueError(f"start_scale {start} is not one of the scales 0 to {scales - 1}")

    colours = colour_channels(reference.shape[1])
    space = MatchingSpace.of(reference[:, :colours], texture)
    plan = _Plan(
        reference=reference,
        originals=pyramid(reference.float(), scales)[::-1],
        sources=pyramid(space.features(reference[:, :colours]), scales)[::-1],
        sizes=level_sizes(size, scales)[::-1],
        guides=_guide_levels(guide, space, colours, size, scales, wrap, count),
        kept=_kept_levels(keep, keep_mask, reference, space, size, scales, wrap),
        transport=method == "psinot",
        start=start,
        patch_size=patch_size,
        iterations=iterations,
        wrap=(bool(wrap[0]), bool(wrap[1])),
        image_upsampling=upsample == "image",
        backend=backend,
    )
    progress = Progress(callback, count * (scales - start) * iterations, scales - start)
    with kernels_only():
        made = [_variant(plan, seed + i, i, progress) for i in range(count)]
    images = torch.cat([image for image, _ in made])
    if keep is not None:
        assert keep_mask is not None
        images = torch.where(keep_mask > 0.5, keep.to(images.dtype), images)
    if not with_field:
        return images
    fields = [field for _, field in made]
    positions = torch.cat([f.positions for f in fields])
    distances = torch.cat([f.distances for f in fields])
    return images, replace(fields[0], positions=positions, distances=distances)


@dataclass(frozen=True)
class _Plan:
    """What all variants share; lists run from the coarsest scale to the finest."""

    reference: Tensor
    originals: list[Tensor]  # the reference as given
    sources: list[Tensor]  # its features, what is matched
    sizes: list[tuple[int, int]]  # of the result
    guides: list[Tensor] | None  # colours
    kept: list[tuple[Tensor, Tensor]] | None  # features, and where they hold
    transport: bool
    start: int
    patch_size: int
    iterations: int
    wrap: tuple[bool, bool]
    image_upsampling: bool
    backend: str

    def transports(self, level: int) -> bool:
        """Whether this scale is one of optimal transport."""
        return self.transport and fits(self.sizes[level]) and fits(self.sources[level].shape[2:])

    def alternation(self, level: int, seed: int, progress: Progress) -> Alternation:
        source, size = self.sources[level], self.sizes[level]
        return Alternation(
            source=source,
            queries=whole_patches(size, self.patch_size, self.wrap, source.device),
            patch_size=self.patch_size,
            wrap=self.wrap,
            seed=int(random.bits(seed, level)),
            backend=self.backend,
            pinned=None if self.kept is None else self.kept[level],
            poll=progress.poll,
        )


def _variant(plan: _Plan, seed: int, variant: int, progress: Progress) -> tuple[Tensor, Field]:
    """One picture, from the coarsest scale to the finest."""
    levels = len(plan.sizes) - plan.start
    scale = plan.alternation(plan.start, seed, progress)
    target, field = _begin(plan, seed, variant, scale, progress)
    for index in range(levels):
        level = plan.start + index
        if index:
            scale = plan.alternation(level, seed, progress)
            target, field = _refine(plan, level, target, field, scale)
        if plan.transports(level):
            target, field = transport_rounds(target, scale, LATER_ROUNDS if index else ROUNDS)
        first = (variant * levels + index) * plan.iterations
        for turn, new, found, last in scale.alternate(target, field, plan.iterations):
            done = first + (plan.iterations if last else turn + 1)
            image = scale.rebuild(found, plan.originals[level]) if last else new[:, :-2]
            progress.report(image, index, done, last)
            if last:
                target, field = new, found
    return scale.rebuild(field, plan.reference), field


def _begin(
    plan: _Plan, seed: int, variant: int, scale: Alternation, progress: Progress
) -> tuple[Tensor, Field]:
    """What the first scale starts from: noise or the guide, matched by colour."""
    source = scale.source
    if plan.guides is None:
        shape = (1, source.shape[1] - 2, *plan.sizes[plan.start])
        colour = (random.normal(shape, seed) + 0.5).to(source.device)
    else:
        guide = plan.guides[plan.start]
        colour = guide[variant % guide.shape[0]][None]
    colour = scale.pin(colour)
    done = variant * (len(plan.sizes) - plan.start) * plan.iterations
    progress.report(colour, 0, done)  # so that the first search can be interrupted as well
    if plan.transports(plan.start):
        return transport_start(colour, scale)
    field = scale.search(colour, None, FIRST, FIRST_PASSES)
    return scale.pin(scale.rebuild(field)), field


def _refine(
    plan: _Plan, level: int, target: Tensor, field: Field, scale: Alternation
) -> tuple[Tensor, Field]:
    """The picture and field that a finer scale starts from."""
    size = plan.sizes[level]
    field = upscaled(field, size, size_of(scale.source), scale.queries)
    if plan.image_upsampling:
        target = F.interpolate(target, size=size, mode="bilinear", align_corners=False)
    else:
        target = scale.rebuild(field)
    return scale.pin(target), field


def _guide_levels(
    guide: Tensor | None,
    space: MatchingSpace,
    colours: int,
    size: tuple[int, int],
    scales: int,
    wrap: tuple[bool, bool],
    count: int,
) -> list[Tensor] | None:
    """The guide's colours at every scale of the result, coarsest first."""
    if guide is None:
        return None
    check_image(guide, "guide", batch=(1, count))
    shown = guide[:, :3] if guide.shape[1] >= 3 else guide[:, :1].expand(-1, 3, -1, -1)
    shown = shown.float() if colours == 3 else luma(shown.float())
    if size_of(shown) != size:
        shown = F.interpolate(shown, size=size, mode="bilinear", antialias=True)
    return pyramid(space.colour(shown), scales, wrap)[::-1]


def _kept_levels(
    keep: Tensor | None,
    keep_mask: Tensor | None,
    reference: Tensor,
    space: MatchingSpace,
    size: tuple[int, int],
    scales: int,
    wrap: tuple[bool, bool],
) -> list[tuple[Tensor, Tensor]] | None:
    """At every scale, coarsest first: features of the kept pixels, and where they are known.

    A derivative is known where all the pixels that it is taken from are.
    """
    if keep is None and keep_mask is None:
        return None
    if keep is None or keep_mask is None:
        raise ValueError("keep and keep_mask belong together: give both or none")
    check_image(keep, "keep", batch=1)
    check_mask(keep_mask, "keep_mask", size, 1)
    if tuple(keep.shape[1:]) != (reference.shape[1], *size):
        raise ValueError(
            f"keep has {keep.shape[1]} channels of {by(keep.shape[2:])}, the result "
            f"{reference.shape[1]} of {by(size)}"
        )
    colours = colour_channels(reference.shape[1])
    values = space.features(keep[:, :colours], wrap)
    known = (keep_mask > 0.5).float()
    inner = 1 - F.max_pool2d(1 - known, 3, stride=1, padding=1)
    weights = torch.cat([known.expand(-1, colours, -1, -1), inner, inner], dim=1)
    return masked_pyramid(values, weights > 0, scales, wrap)[::-1]


def _check_settings(
    reference: Tensor,
    method: str,
    upsample: str,
    size: tuple[int, int],
    scales: int,
    patch_size: int,
    count: int,
    iterations: int,
) -> int:
    """The number of scales, after checking that all the settings can be used together."""
    if method not in METHODS:
        raise ValueError(f"method {method!r} is not one of {', '.join(METHODS)}")
    if upsample not in UPSAMPLING:
        raise ValueError(f"upsample {upsample!r} is not one of {', '.join(UPSAMPLING)}")
    for name, number in (("size", min(size)), ("scales", scales), ("count", count)):
        if number < 1:
            raise ValueError(f"{name} has to be positive, got {number}")
    if iterations < 1:
        raise ValueError(f"iterations has to be positive, got {iterations}")
    check_patch_size(patch_size)
    sides = {"reference": size_of(reference), "result": size}
    if method == "psinot":
        while not all(fits(level_sizes(side, scales)[-1]) for side in sides.values()):
            scales += 1
    for name, side in sides.items():
        check_scales(name, side, scales, patch_size)
    return scales
