"""Reconstruction of a map from a nearest-patch field, in plain torch."""

import torch
from torch import Tensor

from .. import patches

NUMBERS = 1 << 21  # handled at once


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

    values: (B, C, H2, W2) floating, any map of the source's size. positions (B, k, 2, H, W) int32
        and distances (B, k, H, W): only the best neighbour (k = 0) votes; -1, or a distance that is
        not finite, does not vote. Clips likewise, with a T axis before H.
    Pixel p gets sum_q w(q, p) values(positions(q) + p - q) / sum_q w(q, p) over the centres q whose
    patch covers p, w(q, p) = exp(-(d(q) - min d) / (2 scale(p)^2)); min d over the q covering p
    cancels in the ratio and keeps it from being 0 / 0.
    scale: positive number, or (B, 1, H, W).
    best: instead take the value that the patch of least distance gives (first in row-major order of
        q on ties).
    mask: (B, 1, H, W) bool, True where a value is wanted. Elsewhere, and where no patch covers the
        pixel, the result is 0.
    Returns (B, C, H, W), the dtype of values.
    """
    axes = values.ndim - 2
    wrap = patches.flags(wrap, axes)
    source_wrap = patches.flags(source_wrap, axes, "source_wrap")
    patches.check_vote(values, positions, distances, patch_size, scale, mask)
    size = positions.shape[3:]
    result = values.new_zeros(*values.shape[:2], *size)
    scales = torch.as_tensor(scale, dtype=_precise(values), device=values.device)
    scales = scales.expand(len(values), 1, *size)
    for b in range(len(values)):
        voters = _Voters(values[b], positions[b, 0], distances[b, 0], patch_size, wrap, source_wrap)
        wanted = result.new_ones(size, dtype=torch.bool) if mask is None else mask[b, 0]
        pixels = wanted.flatten().nonzero().squeeze(1)
        for some in pixels.split(max(1, NUMBERS // values.shape[1])):
            if best:
                votes = _best(voters, some)
            else:
                votes = _average(voters, some, scales[b].flatten()[some])
            result[b].flatten(1)[:, some] = votes.to(values.dtype)
    return result


def _precise(values: Tensor) -> torch.dtype:
    return torch.float64 if values.dtype == torch.float64 else torch.float32


class _Voters:
    """The field of one picture, padded: the centres over a pixel lie at fixed steps from it."""

    def __init__(
        self,
        values: Tensor,
        positions: Tensor,
        distances: Tensor,
        patch_size: int,
        wrap: patches.Flags,
        source_wrap: patches.Flags,
    ):
        self.values = values.detach().to(_precise(values)).flatten(1)
        self.size, self.source_size = positions.shape[1:], values.shape[1:]
        self.patch_size, self.source_wrap = patch_size, source_wrap
        silent = (positions[0] < 0) | ~distances.isfinite()
        distances = distances.detach().to(self.values.dtype).masked_fill(silent, torch.inf)
        order = torch.arange(self.size.numel(), device=positions.device).reshape(self.size)
        half = patch_size // 2
        self.distances = patches.pad(distances, half, wrap, fill=torch.inf).flatten()
        self.positions = patches.pad(positions, half, wrap, fill=-1).flatten(1)
        self.order = patches.pad(order, half, wrap, fill=-1).flatten()
        self.steps = patches.steps(patch_size, self.size)

    def corners(self, pixels: Tensor) -> Tensor:
        return patches.corners(pixels, self.size, self.patch_size)

    def voted(self, centres: Tensor, offset: tuple[int, ...]) -> Tensor:
        """The linear source index that each of the padded `centres` gives to the pixel that it lies
        `offset` away from."""
        places = []
        for axis, n in enumerate(self.source_size):
            place = self.positions[axis][centres].long() - offset[axis]
            places.append(place % n if self.source_wrap[axis] else place.clamp(0, n - 1))
        return patches.ravel(places, self.source_size)


def _average(voters: _Voters, pixels: Tensor, scale: Tensor) -> Tensor:
    """(C, n) weighted means of what the patches over each pixel say."""
    corners = voters.corners(pixels)
    least = voters.distances.new_full(pixels.shape, torch.inf)
    for _, step in voters.steps:
        least = torch.minimum(least, voters.distances[corners + step])
    least = least.masked_fill(least.isinf(), 0)
    total, votes = torch.zeros_like(least), voters.values.new_zeros(len(voters.values), len(pixels))
    for offset, step in voters.steps:
        centres = corners + step
        weight = torch.exp((least - voters.distances[centres]) / (2 * scale * scale))
        total += weight
        votes += voters.values[:, voters.voted(centres, offset)] * weight
    return (votes / total).masked_fill(total == 0, 0)


def _best(voters: _Voters, pixels: Tensor) -> Tensor:
    """(C, n) values that the patch of least distance over each pixel says."""
    corners = voters.corners(pixels)
    least = voters.distances.new_full(pixels.shape, torch.inf)
    first, chosen = torch.zeros_like(pixels), torch.full_like(pixels, -1)
    for offset, step in voters.steps:
        centres = corners + step
        distance, order = voters.distances[centres], voters.order[centres]
        tie = (distance == least) & distance.isfinite() & (order < first)
        better = (distance < least) | tie
        least, first = distance.where(better, least), order.where(better, first)
        chosen = voters.voted(centres, offset).where(better, chosen)
    return voters.values[:, chosen.clamp(min=0)].masked_fill(chosen < 0, 0)
