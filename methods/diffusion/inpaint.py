"""Filling holes with samples of a trained model.

Only the hole and what the network sees from within it is worked on. A large hole is covered with
tiles, each with all that its pixels see, so that the result is that of the whole picture, memory
stays bounded, and a callback is heard often. Noise is drawn from the seed, the number of the
sample, the noise level and the place in the picture.
"""

import logging
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from ...backends import random
from ..checks import check_image, check_mask
from ..morphology import bounding_box
from ..steps import Callback, Poll, Progress
from .conditioning import JUMP, sample_conditioned
from .model import SCHEDULE, TrainedModel, denoiser
from .network import UNet
from .sampling import SAMPLERS, Denoise, sample
from .scale import Scale
from .settings import check_choice, check_least

log = logging.getLogger(__name__)

TILE = 320  # side of tiles without what is around them: a fifth of a second on one core
PIXELS = {"cpu": 2**17, "cuda": 2**22}  # that the network is given at once
BENDS = {"ancestral": 1.0, "ddim": 2.0, "dpm2": 2.0}  # of the levels of few steps
COLOURS = 3  # channels that a model of colours has beside an alpha that it does not touch

Box = tuple[slice, slice]


def diffusion_inpaint(
    model: TrainedModel,
    image: Tensor,
    mask: Tensor,
    *,
    steps: int = 25,
    sampler: str = "dpm2",
    count: int = 1,
    seed: int = 0,
    start: Tensor | None = None,
    start_level: int | None = None,
    resamples: int = 1,
    strip: int = 8,
    callback: Callback | None = None,
) -> Tensor:
    """Fill the hole of each image with `count` samples of a model.

    image: (B, C, H, W) floating, of the range that the model was trained on, nominally [0, 1]; a
        quite different range is that of what is known. C is that of the model; of a picture with
        alpha, a model of colours leaves the alpha as it is.
    mask: (B or 1, 1, H, W) in [0, 1]; where it is exactly 0 the image comes back bit for bit,
        elsewhere fill and image are mixed in its proportion.
    steps: times that the network is asked, at most 1000; with 1 the result is the one-shot mean
        f(x_T, y, T). sampler: see `sample`; dpm2 needs the fewest, ancestral is the thesis's, with
        1000.
    seed: of the noise; sample k of any count, crop and batch is always the same.
    start: (B or 1, C, H, W), a fill to refine: sampling begins from it, made as noisy as
        `start_level`, default the noisiest level that the model was trained for.
    resamples: with a network that was not told of holes, how often each few levels are gone
        through, for hole and surroundings to agree (RePaint); takes as many times as long.
    strip: so many Steps of the callback are marked level_done, at equal distances.
    callback: called with a Step after every tile and step; its image shows the first sample as it
        is thought to be, and what is around the hole.
    Returns (B * count, C, H, W), the samples of the first image first.
    Raises ValueError for what does not fit the model.
    """
    _check(model, image, mask, start, sampler, steps=steps, count=count, resamples=resamples)
    plan = _Plan(_levels(model, steps, sampler, start, start_level), sampler, seed, resamples)
    if not model.network.noisy:
        plan = _Plan([0], "ddim", seed)  # a regression says at once what it thinks
    elif model.network.conditional:
        plan = replace(plan, times=1)
    ones = [[t[b % len(t)][None] for t in (image, mask)] for b in range(len(image))]
    starts = [None if start is None else start[b % len(start)][None] for b in range(len(image))]
    works = [
        Work.of(model, one, share > 0, fill) if bool((share > 0).any()) else None
        for (one, share), fill in zip(ones, starts, strict=True)
    ]
    batches = [[range(count)] if work is None else _batches(count, work) for work in works]
    total = sum(len(parts) for parts in batches) * plan.asked
    progress, made, done = Progress(callback, total, strip), [], 0
    with torch.no_grad():
        for work, parts, (one, share) in zip(works, batches, ones, strict=True):
            for part in parts:
                if work is None:
                    log.warning("the mask is empty: the image comes back unchanged")
                    made.append(one.repeat(count, 1, 1, 1))
                else:
                    told = _Told(progress, work, done, plan.asked, strip)
                    made.append(blended(one, share, work, _samples(model, work, plan, part, told)))
                done += plan.asked
    return torch.cat(made)


@dataclass(frozen=True)
class _Plan:
    """What is asked of the sampler. times: that each level is gone through, on average."""

    levels: list[int]
    sampler: str
    seed: int
    times: int = 1

    @property
    def asked(self) -> int:
        """How often the network is asked."""
        return len(self.levels) * self.times


@dataclass(frozen=True)
class _Tile:
    """Places in the working part of a picture: `inner` is wanted, `outer` is what it sees."""

    inner: Box
    outer: Box

    @property
    def within(self) -> Box:
        """`inner`, seen from `outer`."""
        rows, columns = (
            slice(i.start - o.start, i.stop - o.start)
            for i, o in zip(self.inner, self.outer, strict=True)
        )
        return rows, columns


