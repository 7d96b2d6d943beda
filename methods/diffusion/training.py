"""Training a small diffusion network on the user's own pictures.

Cherel 2024, V.2: random windows, masks and noise levels, squared error of the clean picture inside
the mask. What the user's hole covers is never shown and never learnt from.
"""

import logging
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from ...backends import random
from ..checks import check_image, check_mask, size_of
from ..cost import Cost, peak_memory
from ..steps import Callback, Progress
from .likeness import likeness
from .model import SCHEDULE, TrainedModel
from .network import UNet
from .preview import preview
from .provenance import provenance
from .scale import Scale
from .settings import NetworkSettings, TrainingSettings
from .windows import Windows

log = logging.getLogger(__name__)

WARM_UP = 100  # steps over which the learning rate rises
STEADY = 0.5  # share of the training after which it falls
LEAST_RATE = 0.05  # share of the learning rate at the end
GRADIENT = 1.0  # norm beyond which gradients are cut
READ = 25  # steps after which losses are read from the device and looked at
SAVED = 30.0  # seconds between two checkpoints
SHOWN = 5.0  # seconds between two previews, at least
SHOWN_SHARE = 0.05  # of the time goes into previews, at most
PARTS = 1000  # of a progress that goes by time
EXTRA = "extra."  # what is kept along with a training


