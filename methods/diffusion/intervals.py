"""Interval training: a network is trained for the noisiest levels and takes the sample through
them, is trained on for the next, and so on. One network in memory, at any time good at what is
asked of it (Cherel 2024, VI.2.3).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from ..checks import check_image
from ..steps import Callback, Poll, Progress
from .likeness import drawn_shares
from .model import SCHEDULE, TrainedModel
from .network import UNet
from .preview import shown
from .sampling import Noise, sample
from .scale import Scale
from .settings import NetworkSettings, TrainingSettings, check_least
from .trainer import Trainer
from .training import EXTRA, Checkpoint, Run, check_training, finished
from .work import Work, blended, tiled

SETTLED = 5  # memories of the running average of weights in the training of an interval
LEAST_KEPT = 0.9  # of the average in a step
SAMPLE, PASSED = EXTRA + "sample", EXTRA + "passed"


def interval_inpaint(
    image: Tensor,
    mask: Tensor,
    *,
    network: NetworkSettings | None = None,
    training: TrainingSettings | None = None,
    intervals: int = 5,
    steps: int | None = 2000,
    seconds: float | None = None,
    common: float = 0.75,
    asked: int = 40,
    count: int = 1,
    seed: int = 0,
    start: Tensor | None = None,
    checkpoint: Checkpoint | None = None,
    callback: Callback | None = None,
) -> tuple[Tensor, TrainedModel]:
    """Fill the hole of a picture with a network that is trained on the picture meanwhile.

    image: (1, C, H, W) floating, any finite range. mask: (1, 1, H, W) in [0, 1]; where it is
        exactly 0 the image comes back bit for bit.
    network, training: as of `train`; the noise levels that are trained are cut into `intervals`.
    steps, seconds: of the whole training, as of `train`. common: share of it in which all levels
        are trained before the first interval; of the rest each interval has an equal part. The
        thesis has none, and 20 intervals, for it trains thousands of steps in each: with less than
        a hundred, the first networks are too bad a start for all that follow.
    asked: times that the network is asked in an interval, of the levels there are; the thesis asks
        at every level.
    count, seed: samples and their noise. All of them go along, so that one training makes them.
    start: (1, C, H, W), a fill to refine: as noisy as `training.first` it takes the place of noise.
    checkpoint, callback: as of `train`; the samples are kept along.
    Returns (count, C, H, W), and the model as it is in the end: good for the last interval only.
    Raises ValueError as `train` does, and for a batch.
    """
    check_image(image, "image", batch=1)
    network = network or NetworkSettings(channels=image.shape[1])
    return fill_by_intervals(
        image,
        mask,
        network,
        training or TrainingSettings(),
        Course(intervals, common, asked, count, seed),
        steps=steps,
        seconds=seconds,
        start=start,
        checkpoint=checkpoint,
        callback=callback,
    )


Kept = Callable[[TrainedModel], None]  # is given the network of each interval


@dataclass(frozen=True)
class Course:
    """How training and sampling take turns: see `interval_inpaint`.

    Raises ValueError for numbers that make none.
    """

    intervals: int
    common: float
    asked: int
    count: int
    seed: int

    def __post_init__(self) -> None:
        for name in ("intervals", "asked", "count"):
            check_least(name, getattr(self, name), 1)
        if not 0 <= self.common < 1:
            raise ValueError(f"common is {self.common:g}, has to be a share below 1")

    def parts(self, training: TrainingSettings) -> list[tuple[int, int]]:
        """(highest, lowest) levels of every interval, noisiest first."""
        first, last = training.first, training.last
        return SCHEDULE.intervals(min(self.intervals, first - last + 1), first, last)

    def settled(self, training: TrainingSettings, steps: int | None) -> TrainingSettings:
        """With an average of weights that forgets the intervals before."""
        if steps is None:
            return training
        kept = max(LEAST_KEPT, 1 - SETTLED * len(self.parts(training)) / steps)
        return replace(training, average=min(training.average, kept))


def fill_by_intervals(
    image: Tensor,
    mask: Tensor,
    network: NetworkSettings,
    training: TrainingSettings,
    course: Course,
    *,
    steps: int | None,
    seconds: float | None,
    start: Tensor | None = None,
    avoid_mask: Tensor | None = None,
    checkpoint: Checkpoint | None = None,
    kept: Kept | None = None,
    callback: Callback | None = None,
) -> tuple[Tensor, TrainedModel]:
    """`interval_inpaint` for one picture, or for one clip and a network of 3 axes."""
    unknown = mask if avoid_mask is None else torch.maximum(mask, avoid_mask)
    holes = check_training(image, unknown, network, None)
    if not (network.noisy and network.conditional):
        raise ValueError("interval training needs a network that sees noise and holes")
    if not bool((mask > 0).any()):
        raise ValueError("the mask is empty: there is nothing to fill")
    with torch.inference_mode(False), torch.enable_grad():
        picture, holes = image.detach().clone().float(), holes.clone()
        share = mask.detach().clone().expand_as(holes)
        scale = Scale.of(picture, holes, drawn_shares(picture, holes, training))
        shell = TrainedModel(network, course.settled(training, steps), {}, scale)
        fill = None if start is None else start.clone()
        work = Work.of(shell, picture, share > 0, fill, holes > 0)
        trainer = Trainer(shell, picture, holes, wanted=(share > 0).to(holes))
        run = Run(trainer, steps, seconds, checkpoint, callback)
        x = trained_through(run, work, course, partial(finished, shell, run, picture, holes), kept)
        return blended(image, share, work, x), finished(shell, run, picture, holes)


def trained_through(
    run: Run,
    work: Work,
    course: Course,
    model: Callable[[], TrainedModel],
    kept: Kept | None = None,
) -> Tensor:
    """Train through the intervals of a course, the samples (n, C, [T,] h, w) going along.

    model: the one in training, as it stands. Returns the samples, scaled.
    """
    trainer, training = run.trainer, run.trainer.training
    parts, fresh = course.parts(training), partial(work.noise, course.seed, range(course.count))
    if run.extra:
        x = run.extra[SAMPLE].to(work.known)
    else:
        x = fresh(SCHEDULE.steps)
        if work.start is not None:
            x = SCHEDULE.noised(work.start, training.first, x)
    for number in range(int(run.extra.get(PASSED, torch.zeros(()))), len(parts)):
        run.extra = {SAMPLE: x.cpu(), PASSED: torch.tensor(float(number))}
        run.until(course.common)
        trainer.levels = parts[number]
        run.until(course.common + (1 - course.common) * (number + 1) / len(parts))
        if kept is not None:
            trainer.read_losses()
            kept(of_interval(model(), parts[number]))
        run.keep()
        net, poll = trainer.averaged(), run.progress.poll
        x = _through(work, net, training, x, parts[number], course.asked, fresh, poll, run.saw)
    trainer.read_losses()
    return x


def sampled_again(
    models: Sequence[TrainedModel], work: Work, course: Course, callback: Callback | None
) -> Tensor:
    """The samples (n, C, [T,] h, w) of `trained_through`, by the networks that it gave to `kept`.

    models: in that order; `course.intervals` and `common` are theirs. callback: see `infusion`.
    Raises ValueError where the levels of the models do not follow on one another.
    """
    parts = [(model.training.first, model.training.last) for model in models]
    if not parts or any(b[0] != a[1] - 1 for a, b in zip(parts, parts[1:], strict=False)):
        raise ValueError(f"the levels of the models, {parts}, do not follow on one another")
    total = sum(min(course.asked, first - last + 1) for first, last in parts)
    progress, done = Progress(callback, total, 1), 0

    def saw(x0: Tensor) -> None:
        nonlocal done
        done += 1
        progress.report(shown(work.picture(x0[:1]), work.scale), 0, done, done == total)

    with torch.no_grad():
        fresh = partial(work.noise, course.seed, range(course.count))
        x = fresh(SCHEDULE.steps)
        if work.start is not None:
            x = SCHEDULE.noised(work.start, parts[0][0], x)
        progress.report(shown(work.picture(work.known), work.scale), 0, 0)
        for model, part in zip(models, parts, strict=True):
            net = model.build(work.known.device)
            poll = progress.poll
            x = _through(work, net, model.training, x, part, course.asked, fresh, poll, saw)
        return x


def of_interval(model: TrainedModel, part: tuple[int, int]) -> TrainedModel:
    """As the model of these levels alone."""
    return replace(model, training=replace(model.training, first=part[0], last=part[1]))


def _through(
    work: Work,
    net: UNet,
    training: TrainingSettings,
    x: Tensor,
    part: tuple[int, int],
    asked: int,
    noise: Noise,
    poll: Poll,
    saw: Callable[[Tensor], None],
) -> Tensor:
    """Samples from as noisy as the highest level of a part to just less noisy than its lowest."""
    first, last = part
    length = first - last + 1
    asked = min(asked, length)
    with torch.no_grad():
        return sample(
            tiled(work, net, training, poll),
            x,
            SCHEDULE,
            levels=[first - length * i // asked for i in range(asked)],
            stop=last - 1,
            noise=noise,
            known=(work.known, work.hole),
            clip=work.scale.limits,
            callback=lambda _, x0: saw(x0),
        )
