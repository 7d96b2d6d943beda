"""How far the patches of a picture are from those of a reference, as distributions."""

from dataclasses import replace

import torch
from torch import Tensor

from ...backends.threads import kernels_only
from ..transport import pair_costs
from .exact_transport import transport
from .patch_sets import PatchSets, Poll, drawn, patch_sets

DENSE = 2048  # patches of each set, at most, between which transport is solved exactly
UNEVEN = 1 << 17  # pairs, where the sets are not of one size: sharing out takes longer
MANY = 1 << 17  # patches of a set, up to which all of them are taken unless a sample is asked for
FIRST = 1024  # patches of each set whose exact transport the ascent starts from
ROUNDS = 200  # of ascent
STEPS = (0.03, 5e-5)  # the first and the last step, in units of the mean distance of two patches
CHUNK = 1 << 22  # pairs whose costs are held at a time
FALL = 4.0  # a discount falls by at most so many steps at a time


def patch_ot(
    result: Tensor,
    reference: Tensor,
    *,
    region: Tensor | None = None,
    patch_size: int = 11,
    samples: int = 0,
    seed: int = 0,
    backend: str = "auto",
    poll: Poll | None = None,
) -> Tensor:
    """Optimal transport cost between the patches of two pictures, (B,) float64.

    The squared Wasserstein-2 distance of the two distributions of patches, all of a picture's
    patches weighing the same; the distance of two patches is the sum of squared differences over
    their pixels and channels, so a cost of v is a root mean square of
    sqrt(v / (patch_size^2 channels)) per value. Cherel 2024, "Internal methods for the generation
    and inpainting of images and videos", III.4.2, after Houdard et al. 2021, "Wasserstein
    generative models for patch-based texture synthesis".

    result: (B, C, H, W). reference: (B or 1, C, H2, W2). region: (B or 1, 1, H, W): both sets are
        the whole patches centred where it is not 0, and the sizes must agree; elsewhere the result
        counts as equal to the reference.
    patch_size: odd, in pixels. samples: so many patches of each picture, at most 2048, drawn at
        random by the seed; 0 takes them all, or 2048 where there are more than 2^17 (362x362). A
        sample of a set is itself some way from the set: pictures that are all but equal do not cost
        almost 0, and samples may well cost more than two different pictures do in full.
    Up to 2048 patches (sets of two sizes: up to 2^17 pairs) the value is exact. Beyond, it is the
    semi-dual's after 200 steps of gradient ascent on the discounts, each patch's nearest being
    searched for with PatchMatch: from below, some 1 to 4 percent under the optimum.
    poll: called now and then; may raise to interrupt.
    Raises ValueError where no whole patch is in the region, and for settings out of range.
    """
    if not 0 <= samples <= DENSE:
        raise ValueError(f"samples {samples} is not a number from 1 to {DENSE}, nor 0 for all")
    sets = patch_sets(result, reference, patch_size, region, seed, backend, poll)
    with kernels_only():
        costs = [_cost(each, samples) for each in sets]
    return torch.tensor(costs, dtype=torch.float64)


def patch_ot_note(
    result: Tensor,
    reference: Tensor,
    *,
    region: Tensor | None = None,
    patch_size: int = 11,
    samples: int = 0,
    seed: int = 0,
    backend: str = "auto",
    poll: Poll | None = None,
) -> str:
    """How many patches the number stands for, and how it was had."""
    counts = patch_sets(result[:1], reference[:1], patch_size, region)[0].counts
    number = _taken(counts, samples)
    taken = (number, number) if number else counts
    pairs = zip(taken, counts, strict=True)
    words = [f"all {all_of}" if some == all_of else f"{some} of {all_of}" for some, all_of in pairs]
    how = "exact" if _small(taken) else "semi-dual, from below"
    return f"{' and '.join(dict.fromkeys(words))} patches of {patch_size}; {how}"


