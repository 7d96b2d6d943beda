"""How much of a picture is copied out of a reference as it stands.

Low distances to a reference come from inventing well or from copying in one piece; these numbers
tell the two apart. Neither direction is better: a fill may well be a copy.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from ...backends.threads import kernels_only
from .patch_sets import PatchSets, Poll, patch_sets

SAME = 1 / 255  # root mean square over a patch up to which it is a copy: rounding, not change
SHIFTS = 16  # the most frequent ones, tried for copying in one piece


def copy_rate(
    result: Tensor,
    reference: Tensor,
    *,
    region: Tensor | None = None,
    patch_size: int = 11,
    seed: int = 0,
    backend: str = "auto",
    poll: Poll | None = None,
) -> Tensor:
    """The share of the result's whole patches that stand in the reference verbatim, (B,) float64.

    1 for a copy, moved or not; a seam between two copied pieces takes off the patches across it;
    0 for noise. Verbatim: a root mean square difference of at most 1/255, so that rounding to 8
    bits does not hide a copy.
    result: (B, C, H, W). reference: (B or 1, C, H2, W2). region: (B or 1, 1, H, W): the patches
        centred where it is not 0, against all of the reference. patch_size: odd; larger is
        stricter.
    The copies are searched for (PatchMatch), so a few may be missed: from below. poll: called now
    and then; may raise to interrupt.
    """
    sets = patch_sets(result, reference, patch_size, region, seed, backend, poll)
    return _shares(sets, _rate)


def copy_one_shift(
    result: Tensor,
    reference: Tensor,
    *,
    region: Tensor | None = None,
    patch_size: int = 11,
    seed: int = 0,
    backend: str = "auto",
    poll: Poll | None = None,
) -> Tensor:
    """The same share, of those patches alone that one and the same shift copies, (B,) float64.

    Of all shifts the one that copies most: the largest share that is a single rigid copy. Tried are
    the 16 most frequent ones among the verbatim patches.
    """
    sets = patch_sets(result, reference, patch_size, region, seed, backend, poll)
    return _shares(sets, _one_shift)


def _shares(sets: list[PatchSets], share: Callable[[PatchSets], float]) -> Tensor:
    with kernels_only():
        everywhere = [each.against_all() for each in sets]
        shares = [1.0 if each.nothing_new else share(each) for each in everywhere]
    return torch.tensor(shares, dtype=torch.float64)


def _limit(sets: PatchSets) -> float:
    return SAME**2 * sets.target.shape[1] * sets.patch_size**2


def _rate(sets: PatchSets) -> float:
    return float((sets.least(sets.search()) <= _limit(sets)).double().mean())


def _one_shift(sets: PatchSets) -> float:
    field = sets.search()
    copied = sets.targets[0, 0] & (field.distances[0, 0] <= _limit(sets))
    shifts, times = field.offsets()[0, 0][:, copied].unique(dim=1, return_counts=True)
    frequent = shifts[:, times.argsort(descending=True)[:SHIFTS]]
    most = max((_copied_by(sets, *shift) for shift in frequent.T.tolist()), default=0)
    return most / int(sets.targets.sum())


def _copied_by(sets: PatchSets, down: int, right: int) -> int:
    """How many of the targets this shift copies."""
    half = sets.patch_size // 2
    spans = []
    for shift, n, m in zip(
        (down, right), sets.target.shape[2:], sets.source.shape[2:], strict=True
    ):
        spans.append((max(0, -shift), min(n, m - shift)))
    (top, bottom), (left, right_end) = spans
    part = sets.target[..., top:bottom, left:right_end]
    same = sets.source[..., top + down : bottom + down, left + right : right_end + right]
    squares = (part - same).square().sum(dim=1, keepdim=True)
    sums = F.avg_pool2d(squares, sets.patch_size, stride=1) * sets.patch_size**2
    inner = sets.targets[..., top + half : bottom - half, left + half : right_end - half]
    return int((inner & (sums <= _limit(sets))).sum())
