"""The hole at every scale: what is known around it, what may be copied, where votes are wanted.

Pictures (1, C, H, W) and clips (1, C, T, H, W) alike. Scales of clips differ in the size of their
frames, never in their number.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .features import MatchingSpace, colour_channels
from .field import Field, grid
from .morphology import depths, extent, grown
from .pyramid import masked_pyramid

TEXTURE = 5.0  # weight of the luma derivatives beside colour
CONFIDENCE = 1.3  # a vote loses this factor with every pixel of distance from what is known
BYTES = 120  # of scratch for each pixel of the working window
BYTES_OF_CLIPS = 140


@dataclass(frozen=True)
class Setting:
    patch_size: int
    levels: int | None
    iterations: int
    image_upsampling: bool
    wrap: tuple[bool, ...]  # one flag for each axis
    memory: int
    seed: int
    backend: str

    @property
    def half(self) -> int:
        return self.patch_size // 2

    @property
    def is_clip(self) -> bool:
        return len(self.wrap) == 3

    @property
    def halved(self) -> tuple[bool, ...]:
        """Per axis, whether scales differ along it."""
        return (False, True, True)[-len(self.wrap) :]

    def across(self, by: int) -> tuple[int, ...]:
        """A reach of so many pixels within frames."""
        return tuple(by if halved else 0 for halved in self.halved)

    def field(self, positions: Tensor, distances: Tensor, source_size: Sequence[int]) -> Field:
        """A field over the hole, of whole source patches."""
        none = (False,) * len(self.wrap)
        return Field(
            positions, distances, self.patch_size, tuple(source_size), self.wrap, source_wrap=none
        )


@dataclass(frozen=True)
class Scale:
    """One scale: the whole working window as source, and the part around the hole as target.

    source: (1, F, H, W) features. usable: (1, 1, H, W) bool, what may be copied. target, known:
    source and where it holds, cropped to `box`. unknown, queries: (1, 1, h, w) bool, pixels that a
    vote must fill, and patches that overlap them. Of clips, all with T, t before H, h.
    """

    source: Tensor
    usable: Tensor
    box: tuple[slice, ...]
    target: Tensor
    known: Tensor
    unknown: Tensor
    queries: Tensor
    penalty: Tensor  # (1, 1, h, w), what the distance from known pixels costs a vote

    def pin(self, target: Tensor) -> Tensor:
        return torch.where(self.known, self.target, target)

    @property
    def origin(self) -> tuple[int, ...]:
        return tuple(side.start for side in self.box)


def working_window(hole: Tensor, setting: Setting) -> tuple[slice, ...]:
    """What of the picture is worked on: all of it, or as much around the hole as memory allows."""
    pixels = setting.memory // (BYTES_OF_CLIPS if setting.is_clip else BYTES)
    low, high = 4 * setting.patch_size, max(hole.shape[2:])
    while low < high:
        margin = (low + high + 1) // 2
        sides = extent(hole, margin, setting.wrap)
        if math.prod(side.stop - side.start for side in sides) <= pixels:
            low = margin
        else:
            high = margin - 1
    return tuple(extent(hole, low, setting.wrap))


def hole_scales(
    image: Tensor, hole: Tensor, allowed: Tensor, guide: Tensor | None, setting: Setting
) -> list[Scale]:
    """The scales to work on, coarsest first."""
    colours = colour_channels(image.shape[1])
    space = MatchingSpace.of(image[:, :colours], TEXTURE)
    features = space.features(image[:, :colours], setting.wrap)
    known = ~hole
    # a derivative needs both neighbours
    sloped = ~grown(hole, setting.across(1), setting.wrap)
    size = hole.shape[2:]
    knowns = [known.expand(1, colours, *size), sloped.expand(1, 2, *size)]
    if guide is not None:
        features = torch.cat((features, guide), 1)
        knowns.append(torch.ones_like(guide, dtype=torch.bool))
    usable = [allowed & sloped]
    levels = _level_count(hole, usable, setting)
    pyramid = masked_pyramid(features, torch.cat(knowns, 1), levels, setting.wrap)
    scales = []
    for (values, there), use in zip(pyramid, usable, strict=False):
        unknown = ~there.all(1, keepdim=True)
        if not unknown.any():  # a hole so small that all is known at this scale and at coarser ones
            break
        box = tuple(extent(unknown, 2 * setting.patch_size, setting.wrap))
        inner = (slice(None), slice(None), *box)
        unknown = unknown[inner]
        depth = depths(unknown, 3 * setting.patch_size, setting.wrap)
        scales.append(
            Scale(
                source=values,
                usable=use,
                box=box,
                target=values[inner],
                known=there[inner],
                unknown=unknown,
                queries=_queries(unknown, box, values.shape[2:], setting),
                penalty=math.log(CONFIDENCE) * depth,
            )
        )
    return scales[::-1]


def _queries(
    unknown: Tensor, box: tuple[slice, ...], size: Sequence[int], setting: Setting
) -> Tensor:
    """The patches over unknown pixels, of clips those that lie whole within the clip.

    A patch that goes on beyond the border by reflection resembles nothing, least of all where it
    moves to and fro in time. What it covers is covered by whole patches as well.
    """
    queries = grown(unknown, setting.half, setting.wrap)
    if setting.is_clip:
        for axis, (part, side) in enumerate(zip(box, size, strict=True)):
            place = torch.arange(part.start, part.stop, device=unknown.device)
            whole = (place >= setting.half) & (place < side - setting.half)
            queries &= whole.view([-1 if other == axis else 1 for other in range(3)])
    return queries


def _level_count(hole: Tensor, usable: list[Tensor], setting: Setting) -> int:
    """How many scales to work on; appends to `usable` what may be copied at each of them.

    A coarse pixel may be copied if the blur that it comes from touches nothing else. Of clips, it
    is how far the hole reaches within frames that decides, and two patches cover it at the coarsest
    scale: smaller holes lose the motion of fine texture, and its detail.
    """
    half, patch = setting.half, setting.patch_size
    covered = setting.across(patch if setting.is_clip else half)
    wanted = setting.levels or 99
    least = 3 * patch if setting.levels is None else patch
    while len(usable) < wanted:
        wider = ~grown(~hole, covered, setting.wrap)
        if setting.levels is None and not wider.any():
            break
        hole = grown(hole, setting.across(1), setting.wrap)[..., ::2, ::2]
        use = ~grown(~usable[-1], setting.across(1), setting.wrap)[..., ::2, ::2]
        whole = min(use.shape[-2:]) >= least and bool(whole_patches(use, half).any())
        if not whole:
            if setting.levels is not None:
                raise ValueError(
                    f"at the coarsest of {setting.levels} levels too little is left to copy whole "
                    f"{patch}-pixel patches from; use at most {len(usable)} levels"
                )
            break
        usable.append(use)
    return len(usable)


def whole_patches(usable: Tensor, half: int) -> Tensor:
    """The centres of patches that lie whole in (1, 1, ...) bool `usable`, without the border."""
    inner = [slice(half, -half or None)] * (usable.dim() - 2)
    return ~grown(~usable, half)[(..., *inner)]


def same_place(centres: Tensor, scale: Scale) -> Tensor:
    """Of each pixel of a clip's target, the patch at its place in the nearest frame that shows one.

    centres: (1, 1, T, H, W) bool, where source patches are centred. Returns positions (1, 1, 3, t,
    h, w) int32, -1 where no frame shows that place. Where the camera rests, they are what the hole
    hides.
    """
    frames, size = centres.shape[2], scale.unknown.shape[2:]
    there = centres[0, 0][(slice(None), *scale.box[1:])]
    now = torch.arange(frames, dtype=torch.int32, device=centres.device)[:, None, None]
    far = 3 * frames
    before = torch.where(there, now, -far).cummax(0).values[scale.box[0]]
    after = torch.where(there, now, far).flip(0).cummin(0).values.flip(0)[scale.box[0]]
    now = now[scale.box[0]]
    nearest = torch.where(now - before <= after - now, before, after)
    origin = torch.tensor(scale.origin, dtype=torch.int32, device=centres.device).view(3, 1, 1, 1)
    positions = origin + grid(nearest.expand(1, 1, 3, *size))
    positions[0] = nearest
    shown = (nearest >= 0) & (nearest < frames)
    return torch.where(shown, positions, -1)[None, None]


def upscaled_field(found: Field, coarse: Scale, fine: Scale, setting: Setting) -> Field:
    """The field of the next finer target: twice the positions, plus where in its pixel one is."""
    near, odd = _parents(coarse, fine, setting)
    positions, distances = found.positions, found.distances
    for axis, index in enumerate(near):
        positions = positions.index_select(3 + axis, index)
        distances = distances.index_select(2 + axis, index)
    known = (positions[:, :, :1] >= 0) & fine.queries[:, :, None]
    size = fine.source.shape[2:]
    for axis, (side, halved) in enumerate(zip(size, setting.halved, strict=True)):
        place = positions[:, :, axis]
        if halved:
            shape = [-1 if other == axis else 1 for other in range(len(size))]
            place.mul_(2).add_(odd[axis].view(shape))
        place.clamp_(setting.half, side - 1 - setting.half)
    positions = torch.where(known, positions, -1)
    distances = torch.where(known[:, :, 0], distances, torch.inf)
    return setting.field(positions, distances, size)


def upscaled_image(target: Tensor, coarse: Scale, fine: Scale) -> Tensor:
    """The finer target of a picture, its unknown part interpolated from the coarse one."""
    size = [2 * n for n in target.shape[2:]]
    doubled = F.interpolate(target, size=size, mode="bilinear", align_corners=False)
    index = []
    for axis in (0, 1):
        start, stop = fine.box[axis].start, fine.box[axis].stop
        place = torch.arange(start, stop, device=target.device) - 2 * coarse.origin[axis]
        index.append(place.clamp(0, size[axis] - 1))
    return fine.pin(doubled[:, :, index[0][:, None], index[1]])


def _parents(coarse: Scale, fine: Scale, setting: Setting) -> tuple[list[Tensor], list[Tensor]]:
    """Per axis, the coarse pixel that each pixel of the fine target lies in, and in which half."""
    near, odd = [], []
    for axis, halved in enumerate(setting.halved):
        place = torch.arange(fine.box[axis].start, fine.box[axis].stop, device=fine.target.device)
        parent = (place // 2 if halved else place) - coarse.origin[axis]
        near.append(parent.clamp(0, coarse.target.shape[2 + axis] - 1))
        odd.append((place % 2).int())
    return near, odd


def identity_field(hole: Tensor, setting: Setting) -> Field:
    """The field in which every whole patch that the hole does not touch is its own match."""
    size, half = tuple(hole.shape[2:]), setting.half
    there = ~grown(hole, half, setting.wrap)
    for axis, side in enumerate(size):
        there.narrow(2 + axis, 0, half).fill_(False)
        there.narrow(2 + axis, side - half, half).fill_(False)
    shape = (1, 1, len(size), *size)
    positions = torch.full(shape, -1, dtype=torch.int32, device=hole.device)
    positions = torch.where(there[:, :, None], grid(positions), positions)
    distances = torch.where(there, 0.0, torch.inf)
    return setting.field(positions, distances, size)


def whole_field(
    hole: Tensor, window: tuple[slice, ...], finest: Scale, found: Field, setting: Setting
) -> Field:
    """The field of the whole picture or clip: the one found over the hole, identity elsewhere."""
    field = identity_field(hole, setting)
    inner = tuple(
        slice(outer.start + box.start, outer.start + box.stop)
        for outer, box in zip(window, finest.box, strict=True)
    )
    start = torch.tensor([outer.start for outer in window], device=hole.device, dtype=torch.int32)
    there, moved = found.found, found.positions + start.view(-1, *[1] * len(window))
    positions = field.positions[(..., *inner)]
    positions.copy_(torch.where(there[:, :, None], moved, positions))
    distances = field.distances[(..., *inner)]
    distances.copy_(torch.where(there, found.distances, distances))
    return field
