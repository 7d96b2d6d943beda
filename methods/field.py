"""The nearest-patch field: the data type that search, synthesis, filling and transfer share."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..backends import run


@dataclass(frozen=True)
class Field:
    """Where in a source each patch of a target has its nearest patches.

    positions: (B, k, 2, H, W) int32, absolute (y, x) centres of source patches, best first; for clips
        (B, k, 3, T, H, W), (t, y, x). -1 = none.
    distances: (B, k, H, W) float32, inf where there is none.
    patch_size: odd. source_size: (H2, W2) or (T2, H2, W2).
    wrap, source_wrap: per axis, whether the target and the source are read as a torus.
    """

    positions: Tensor
    distances: Tensor
    patch_size: int
    source_size: tuple[int, ...]
    wrap: tuple[bool, ...] = (False, False)
    source_wrap: tuple[bool, ...] = (False, False)

    @property
    def size(self) -> tuple[int, ...]:
        """(H, W) or (T, H, W) of the target."""
        return tuple(self.positions.shape[3:])

    @property
    def neighbours(self) -> int:
        return self.positions.shape[1]
