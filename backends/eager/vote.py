"""Reconstruction of a map from a nearest-patch field, in plain torch."""

from torch import Tensor


def why_not(values: Tensor, positions: Tensor, distances: Tensor, **_) -> str | None:
    return None


def vote(
    values: Tensor,
    positions: Tensor,
    distances: Tensor,
    *,
    patch_size: int,
    wrap: tuple[bool, ...] = (False, False),
    source_wrap: tuple[bool, ...] = (False, False),
    scale: Tensor | float = 1.0,
    best: bool = False,
    mask: Tensor | None = None,
) -> Tensor:
    """What the overlapping patches of a field say about every pixel of the target.

    values: (B, C, H2, W2) floating, any map of the source's size. positions (B, k, 2, H, W) int32 and
    distances (B, k, H, W): only the best neighbour (k = 0) votes; -1 does not vote.
    Pixel p gets sum_q w(q, p) values(positions(q) + p - q) / sum_q w(q, p) over the centres q whose
    patch covers p, w(q, p) = exp(-(d(q) - min d) / (2 scale(p)^2)); min d over the q covering p cancels
    in the ratio and keeps it from being 0 / 0.
    scale: positive number, or (B, 1, H, W).
    best: instead take the value that the patch of least distance gives (first in row-major order of q
        on ties).
    mask: (B, 1, H, W) bool, True where a value is wanted. Elsewhere, and where no patch covers the
        pixel, the result is 0.
    Returns (B, C, H, W), the dtype of values.
    """
    raise NotImplementedError