def _taken(counts: tuple[int, int], samples: int) -> int:
    """How many patches of each set are drawn; 0 for all of them."""
    if not samples and max(counts) > MANY:
        samples = DENSE
    return min(samples, *counts)


def _sampled(sets: PatchSets, count: int) -> PatchSets:
    if not count:
        return sets
    targets, sources = (
        drawn(centres, count, sets.seed, number)
        for number, centres in enumerate((sets.targets, sets.sources))
    )
    return replace(sets, targets=targets, sources=sources)


def _small(counts: tuple[int, int]) -> bool:
    """Whether so many patches are few enough to be solved exactly."""
    rows, columns = counts
    return max(counts) <= DENSE and (rows == columns or rows * columns <= UNEVEN)


def _cost(sets: PatchSets, samples: int) -> float:
    if sets.nothing_new and sets.swapped().nothing_new:
        return 0.0  # which samples would not give
    sets = _sampled(sets, _taken(sets.counts, samples))
    return _exact(sets) if _small(sets.counts) else _ascent(sets)


def _exact(sets: PatchSets) -> float:
    """Between all pairs at once."""
    return max(0.0, transport(_all_costs(sets).numpy(), sets.poll)[0])


def _all_costs(sets: PatchSets) -> Tensor:
    """(N, M) float64, on the CPU."""
    return pair_costs(sets.target_patches().cpu().double(), sets.source_patches().cpu().double())


def _ascent(sets: PatchSets) -> float:
    """Gradient ascent on the discounts of the sources, as a map.

    A source that more than its share of targets choose becomes dearer, one that is not chosen
    cheaper; the steps shrink geometrically. Every step's search starts from the last one's field,
    so a single pass keeps up with the discounts.
    """
    counts = sets.counts
    share = counts[1] / counts[0]
    field = sets.search()
    undiscounted = sets.mean_least(field)
    spread = _mean_distance(sets)
    discounts = _first_discounts(sets)
    field = sets.search(discounts=discounts, field=field, turn=1)
    for turn in range(ROUNDS):
        field = sets.search(discounts=discounts, field=field, passes=1, turn=turn + 2)
        times = torch.bincount(sets.chosen(field), minlength=discounts.numel())
        change = (1 - times * share).clamp(min=-FALL).view(discounts.shape)
        step = STEPS[0] * (STEPS[1] / STEPS[0]) ** (turn / ROUNDS) * spread
        discounts = (discounts + step * change).where(sets.sources, 0.0)
    field = sets.search(discounts=discounts, field=field, passes=2, turn=ROUNDS + 2)
    mean = float(discounts[sets.sources].cpu().double().mean())
    return max(undiscounted, sets.mean_least(field, discounts) + mean)


def _first_discounts(sets: PatchSets) -> Tensor:
    """Those of the exact transport between samples, carried on to every source, as a map.

    The sample's prices bound what any other source's discount can be: cost minus price. So mass
    that has to go far finds its way at once, and the ascent is left with what is near.
    """
    some = _sampled(sets, min(FIRST, *sets.counts))
    costs = _all_costs(some)
    solved = torch.from_numpy(transport(costs.numpy(), sets.poll)[1])
    rows = some.target_patches()
    prices = (costs - solved).amin(dim=1).float().to(rows.device)
    every = sets.source_patches().split(max(1, CHUNK // len(rows)))
    found = torch.cat([(pair_costs(part, rows) - prices).amin(dim=1) for part in every])
    discounts = torch.zeros(sets.sources.shape, device=found.device)
    discounts[sets.sources] = found - found.mean()
    return discounts


def _mean_distance(sets: PatchSets) -> float:
    """About what two patches drawn from the two pictures are apart, by their pixels."""
    middle = sets.source.mean(dim=(2, 3), keepdim=True)
    squares = sum(float((p - middle).square().mean()) for p in (sets.target, sets.source))
    return squares * sets.target.shape[1] * sets.patch_size**2
