"""A trained network and what it was trained on: what an INTERNAL_MODEL socket carries."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Generator, Tensor

from .network import UNet
from .precision import alone, half_precision, rounded
from .scale import Scale
from .schedule import Schedule
from .settings import NetworkSettings, TrainingSettings, read

SCHEDULE = Schedule()


@dataclass(frozen=True)
class TrainedModel:
    """weights: float32 on the CPU, by the names of the network's parameters. scale: of the values
    of the training pictures. provenance: what it was trained on and how, fit for JSON. losses: of
    every step.
    """

    network: NetworkSettings
    training: TrainingSettings
    weights: dict[str, Tensor]
    scale: Scale = field(default_factory=Scale)
    provenance: dict[str, Any] = field(default_factory=dict)
    losses: list[float] = field(default_factory=list)

    def build(self, device: torch.device | str = "cpu") -> UNet:
        """The network with its weights, for inference."""
        net = UNet(self.network, Generator())
        net.load_state_dict(self.weights)
        return net.to(device).eval().requires_grad_(False)

    def denoiser(
        self, known: Tensor, mask: Tensor, device: torch.device | str
    ) -> Callable[[Tensor, int], Tensor]:
        """What the network takes a noisy picture x_t, (B, C, H, W), or clip, to show.

        known: (1 or B, C, [T,] H, W), scaled, looked at where mask (1 or B, 1, [T,] H, W) is 0.
        """
        return denoiser(self.build(device), self.training, known, mask)

    def to_dict(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Tensors, and all else fit for JSON; what `from_dict` takes."""
        described = {"network": asdict(self.network), "training": asdict(self.training)}
        described |= {"scale": asdict(self.scale), "provenance": self.provenance}
        return self.weights | {LOSSES: torch.tensor(self.losses, dtype=torch.float32)}, described

    @classmethod
    def from_dict(cls, tensors: dict[str, Tensor], described: dict[str, Any]) -> "TrainedModel":
        """Raises ValueError where settings are unknown or weights do not fit them."""
        weights = dict(tensors)
        losses = weights.pop(LOSSES, torch.zeros(0)).tolist()
        try:
            model = cls(
                network=read(NetworkSettings, described["network"]),
                training=read(TrainingSettings, described["training"]),
                weights=weights,
                scale=read(Scale, described["scale"]),
                provenance=described["provenance"],
                losses=losses,
            )
            model.build()
        except (KeyError, TypeError, RuntimeError) as error:
            raise ValueError(f"it does not describe a trained model: {error}") from error
        return model


LOSSES = "losses"  # among the tensors; no parameter is called so


def denoiser(
    net: UNet, training: TrainingSettings, known: Tensor, mask: Tensor
) -> Callable[[Tensor, int], Tensor]:
    """As `TrainedModel.denoiser`, of a network that may still be in training.

    For clips it multiplies as in training, see `precision`; for pictures always in float32.
    """
    half = net.settings.axes == 3 and half_precision(known.device, training.precision)
    mask = (mask > 0.5).to(known)
    known = known * (1 - mask)

    @torch.no_grad()
    def denoise(x: Tensor, t: int) -> Tensor:
        seen = (each.expand(len(x), *each.shape[1:]) for each in (known, mask))
        with alone(net.settings.axes, x.device, half), rounded(x.device, half):
            if not net.settings.noisy:
                return net(None, *seen).to(x)
            level = x.new_full((len(x),), t, dtype=torch.int64)
            sigma = x.new_full((len(x),), float(SCHEDULE.sigmas[t]))
            output = net(x, *seen, sigma, level).to(x)
        return SCHEDULE.clean(output, x, t, training.prediction)

    return denoise
