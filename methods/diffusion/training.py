"""Training a small diffusion network on the user's own pictures.

Cherel 2024, V.2: random windows, masks and noise levels, squared error of the clean picture inside
the mask. What the user's hole covers is never shown and never learnt from.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

import torch
from torch import Tensor

from ..checks import check_clip, check_clip_mask, check_image, check_mask, size_of
from ..cost import Cost, peak_memory
from ..steps import Callback, Progress
from .likeness import drawn_shares
from .model import TrainedModel
from .preview import preview, shown
from .provenance import provenance
from .scale import Scale
from .settings import NetworkSettings, TrainingSettings
from .trainer import Trainer

SAVED = 30.0  # seconds between two checkpoints
SHOWN = 5.0  # seconds between two previews, at least
SHOWN_SHARE = 0.05  # of the time goes into previews, at most
PARTS = 1000  # of a progress that goes by time
EXTRA = "extra."  # what is kept along with a training


class Checkpoint(Protocol):
    """Where a training is kept while it runs."""

    def load(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None: ...

    def save(self, tensors: dict[str, Tensor], described: dict[str, Any]) -> None: ...


def train(
    images: Tensor,
    mask: Tensor | None = None,
    *,
    network: NetworkSettings | None = None,
    training: TrainingSettings | None = None,
    steps: int | None = None,
    seconds: float | None = None,
    start: TrainedModel | None = None,
    checkpoint: Checkpoint | None = None,
    interrupted: Callable[[TrainedModel], None] | None = None,
    callback: Callback | None = None,
) -> TrainedModel:
    """Train a network on pictures, without what their holes cover.

    images: (N, C, H, W) floating, any finite range, of one size; for a network of 3 axes a clip
        (1, C, T, H, W). mask: (N or 1, 1, H, W), or (1, 1, T or 1, H, W), what is above 0 is hidden
        from the training; None hides nothing.
    network, training: settings; the default ones fit the pictures' channels.
    steps, seconds: the end of the training, whichever comes first; at least one of them.
    start: a trained model of the same network to begin with.
    checkpoint: where the training is kept while it runs, and goes on from. interrupted: is given
        the model as it stands when the training is ended from outside.
    callback: called with a Step after every step, its image now and then a fill of the hole by the
        network as it is; may raise.
    Works under torch.inference_mode() as well. Limited by steps it repeats bit for bit on the CPU
    for the same number of threads, interrupted or not; limited by time it does not.
    Raises ValueError for shapes that do not fit, pictures without anything to learn from, and a
    loss that is NaN.
    """
    network = network or NetworkSettings(channels=images.shape[1])
    training = training or TrainingSettings()
    holes = check_training(images, mask, network, start)
    with torch.inference_mode(False), torch.enable_grad():
        images, holes = images.detach().clone().float(), holes.clone()
        scale = start.scale if start is not None else None
        scale = scale or Scale.of(images, holes, drawn_shares(images, holes, training))
        shell = TrainedModel(network, training, {}, scale)
        trainer = Trainer(shell, images, holes, start)
        run = Run(trainer, steps, seconds, checkpoint, callback)
        try:
            run.until(1.0)
            trainer.read_losses()
        except (KeyboardInterrupt, Exception):
            if interrupted is not None and trainer.sound() and trainer.losses:
                interrupted(finished(shell, run, images, holes))
            raise
        return finished(shell, run, images, holes)


class Run:
    """A trainer at work within a budget: keeps checkpoints and reports.

    extra: tensors and words that are kept along with the trainer's state.
    Raises ValueError where there is no budget.
    """

    def __init__(
        self,
        trainer: Trainer,
        steps: int | None,
        seconds: float | None,
        checkpoint: Checkpoint | None,
        callback: Callback | None,
    ):
        if not (steps or seconds) or min(steps or 1, seconds or 1) <= 0:
            raise ValueError("a training needs an end: give steps or seconds above 0")
        self.trainer, self.steps, self.seconds = trainer, steps, seconds
        self.checkpoint, self.extra = checkpoint, {}
        self.before = 0.0  # seconds of earlier runs
        self.progress = Progress(callback, steps or PARTS, 1)
        self.shown: Tensor | None = None
        self.sampled: Tensor | None = None  # what a sample that goes along is thought to be
        self.shows = callback is not None
        found = checkpoint.load() if checkpoint is not None else None
        if found is not None:
            trainer.restore(*found)
            self.before = float(found[1]["seconds"])
            self.extra = {n: t for n, t in found[0].items() if n.startswith(EXTRA)}
        self.began = self.saved = time.monotonic()
        self.show_next = self.began

    @property
    def spent(self) -> float:
        """Seconds, earlier runs included."""
        return self.before + time.monotonic() - self.began

    @property
    def share(self) -> float:
        """How much of the budget is spent."""
        by_steps = self.trainer.done / self.steps if self.steps else 0.0
        return max(by_steps, self.spent / self.seconds if self.seconds else 0.0)

    def until(self, share: float) -> None:
        """Train until so much of the budget is spent."""
        while self.share < share - 1e-9:
            self.step()

    def step(self) -> None:
        """A step of the training; keeps what there is if it is ended from outside."""
        try:
            self.trainer.advance(min(self.share, 1.0))
            self.report()
        except (KeyboardInterrupt, Exception):
            self.keep()
            raise
        if self.checkpoint is not None and time.monotonic() - self.saved >= SAVED:
            self.keep()

    def keep(self) -> None:
        """Save a checkpoint; not of a training that has gone wrong."""
        if self.checkpoint is None or not self.trainer.sound():
            return
        tensors, described = self.trainer.state()
        described |= {"seconds": self.spent}
        self.checkpoint.save(tensors | self.extra, described)
        self.saved = time.monotonic()

    def saw(self, x0: Tensor) -> None:
        """Tell the callback of a sample that goes along: scaled, the first of (n, C, [T,] h, w)."""
        self.sampled = x0[:1]
        self.report()

    def report(self) -> None:
        """Tell the callback, now and then with a new preview, of the sample where there is one."""
        if not self.shows:
            return
        now = time.monotonic()
        if now >= self.show_next:
            self.shown = self._preview()
            took = time.monotonic() - now
            self.show_next = time.monotonic() + max(SHOWN, took / SHOWN_SHARE)
        assert self.shown is not None
        whole = self.progress.total
        done = self.trainer.done if self.steps and not self.seconds else int(self.share * whole)
        self.progress.report(self.shown, 0, min(done, whole), done >= whole)

    def _preview(self) -> Tensor:
        if self.sampled is None:
            return preview(self.trainer)
        scale = self.trainer.shell.scale
        return shown(scale.unscaled(self.sampled), scale, self.trainer.losses)


def check_training(
    images: Tensor, mask: Tensor | None, network: NetworkSettings, start: TrainedModel | None
) -> Tensor:
    """The holes (N, 1, [T,] H, W), 1 = hidden. Raises ValueError for what cannot be trained on."""
    clips = network.axes == 3
    if clips:
        check_clip(images, "clip")
    else:
        check_image(images, "image")
    if images.shape[1] != network.channels:
        raise ValueError(
            f"the {'clip has' if clips else 'pictures have'} {images.shape[1]} channels, the "
            f"network {network.channels}"
        )
    if start is not None and start.network != network:
        raise ValueError(
            f"the training starts from a model of another network: {start.network}, not {network}"
        )
    holes = images.new_zeros(len(images), 1, *images.shape[2:])
    if mask is not None:
        if clips:
            check_clip_mask(mask, "mask", images)
        else:
            check_mask(mask, "mask", size_of(images), len(images))
        holes = (mask > 0).to(images.dtype).expand_as(holes)
    if bool(holes.all()):
        raise ValueError("the mask covers everything: nothing is left to learn from")
    known = images.detach()[(holes == 0).expand_as(images)]
    if known.min() == known.max():
        raise ValueError(
            f"all that is known has the one value {float(known[0]):g}: there is nothing to learn; "
            "fill the hole with that colour"
        )
    return holes


def finished(shell: TrainedModel, run: Run, images: Tensor, holes: Tensor) -> TrainedModel:
    """The model as it stands, with what it was trained on and how."""
    trainer = run.trainer
    weights = {
        name: values.detach().to("cpu", torch.float32).contiguous()
        for name, values in trainer.averaged().state_dict().items()
    }
    told = provenance(
        images,
        holes,
        cost=Cost(run.spent, trainer.device.type, memory=peak_memory(trainer.device)),
        steps=len(trainer.losses),
        limited_by="steps" if run.steps and not run.seconds else "time",
        precision="bfloat16" if trainer.half else "float32",
    )
    return replace(shell, weights=weights, provenance=told, losses=list(trainer.losses))
