"""Weights drawn at random, so that the networks of metrics can be tested without the real ones."""

import torch

from internal_methods.methods.metrics.weights import WeightsKind


def random_weights(kind: WeightsKind, seed: int = 0) -> dict[str, torch.Tensor]:
    """Of every shape that the kind names, scaled so that activations neither die nor explode."""
    generator = torch.Generator().manual_seed(seed)
    drawn = {}
    for name, shape in kind.shapes.items():
        values = torch.randn(shape, generator=generator)
        if len(shape) == 4 and shape[1] > 1 and shape[2] * shape[3] >= 1 and shape[0] > 1:
            drawn[name] = values * (2 / torch.tensor(shape[1:]).prod()) ** 0.5
        else:
            drawn[name] = values.abs() * 0.1 + 0.05
    return drawn