class Checkpoint(Protocol):
    """Where a training is kept while it runs."""

    def load(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None: ...

    def save(self, tensors: dict[str, Tensor], described: dict[str, Any]) -> None: ...


class Trainer:
    """A network in training: its windows, its optimiser, the running average of its weights.

    shell: the model that is to be, without weights. images: (N, C, H, W). holes: (N, 1, H, W), 1 =
    neither shown nor learnt from. levels: the noise levels that are trained, noisiest first; may be
    changed between steps. All randomness of a step follows from the seed and its number.
    """

    def __init__(
        self,
        shell: TrainedModel,
        images: Tensor,
        holes: Tensor,
        start: TrainedModel | None = None,
    ):
        network, training = shell.network, shell.training
        self.shell, self.training, self.device = shell, training, images.device
        images, holes = large_enough(shell.scale.scaled(images), holes, network.multiple)
        self.images, self.holes = images, holes
        sides = [side // network.multiple * network.multiple for side in images.shape[2:]]
        side = min(max(training.window // network.multiple, 1) * network.multiple, *sides)
        alike = likeness(images, holes, side) if training.focus else None
        self.windows = Windows(images, holes, training, side, alike)
        self.net = UNet(network, Generator().manual_seed(training.seed))
        if start is not None:
            self.net.load_state_dict(start.weights)
        self.net.to(self.device)
        self.parameters: list[Tensor] = list(self.net.parameters())
        self.optimizer = torch.optim.Adam(
            self.parameters, training.learning_rate, fused=self.device.type != "mps"
        )
        self.average = [values.detach().clone() for values in self.parameters]
        self.levels = (training.first, training.last)
        self.weights = SCHEDULE.weights(training.weighting, training.prediction)
        self.half = _half_precision(self.device, training.precision)
        self.losses: list[float] = []
        self._unread: list[Tensor] = []

    @property
    def done(self) -> int:
        """Steps so far."""
        return len(self.losses) + len(self._unread)

    def advance(self, share: float) -> None:
        """One step. share: how much of the training is over, for the learning rate.

        Raises ValueError if the loss has become NaN or infinite (noticed a few steps later).
        """
        for group in self.optimizer.param_groups:
            group["lr"] = self.training.learning_rate * _rate(self.done, share)
        number = int(random.bits(self.training.seed, self.done))
        loss = self._loss(Generator(self.device).manual_seed(number))
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.parameters, GRADIENT)
        self.optimizer.step()
        kept = min(self.training.average, (1 + self.done) / (10 + self.done))
        get_ema_multi_avg_fn(kept)(self.average, self.parameters, self.done)
        self._unread.append(loss.detach())
        if len(self._unread) >= READ:
            self.read_losses()

    def _loss(self, generator: Generator) -> Tensor:
        batch = self.windows.draw(generator)
        clean, settings = batch.clean, self.net.settings
        hidden = batch.hidden if settings.conditional else torch.ones_like(batch.hidden)
        unseen = torch.maximum(hidden, 1 - batch.learnt)
        counted = hidden * batch.learnt
        known = clean * (1 - unseen)
        with self._precision():
            if not settings.noisy:
                error = (self.net(None, known, unseen).float() - clean) ** 2
                return _mean(error, counted)
            t = self._some_levels(len(clean), generator)
            noise = torch.randn(clean.shape, generator=generator, device=self.device)
            x = SCHEDULE.noised(clean, t, noise)
            sigma = SCHEDULE.on("sigmas", self.device, x.dtype)[t]
            output = self.net(x, known, unseen, sigma, t).float()
        error = (output - SCHEDULE.target(clean, x, noise, t, self.training.prediction)) ** 2
        if self.training.weighting != "uniform":
            first, last = self.levels
            weights = self.weights / self.weights[last : first + 1].mean()
            error = error * weights.to(error)[t][:, None, None, None]
        return _mean(error, counted)

    def _some_levels(self, count: int, generator: Generator) -> Tensor:
        """(count,) noise levels, one in each of as many equal parts of those that are trained."""
        first, last = self.levels
        share = torch.rand(count, generator=generator, device=self.device)
        part = torch.arange(count, device=self.device)
        return last + ((part + share) / count * (first - last + 1)).long().clamp(max=first - last)

    def _precision(self):
        if not self.half:
            return nullcontext()
        return torch.autocast(self.device.type, torch.bfloat16)

    def read_losses(self) -> None:
        """Fetch the losses from the device. Raises ValueError if one is NaN or infinite."""
        if not self._unread:
            return
        read = torch.stack(self._unread).tolist()
        self._unread = []
        for loss in read:
            self.losses.append(loss)
            if not loss < float("inf"):
                raise ValueError(
                    f"the loss of step {len(self.losses)} is {loss}; lower the learning rate, "
                    f"{self.training.learning_rate:g}, or train in float32"
                )

    def sound(self) -> bool:
        """Whether all losses so far, read from the device, are finite."""
        try:
            self.read_losses()
        except ValueError:
            return False
        return all(loss < float("inf") for loss in self.losses[-READ:])

    def averaged(self) -> UNet:
        """The network with the running average of its weights, for inference."""
        net = UNet(self.net.settings, Generator()).to(self.device).eval().requires_grad_(False)
        for values, average in zip(net.parameters(), self.average, strict=True):
            values.copy_(average)
        return net

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """All that a training needs to go on, on the CPU; what `restore` takes."""
        self.read_losses()
        tensors = {"losses": torch.tensor(self.losses, dtype=torch.float32)}
        for number, values in enumerate(self.parameters):
            kept = {"value": values, "average": self.average[number]}
            kept |= self.optimizer.state.get(values, {})
            tensors |= {f"{number}.{name}": each.detach().cpu() for name, each in kept.items()}
        return tensors, {"steps": self.done}

    def restore(self, tensors: dict[str, Tensor], described: dict[str, Any]) -> None:
        """Go on from a state. Raises ValueError, before anything is changed, if it does not fit."""
        moments = ("step", "exp_avg", "exp_avg_sq")
        wanted = {
            f"{number}.{name}": values.shape
            for number, values in enumerate(self.parameters)
            for name in ("value", "average", *(moments[1:] if described["steps"] else ()))
        }
        for name, shape in wanted.items():
            if name not in tensors or tensors[name].shape != shape:
                raise ValueError(f"the state of a training lacks {name} of {tuple(shape)}")
        with torch.no_grad():
            for number, values in enumerate(self.parameters):
                values.copy_(tensors[f"{number}.value"])
                self.average[number].copy_(tensors[f"{number}.average"])
                if described["steps"]:
                    here = {name: tensors[f"{number}.{name}"].clone() for name in moments}
                    # in the layout of the weights, which a fused optimiser takes for granted
                    moved = {
                        name: torch.empty_like(values).copy_(here[name]) for name in moments[1:]
                    }
                    step = here["step"].to(self.device if self.device.type == "cuda" else "cpu")
                    self.optimizer.state[values] = {"step": step, **moved}
        self.losses = tensors["losses"].tolist()
        self._unread = []


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

    images: (N, C, H, W) floating, any finite range, of one size. mask: (N or 1, 1, H, W), what is
        above 0 is hidden from the training; None hides nothing.
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
        scale = start.scale if start is not None else Scale.of(images, holes)
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

    def report(self) -> None:
        """Tell the callback, now and then with a new preview."""
        if not self.shows:
            return
        now = time.monotonic()
        if now >= self.show_next:
            self.shown = preview(self.trainer)
            took = time.monotonic() - now
            self.show_next = time.monotonic() + max(SHOWN, took / SHOWN_SHARE)
        assert self.shown is not None
        whole = self.progress.total
        done = self.trainer.done if self.steps and not self.seconds else int(self.share * whole)
        self.progress.report(self.shown, 0, min(done, whole), done >= whole)


def large_enough(images: Tensor, holes: Tensor, least: int) -> tuple[Tensor, Tensor]:
    """Pictures with sides of at least `least`; what is added counts as hole."""
    wanted = [max(0, least - side) for side in images.shape[2:]]
    if not any(wanted):
        return images, holes
    log.warning("the pictures are smaller than %d: they are padded for the network", least)
    sides = (0, wanted[1], 0, wanted[0])
    return F.pad(images, sides), F.pad(holes, sides, value=1.0)


def check_training(
    images: Tensor, mask: Tensor | None, network: NetworkSettings, start: TrainedModel | None
) -> Tensor:
    """The holes (N, 1, H, W), 1 = hidden. Raises ValueError for what cannot be trained on."""
    check_image(images, "image")
    if images.shape[1] != network.channels:
        raise ValueError(
            f"the pictures have {images.shape[1]} channels, the network {network.channels}"
        )
    if start is not None and start.network != network:
        raise ValueError(
            f"the training starts from a model of another network: {start.network}, not {network}"
        )
    holes = images.new_zeros(len(images), 1, *images.shape[2:])
    if mask is not None:
        check_mask(mask, "mask", size_of(images), len(images))
        holes = (mask > 0).to(images.dtype).expand(len(images), -1, -1, -1)
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


def _rate(step: int, share: float) -> float:
    """Learning rate, as a share of its highest."""
    rising = min(1.0, (step + 1) / WARM_UP)
    falling = min(1.0, (1 - share) / (1 - STEADY))
    return max(LEAST_RATE, min(rising, falling))


def _mean(error: Tensor, counted: Tensor) -> Tensor:
    """The mean over what counts, (B, 1, H, W); 0 where nothing does."""
    return (error * counted).sum() / (counted.sum() * error.shape[1]).clamp(min=1)


def _half_precision(device: torch.device, wish: str) -> bool:
    """Whether convolutions are in bfloat16."""
    if wish != "auto":
        return wish == "bfloat16"
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    return device.type == "cpu" and torch.cpu._is_avx512_bf16_supported()
