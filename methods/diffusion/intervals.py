"""Interval training: a network is trained for the noisiest levels and takes the sample through
them, is trained on for the next, and so on. One network in memory, at any time good at what is
asked of it (Cherel 2024, VI.2.3).
"""

from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from ..checks import check_image
from ..steps import Callback
from .inpaint import Work, blended, tiled
from .model import SCHEDULE, TrainedModel
from .sampling import sample
from .scale import Scale
from .settings import NetworkSettings, TrainingSettings, check_least
from .training import EXTRA, Checkpoint, Run, Trainer, check_training, finished

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
    check_least("asked", asked, 1)
    check_least("count", count, 1)
    if not 0 <= common < 1:
        raise ValueError(f"common is {common:g}, has to be a share below 1")
    network = network or NetworkSettings(channels=image.shape[1])
    training = training or TrainingSettings()
    holes = check_training(image, mask, network, None)
    if not (network.noisy and network.conditional):
        raise ValueError("interval training needs a network that sees noise and holes")
    check_least("intervals", intervals, 1)
    first, last = training.first, training.last
    parts = SCHEDULE.intervals(min(intervals, first - last + 1), first, last)
    with torch.inference_mode(False), torch.enable_grad():
        picture, holes = image.detach().clone().float(), holes.clone()
        share = mask.detach().clone()
        settled = _settled(training, steps, parts)
        shell = TrainedModel(network, settled, {}, Scale.of(picture, holes))
        work = Work.of(shell, picture, share > 0, None if start is None else start.clone())
        trainer = Trainer(shell, picture, holes)
        run = Run(trainer, steps, seconds, checkpoint, callback)
        fresh = partial(work.noise, seed, range(count))
        x = run.extra.get(SAMPLE, fresh(SCHEDULE.steps)).to(picture)
        if work.start is not None and not run.extra:
            x = SCHEDULE.noised(work.start, training.first, x)
        for number in range(int(run.extra.get(PASSED, torch.zeros(()))), len(parts)):
            run.extra = {SAMPLE: x.cpu(), PASSED: torch.tensor(float(number))}
            run.until(common)
            first, last = trainer.levels = parts[number]
            run.until(common + (1 - common) * (number + 1) / len(parts))
            x = _through(work, trainer, x, first, last, asked, fresh, run)
        trainer.read_losses()
        result = blended(image, share, work, x)
        return result, finished(shell, run, picture, holes)


def _through(
    work: Work, trainer: Trainer, x: Tensor, first: int, last: int, asked: int, fresh, run: Run
) -> Tensor:
    """The samples, from as noisy as `first` to just less noisy than `last`."""
    length = first - last + 1
    asked = min(asked, length)
    with torch.no_grad():
        return sample(
            tiled(work, trainer.averaged(), trainer.training.prediction, run.progress.poll),
            x,
            SCHEDULE,
            levels=[first - length * i // asked for i in range(asked)],
            stop=last - 1,
            noise=fresh,
            known=(work.known, work.hole),
            clip=work.scale.limits,
        )


def _settled(
    training: TrainingSettings, steps: int | None, parts: list[tuple[int, int]]
) -> TrainingSettings:
    """With an average of weights that forgets the intervals before."""
    if steps is None:
        return training
    kept = max(LEAST_KEPT, 1 - SETTLED * len(parts) / steps)
    return replace(training, average=min(training.average, kept))
