"""A small model, trained for a moment."""

from functools import cache

import torch

from internal_methods.methods.diffusion.model import TrainedModel
from internal_methods.methods.diffusion.settings import NetworkSettings, TrainingSettings
from internal_methods.methods.diffusion.training import train


def picture(seed: int = 0, size: int = 24) -> torch.Tensor:
    """(1, 3, size, size) in [0, 1]."""
    return torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(seed))


@cache
def trained_model(seed: int = 0, steps: int = 2) -> TrainedModel:
    """The same for the same arguments; not to be changed."""
    network = NetworkSettings(width=4, levels=1)
    training = TrainingSettings(window=16, batch=2, seed=seed)
    return train(picture(seed), network=network, training=training, steps=steps)


def same(one: TrainedModel, other: TrainedModel) -> bool:
    """All of it, to the bit."""
    told = [
        (m.network, m.training, m.provenance, m.losses, sorted(m.weights)) for m in (one, other)
    ]
    return told[0] == told[1] and all(
        torch.equal(weight, other.weights[name]) for name, weight in one.weights.items()
    )