@dataclass(frozen=True)
class Work:
    """The part of one picture that is worked on, its values scaled.

    Sides that the network's poolings do not divide are continued by their mirror image, holes too.
    known: (1, C, h, w), 0 in the hole. hole: (1, 1, h, w) bool. start: (1, C, h, w) or None.
    rows, columns: int64, their places in the picture. scale: of the values.
    """

    known: Tensor
    hole: Tensor
    start: Tensor | None
    rows: Tensor
    columns: Tensor
    scale: Scale
    tiles: list[_Tile]

    @classmethod
    def of(cls, model: TrainedModel, image: Tensor, hole: Tensor, start: Tensor | None):
        colours, network = model.network.channels, model.network
        scale = model.scale.suiting(image[:, :colours].masked_select(~hole))
        rows, columns = (_mirrored(side, network.multiple, hole.device) for side in hole.shape[2:])
        whole = hole[:, :, rows[:, None], columns]
        margin = network.receptive_field
        if network.attention:  # which looks further: as far as it did in training
            margin = max(margin, model.training.window)
        box = _seen(whole, margin, network.multiple)
        near, across = rows[box[0]], columns[box[1]]
        part = (slice(None), slice(None, colours), near[:, None], across)
        hidden = hole[:, :, near[:, None], across]

        def scaled(values: Tensor) -> Tensor:
            return scale.scaled(values[part].float())

        known = torch.where(hidden, 0.0, scaled(image))
        start = None if start is None else torch.where(hidden, scaled(start), known)
        places = [torch.arange(b.start, b.stop, device=hole.device) for b in box]
        tiles = _tiles(hidden, margin, network.multiple)
        return cls(known, hidden, start, places[0], places[1], scale, tiles)

    @property
    def pixels(self) -> int:
        """Of the largest tile."""
        return max(
            (rows.stop - rows.start) * (columns.stop - columns.start)
            for rows, columns in (tile.outer for tile in self.tiles)
        )

    def noise(self, seed: int, samples: range, t: int) -> Tensor:
        """Standard normal (n, C, h, w)."""
        device = self.known.device
        where = device if device.type == "cuda" else torch.device("cpu")  # others lack float64
        number = torch.arange(samples.start, samples.stop, device=where)[:, None, None, None]
        channel = torch.arange(self.known.shape[1], device=where)[:, None, None]
        rows, columns = self.rows.to(where)[:, None], self.columns.to(where)
        return random.normal_at(seed, t, number, channel, rows, columns).to(device)

    def picture(self, x0: Tensor) -> Tensor:
        """Values of the picture for scaled ones."""
        return self.scale.unscaled(x0)


def _levels(
    model: TrainedModel, steps: int, sampler: str, start: Tensor | None, start_level: int | None
) -> list[int]:
    """The noise levels that are gone through."""
    first, last = model.training.first, model.training.last
    if start is None:
        if first < SCHEDULE.steps - 1:
            raise ValueError(
                f"the model was trained for noise levels up to {first} of {SCHEDULE.steps - 1}, to "
                "refine a fill; give it one as start"
            )
    elif start_level is not None:
        if not last <= start_level <= first:
            raise ValueError(
                f"start_level {start_level} is not within {last} and {first}, the levels that the "
                "model was trained for"
            )
        first = start_level
    return SCHEDULE.levels(steps, first, last, BENDS[sampler])


def _samples(model: TrainedModel, work: Work, plan: _Plan, part: range, told: "_Told") -> Tensor:
    """The samples (n, C, h, w) with the numbers of `part`, scaled."""
    fresh = partial(work.noise, plan.seed, part)
    x = fresh(SCHEDULE.steps)
    if work.start is not None:
        x = SCHEDULE.noised(work.start, plan.levels[0], x)
    draw = sample
    if not model.network.conditional:
        draw = partial(sample_conditioned, times=plan.times)
        draw = partial(draw, jump=JUMP if plan.times > 1 else len(plan.levels))
    return draw(
        tiled(work, model.build(work.known.device), model.training.prediction, told.poll),
        x,
        SCHEDULE,
        levels=plan.levels,
        sampler=plan.sampler,
        known=(work.known, work.hole),
        clip=work.scale.limits,
        noise=fresh,
        callback=told,
    )


def tiled(work: Work, net: UNet, prediction: str, poll: Poll) -> Denoise:
    """The network's x0 in the hole, one tile after the other; elsewhere 0, for it is known."""
    hidden, denoisers = work.hole.float(), []
    for tile in work.tiles:
        known, unknown = (each[(..., *tile.outer)] for each in (work.known, hidden))
        denoisers.append(denoiser(net, prediction, known, unknown))

    def denoise(x: Tensor, t: int) -> Tensor:
        x0 = torch.zeros_like(x)
        for tile, one in zip(work.tiles, denoisers, strict=True):
            poll()
            x0[(..., *tile.inner)] = one(x[(..., *tile.outer)], t)[(..., *tile.within)]
        return x0

    return denoise


