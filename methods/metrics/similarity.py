"""Bidirectional similarity: does a picture hold only what is in another, and all of it?

Simakov, Caspi, Shechtman and Irani 2008, "Summarizing visual data using bidirectional similarity".
"""

import torch
from torch import Tensor

from ...backends.threads import kernels_only
from .patch_sets import EXACT, PatchSets, Poll, patch_sets


def coherence(
    result: Tensor,
    reference: Tensor,
    *,
    region: Tensor | None = None,
    patch_size: int = 11,
    seed: int = 0,
    backend: str = "auto",
    poll: Poll | None = None,
) -> Tensor:
    """How far the result's patches are from anything in the reference, (B,) float64.

    The mean, over the whole patches of the result, of the sum of squared differences to the most
    similar patch of the reference. 0: every patch is copied from there; what is missing does not
    count.
    result: (B, C, H, W). reference: (B or 1, C, H2, W2). region: (B or 1, 1, H, W): the patches of
        the result centred where it is not 0, against all of the reference; elsewhere the result
        counts as equal to the reference. patch_size: odd.
    The nearest patches are searched for; what the search falls short by on average is measured on
    1024 patches by exhaustive comparison, and taken off. poll: called now and then; may raise to
    interrupt.
    """
    sets = patch_sets(result, reference, patch_size, region, seed, backend, poll)
    return _means([each.against_all() for each in sets])


def completeness(
    result: Tensor,
    reference: Tensor,
    *,
    region: Tensor | None = None,
    patch_size: int = 11,
    seed: int = 0,
    backend: str = "auto",
    poll: Poll | None = None,
) -> Tensor:
    """How far the reference's patches are from anything in the result, (B,) float64.

    The same as coherence with the two exchanged. 0: nothing of the reference is missing. region:
    the patches of the reference centred there, against all of the result.
    """
    sets = patch_sets(result, reference, patch_size, region, seed, backend, poll)
    return _means([each.swapped().against_all() for each in sets])


def similarity_note(
    result: Tensor,
    reference: Tensor,
    *,
    region: Tensor | None = None,
    patch_size: int = 11,
    seed: int = 0,
    backend: str = "auto",
    poll: Poll | None = None,
) -> str:
    """How the nearest patches were found."""
    count = max(patch_sets(result[:1], reference[:1], patch_size, region)[0].counts)
    how = "exact" if count <= EXACT else f"searched, the mean corrected on up to {EXACT}"
    return f"patches of {patch_size}; {how}"


def _means(sets: list[PatchSets]) -> Tensor:
    with kernels_only():
        means = [0.0 if each.nothing_new else _mean(each) for each in sets]
    return torch.tensor(means, dtype=torch.float64)


def _mean(sets: PatchSets) -> float:
    return max(0.0, sets.mean_least(sets.search()))
