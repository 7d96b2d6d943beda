"""The pretrained networks that some metrics use: how to know their files, where they come from.

Nothing is fetched. A file is known by the names and shapes of its tensors, whatever it is called.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor


@dataclass(frozen=True)
class WeightsKind:
    """A network's tensors, as published.

    name: identifier. shapes: tensors that a file must hold to be of this kind, with their shapes.
    file: the usual name of the file. source: where it is published.
    """

    name: str
    shapes: dict[str, tuple[int, ...]] = field(hash=False)
    file: str
    source: str


@dataclass(frozen=True)
class Loaded:
    """tensors: those that the kind names, on the CPU, as stored. label: file and SHA-256 prefix."""

    tensors: dict[str, Tensor]
    label: str


class MissingWeights(ValueError):
    """No file of a kind is there; the message names the file, the folder and where it is published,
    and what was found instead."""


class WeightsSource(Protocol):
    """Where networks come from; `storage.weights.WeightsFolder` is the one that reads files."""

    def load(self, kind: WeightsKind) -> Loaded:
        """The tensors of a kind. Raises MissingWeights."""
        ...


def load_first(
    weights: WeightsSource | None, kinds: Sequence[WeightsKind]
) -> tuple[WeightsKind, Loaded]:
    """The first of the kinds that is there. Raises MissingWeights with all that is missing."""
    if weights is None:
        raise MissingWeights("no folder of weights is given")
    reasons = []
    for kind in kinds:
        try:
            return kind, weights.load(kind)
        except MissingWeights as error:
            reasons.append(str(error))
    raise MissingWeights("; or else ".join(reasons))