class _Told:
    """Hears of the estimates of a run and tells the callback."""

    def __init__(self, progress: Progress, work: Work, done: int, steps: int, strip: int):
        self.progress, self.work, self.done, self.steps = progress, work, done, steps
        count = min(strip, steps)
        marks = [round(i * (steps - 1) / max(1, count - 1)) for i in range(count)]
        self.marks = marks if done == 0 else []  # the strip is that of the first sample
        self.step = 0
        progress.report(work.picture(work.known), 0, done)  # the first step can be interrupted too

    def __call__(self, t: int, x0: Tensor) -> None:
        if self.progress.callback is None:
            return
        shown = self.work.picture(x0[:1])
        marked = self.step in self.marks
        level = sum(mark < self.step for mark in self.marks)
        self.step += 1
        self.progress.report(shown, level, self.done + self.step, marked)

    def poll(self) -> None:
        self.progress.poll()


def blended(image: Tensor, share: Tensor, work: Work, x0: Tensor) -> Tensor:
    """(n, C, H, W): the image with its hole filled in the proportion of the mask."""
    filled = image.repeat(len(x0), 1, 1, 1)
    rows, columns = (
        slice(int(p[0]), min(int(p[-1]) + 1, side))
        for p, side in zip((work.rows, work.columns), image.shape[2:], strict=True)
    )
    inside = filled[:, : x0.shape[1], rows, columns]
    fill = work.picture(x0)[..., : inside.shape[2], : inside.shape[3]].to(image.dtype)
    part = share[:, :, rows, columns].to(image.dtype)
    mixed = torch.where(part >= 1, fill, inside + part * (fill - inside))
    inside.copy_(torch.where(part > 0, mixed, inside))
    return filled


def _mirrored(side: int, multiple: int, device: torch.device) -> Tensor:
    """Places 0 to side - 1, and then back, up to the next multiple."""
    place = torch.arange(-(-side // multiple) * multiple, device=device)
    period = max(1, 2 * (side - 1))
    place = place % period
    return torch.minimum(place, period - place).clamp(max=side - 1)


def _seen(hole: Tensor, margin: int, multiple: int) -> Box:
    """What is within `margin` of the hole (1, 1, H, W), out to whole pooling cells."""
    rows, columns = (
        slice(part.start // multiple * multiple, -(-part.stop // multiple) * multiple)
        for part in bounding_box(hole, margin)
    )
    return rows, columns


def _tiles(hole: Tensor, margin: int, multiple: int) -> list[_Tile]:
    """Tiles that together cover the hole, each around what of it lies in a part of its box."""
    tiles = []
    rows, columns = (_parts(part) for part in bounding_box(hole, 0))
    for row in rows:
        for column in columns:
            here = torch.zeros_like(hole)
            here[..., row, column] = hole[..., row, column]
            if bool(here.any()):
                tiles.append(_Tile(bounding_box(here, 0), _seen(here, margin, multiple)))
    return tiles


def _parts(whole: slice) -> list[slice]:
    """Equal parts, none longer than a tile."""
    count = -(-(whole.stop - whole.start) // TILE)
    ends = [whole.start + (whole.stop - whole.start) * i // count for i in range(count + 1)]
    return [slice(low, high) for low, high in zip(ends, ends[1:], strict=False)]


def _batches(count: int, work: Work) -> list[range]:
    """The numbers of the samples, as many at a time as the network is given at once."""
    most = max(1, PIXELS.get(work.known.device.type, PIXELS["cpu"]) // work.pixels)
    return [range(first, min(first + most, count)) for first in range(0, count, most)]


def _check(
    model: TrainedModel, image: Tensor, mask: Tensor, start: Tensor | None, sampler: str, **numbers
) -> None:
    check_image(image, "image")
    check_mask(mask, "mask", (image.shape[2], image.shape[3]), len(image))
    check_choice("sampler", sampler, SAMPLERS)
    for name, number in numbers.items():
        check_least(name, number, 1)
    channels, colours = image.shape[1], model.network.channels
    if channels != colours and (channels, colours) != (COLOURS + 1, COLOURS):
        raise ValueError(
            f"the image has {channels} channels, but the model was trained on {colours}; train one "
            "on such pictures, or convert the image"
        )
    if start is not None:
        check_image(start, "start", batch=(1, len(image)))
        if start.shape[1] < colours or start.shape[2:] != image.shape[2:]:
            raise ValueError(
                f"start has shape {tuple(start.shape)}, but has to be as large as the image, "
                f"{tuple(image.shape)}"
            )
