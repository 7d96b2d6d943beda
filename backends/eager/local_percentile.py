"""The percentile of the distances of the patches that cover each pixel, in plain torch."""

from torch import Tensor


def why_not(distances: Tensor, **_) -> str | None:
    return None


def local_percentile(
    distances: Tensor,
    *,
    patch_size: int,
    percentile: float = 75.0,
    floor: float = 0.0,
    wrap: tuple[bool, ...] = (False, False),
    mask: Tensor | None = None,
) -> Tensor:
    """At each pixel, max(floor, the given percentile of the finite distances of the patches covering it).

    distances: (B, 1, H, W) float32, inf = does not count. Where none counts, and outside `mask`, the
    answer is `floor`. The percentile is the smallest value with at least that share of the values at
    or below it (no interpolation).
    Returns (B, 1, H, W) float32.
    """
    raise NotImplementedError
