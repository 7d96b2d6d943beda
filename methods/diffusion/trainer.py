"""A network in training, a step at a time."""

import logging
from typing import Any

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from ...backends import random
from ..checks import by
from ..morphology import bounding_box
from .likeness import likeness
from .model import SCHEDULE, TrainedModel
from .network import UNet
from .precision import alone, half_precision, rounded
from .settings import NetworkSettings, TrainingSettings
from .windows import Windows

log = logging.getLogger(__name__)

WARM_UP = 100  # steps over which the learning rate rises
STEADY = 0.5  # share of the training after which it falls
LEAST_RATE = 0.05  # share of the learning rate at the end
GRADIENT = 1.0  # norm beyond which gradients are cut
READ = 25  # steps after which losses are read from the device and looked at
NEAR = 2  # windows of a clip lie at most so many of their sides from the hole


class Trainer:
    """A network in training: its windows, its optimiser, the running average of its weights.

    shell: the model that is to be, without weights. images: (N, C, H, W), or a clip (1, C, T, H,
    W). holes: (N, 1, [T,] H, W), 1 = neither shown nor learnt from. wanted: what of them is to be
    filled, which masks and places take after; None = all. levels: the noise levels that are
    trained, noisiest first; may be changed between steps. All randomness of a step follows from the
    seed and its number.
    """

    def __init__(
        self,
        shell: TrainedModel,
        images: Tensor,
        holes: Tensor,
        start: TrainedModel | None = None,
        wanted: Tensor | None = None,
    ):
        network, training = shell.network, shell.training
        self.shell, self.training, self.device = shell, training, images.device
        wanted = holes if wanted is None else wanted
        if network.axes == 3:
            near = _near(wanted, NEAR * training.window)
            images, holes, wanted = images[near], holes[near], wanted[near]
        images, holes, wanted = large_enough(
            shell.scale.scaled(images), holes, wanted, network.multiples
        )
        self.images, self.holes, self.wanted = images, holes, wanted
        size = window_size(network, training, tuple(images.shape[2:]))
        alike = likeness(images, holes, size[-1]) if training.focus else None
        self.windows = Windows(images, holes, training, size, alike, wanted)
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
        self.half = half_precision(self.device, training.precision)
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
        with alone(self.net.settings.axes, self.device, self.half):
            self._advance(share)

    def _advance(self, share: float) -> None:
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
        known = clean * (1 - unseen)
        counted = batch.learnt if self.training.loss == "visible" else hidden * batch.learnt
        with rounded(self.device, self.half):
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
            error = error * weights.to(error)[t].view(-1, *(1 for _ in error.shape[1:]))
        return _mean(error, counted)

    def _some_levels(self, count: int, generator: Generator) -> Tensor:
        """(count,) noise levels, one in each of as many equal parts of those that are trained."""
        first, last = self.levels
        share = torch.rand(count, generator=generator, device=self.device)
        part = torch.arange(count, device=self.device)
        return last + ((part + share) / count * (first - last + 1)).long().clamp(max=first - last)

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


def large_enough(
    images: Tensor, holes: Tensor, wanted: Tensor, least: tuple[int, ...]
) -> tuple[Tensor, Tensor, Tensor]:
    """Pictures or clips with sides of at least `least`; what is added counts as hole."""
    missing = [max(0, n - side) for n, side in zip(least, images.shape[2:], strict=True)]
    if not any(missing):
        return images, holes, wanted
    log.warning("the pictures are smaller than %d: they are padded for the network", max(least))
    sides = [part for more in reversed(missing) for part in (0, more)]
    holes, wanted = (F.pad(each, sides, value=1.0) for each in (holes, wanted))
    return F.pad(images, sides), holes, wanted


def window_size(
    network: NetworkSettings, training: TrainingSettings, size: tuple[int, ...]
) -> tuple[int, ...]:
    """Of the windows from pictures, square, or from a clip: as wanted, as far as they fit.

    That those of a clip are smaller than wanted is told in the log.
    """
    sides = [side // part * part for side, part in zip(size, network.multiples, strict=True)]
    side = max(training.window // network.multiple, 1) * network.multiple
    if network.axes == 2:
        side = min(side, *sides)
        return side, side
    wanted = (training.frames, side, side)
    fits = tuple(min(pair) for pair in zip(wanted, sides, strict=True))
    if fits != wanted:
        log.warning("windows are %s, not %s: the clip is no larger", by(fits), by(wanted))
    return fits


def _near(hole: Tensor, margin: int) -> tuple:
    """The part of all frames of a clip that lies around the hole, wherever that is in any."""
    return (..., *bounding_box(hole.amax(2) > 0, margin)) if hole.any() else (...,)


def _rate(step: int, share: float) -> float:
    """Learning rate, as a share of its highest."""
    rising = min(1.0, (step + 1) / WARM_UP)
    falling = min(1.0, (1 - share) / (1 - STEADY))
    return max(LEAST_RATE, min(rising, falling))


def _mean(error: Tensor, counted: Tensor) -> Tensor:
    """The mean over what counts, (B, 1, H, W); 0 where nothing does."""
    return (error * counted).sum() / (counted.sum() * error.shape[1]).clamp(min=1)
