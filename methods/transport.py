"""Optimal transport: a picture that uses the patches of a reference as often as it has them.

The semi-dual formulation of Houdard, Leclaire, Papadakis and Rabin 2021 ("Wasserstein generative
models for patch-based texture synthesis"), on coarse scales only, as in PSinOT (Cherel 2024,
III.3.3). Differs: for a given assignment the picture is not moved by gradient steps but set to the
minimiser, the overlap average of the assigned patches, and discounts are kept from round to round;
tens of rounds then do what hundreds of steps did.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from ..backends import random, run
from ..backends.threads import kernels_only
from .alternation import Alternation
from .checks import check_image, check_patch_size, check_scales, size_of
from .field import Field

LARGEST = 64 * 64  # pixels of a scale: the costs of all pairs of patches have to fit into memory
ROUNDS = 30  # of assignment and reconstruction on the coarsest scale
LATER_ROUNDS = 10  # on those that start from a solved one
STEPS = 10  # of the discounts in each round
RATE = 0.2  # of the mean distance to the nearest patch: how far a discount moves in its first step
NOISE_STEPS = 100  # of the discounts for the assignment of the first picture, noise
NOISE_RATE = 0.02  # of the standard deviation of costs
COMPONENTS = 128  # numbers per patch that costs are taken from, along the patches' principal axes
ROWS = 64  # of the cost matrix at once: they stay in the processor's cache


def fits(size: tuple[int, ...]) -> bool:
    """Whether a scale is small enough for transport between all patches."""
    return size[0] * size[1] <= LARGEST


def transport_start(colour: Tensor, scale: Alternation) -> tuple[Tensor, Field]:
    """What noise (or a guide) turns into when every patch is used equally often: picture and field.

    colour: (1, C, H, W), the first channels of the features; only these are compared.
    """
    patches = all_patches(colour, scale.patch_size, scale.wrap)
    source = all_patches(scale.source[:, : colour.shape[1]], scale.patch_size)
    costs = pair_costs(patches, source)
    discounts = ascend(
        costs,
        costs.new_zeros(len(source)),
        NOISE_STEPS,
        NOISE_RATE * float(costs.std()),
    )
    return _rebuilt(costs, discounts, scale)


def transport_rounds(target: Tensor, scale: Alternation, rounds: int) -> tuple[Tensor, Field]:
    """Bring the patches of `target` to the distribution of the source's patches.

    target: (1, C, H, W) features. Each round assigns to every patch the source patch of least cost
    minus discount, a patch losing discount while it is asked for too often, and rebuilds
    the target.
    Returns the target and the Field of the last assignment; its distances are those along the
    principal axes.
    """
    source = all_patches(scale.source, scale.patch_size)
    basis = principal_axes(source, COMPONENTS)
    source = source @ basis
    discounts = source.new_zeros(len(source))
    field = None
    for _ in range(rounds):
        if scale.poll is not None:
            scale.poll()
        patches = all_patches(target, scale.patch_size, scale.wrap) @ basis
        costs = pair_costs(patches, source)
        rate = RATE * float(costs.amin(dim=1).mean())
        discounts = ascend(costs, discounts, STEPS, rate)
        target, field = _rebuilt(costs, discounts, scale)
    assert field is not None
    return target, field


def transport_cost(
    image: Tensor,
    reference: Tensor,
    *,
    patch_size: int = 11,
    samples: int = 2048,
    steps: int = 500,
    seed: int = 0,
) -> float:
    """How far the patches of an image are from those of a reference as distributions.

    image, reference: (1, C, H, W), compared as they are (no features). samples: so many patches of
    each are drawn at random, at most all. steps: of ascent on the discounts.
    Returns the squared Wasserstein-2 distance between the two samples, in sums of squared
    differences over a patch, from below (the best value of the dual that was met). Two samples of
    one picture are not at distance 0: compare figures of equal settings only.
    """
    check_image(image, "image", batch=1)
    check_image(reference, "reference", batch=1)
    check_patch_size(patch_size)
    drawn = []
    for number, (name, picture) in enumerate((("image", image), ("reference", reference))):
        check_scales(name, size_of(picture), 1, patch_size)
        patches = all_patches(picture.float(), patch_size)
        keys = torch.as_tensor(random.bits(seed, torch.arange(len(patches)), number))
        order = keys.argsort()[:samples]
        drawn.append(patches[order.to(patches.device)])
    costs = pair_costs(*drawn)
    with kernels_only():
        return _dual_value(costs, steps)


def _dual_value(costs: Tensor, steps: int) -> float:
    """The largest value of the semi-dual met in `steps` of gradient ascent."""
    discounts = costs.new_zeros(costs.shape[1])
    rate = max(float(costs.amin(dim=axis).mean()) for axis in (0, 1))  # strange or missing patches
    best = 0.0
    for step in range(steps):
        chosen = cheapest(costs, discounts)
        least = costs.gather(1, chosen[:, None])[:, 0] - discounts[chosen]
        best = max(best, float(least.double().mean() + discounts.double().mean()))
        discounts = discounts + rate / (step + 1) ** 0.5 * _shortage(chosen, costs)
    return best


def all_patches(image: Tensor, patch_size: int, wrap: tuple[bool, bool] = (False, False)) -> Tensor:
    """Every whole patch of (1, C, H, W) as a row, (N, C p p), in row-major order of the centres."""
    half = patch_size // 2
    rows, columns = (half if wraps else 0 for wraps in wrap)
    if rows or columns:
        image = F.pad(image, (columns, columns, rows, rows), mode="circular")
    return F.unfold(image, patch_size)[0].T.contiguous()


def principal_axes(patches: Tensor, count: int) -> Tensor:
    """(d, at most count) orthonormal directions in which the rows of (N, d) differ most."""
    centred = patches - patches.mean(dim=0)
    axes = torch.linalg.eigh(centred.T @ centred).eigenvectors
    return axes[:, -count:].contiguous()


def pair_costs(patches: Tensor, others: Tensor) -> Tensor:
    """(N, M) squared distances between the rows of (N, d) and (M, d).

    By one matrix product; taking off a common mean first keeps its rounding small.
    """
    mean = others.mean(dim=0)
    patches, others = patches - mean, others - mean
    squares = patches.square().sum(dim=1)[:, None] + others.square().sum(dim=1)[None]
    return squares.addmm_(patches, others.T, alpha=-2).clamp_(min=0)


def cheapest(costs: Tensor, discounts: Tensor) -> Tensor:
    """The column of least cost minus discount for every row of (N, M)."""
    chosen = torch.empty(len(costs), dtype=torch.int64, device=costs.device)
    reduced = costs.new_empty(min(ROWS, len(costs)), costs.shape[1])
    for first in range(0, len(costs), ROWS):
        rows = costs[first : first + ROWS]
        part = torch.sub(rows, discounts, out=reduced[: len(rows)])
        if part.device.type == "cpu":  # numpy's is vectorised, torch's is not
            part = part.numpy()
        chosen[first : first + len(rows)] = torch.as_tensor(part.argmin(1))
    return chosen


def ascend(costs: Tensor, discounts: Tensor, steps: int, rate: float) -> Tensor:
    """The mean of the discounts over `steps` of gradient ascent on the semi-dual, its step falling.

    The discount of a column that more rows want than its share falls, first by `rate` where twice
    as many do, and rises where too few do.
    """
    total = torch.zeros_like(discounts)
    for step in range(steps):
        chosen = cheapest(costs, discounts)
        discounts = discounts + rate / (step + 1) ** 0.5 * _shortage(chosen, costs)
        total += discounts
    return total / steps


def _shortage(chosen: Tensor, costs: Tensor) -> Tensor:
    """1 minus how often each column was chosen, in units of its share."""
    rows, columns = costs.shape
    return 1 - torch.bincount(chosen, minlength=columns) * (columns / rows)


def _rebuilt(costs: Tensor, discounts: Tensor, scale: Alternation) -> tuple[Tensor, Field]:
    """The overlap average of the assigned patches, all features, and their field."""
    chosen = cheapest(costs, discounts)
    size, source_size = scale.queries.shape[2:], tuple(scale.source.shape[2:])
    half = scale.patch_size // 2
    columns = source_size[1] - 2 * half
    positions = torch.full((2, *size), -1, dtype=torch.int32, device=costs.device)
    distances = torch.full(size, torch.inf, device=costs.device)
    queries = scale.queries[0, 0]
    positions[0][queries] = (chosen // columns + half).int()
    positions[1][queries] = (chosen % columns + half).int()
    distances[queries] = costs.gather(1, chosen[:, None])[:, 0]
    field = Field(
        positions[None, None],
        distances[None, None],
        scale.patch_size,
        source_size,
        wrap=scale.wrap,
    )
    even = distances.where(~queries, torch.zeros((), device=costs.device))[None, None]
    target = run(
        "vote",
        scale.source,
        field.positions,
        even,
        patch_size=scale.patch_size,
        wrap=scale.wrap,
        backend=scale.backend,
    )
    return scale.pin(target), field
