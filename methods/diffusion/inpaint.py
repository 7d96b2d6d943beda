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

from ..checks import check_image, check_mask
from ..steps import Callback, Progress
from .conditioning import JUMP, sample_conditioned
from .model import SCHEDULE, TrainedModel
from .sampling import SAMPLERS, sample
from .settings import check_choice, check_least
from .work import Work, blended, tiled

log = logging.getLogger(__name__)

PIXELS = {"cpu": 2**17, "cuda": 2**22}  # that the network is given at once
BENDS = {"ancestral": 1.0, "ddim": 2.0, "dpm2": 2.0}  # of the levels of few steps
COLOURS = 3  # channels that a model of colours has beside an alpha that it does not touch


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
        tiled(work, model.build(work.known.device), model.training, told.poll),
        x,
        SCHEDULE,
        levels=plan.levels,
        sampler=plan.sampler,
        known=(work.known, work.hole),
        clip=work.scale.limits,
        noise=fresh,
        callback=told,
    )


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


def _batches(count: int, work: Work) -> list[range]:
    """The numbers of the samples, as many at a time as the network is given at once."""
    most = max(1, PIXELS.get(work.known.device.type, PIXELS["cpu"]) // work.pixels)
    return [range(first, min(first + most, count)) for first in range(0, count, most)]


def _check(
    model: TrainedModel, image: Tensor, mask: Tensor, start: Tensor | None, sampler: str, **numbers
) -> None:
    if model.network.axes != 2:
        raise ValueError("the model was trained on a clip; give one that was trained on pictures")
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
