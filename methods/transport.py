"""Optimal transport: a picture that uses the patches of a reference as often as it has them.

The semi-dual formulation of Houdard, Leclaire, Papadakis and Rabin 2021 ("Wasserstein generative
models for patch-based texture synthesis"), on coarse scales only, as in PSinOT (Cherel 2024,
III.3.3). Differs: for a given assignment the picture is not moved by gradient steps but set to the
minimiser, the overlap average of the assigned patches; and the dual is solved by Sinkhorn's
alternation (Cuturi 2013) instead of stochastic ascent. Tens of rounds then do what hundreds did.
"""

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor

from ..backends import run
from .alternation import Alternation
from .field import Field

LARGEST = 64 * 64  # pixels of a scale: the costs of all pairs of patches have to fit into memory
ROUNDS = 30  # of assignment and reconstruction on the coarsest scale
LATER_ROUNDS = 10  # on those that start from a solved one
LEVELS = 8  # of softness on the way to the discounts of a scale
BALANCING = 5  # rounds of balancing at each softness
HARD = 0.05  # of the mean cost: the softness to end with; harder balance tears pictures apart
PAIRS = 1 << 20  # of patches, at most so many about that the discounts are found with
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
    start = costs.new_zeros(len(source))
    discounts = balance(costs, start, softening(costs, LEVELS, HARD))
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
    discounts, field = source.new_zeros(len(source)), None
    for turn in range(rounds):
        if scale.poll is not None:
            scale.poll()
        patches = all_patches(target, scale.patch_size, scale.wrap) @ basis
        costs = pair_costs(patches, source)
        some = costs[:: max(1, costs.numel() // PAIRS)]
        softness = softening(some, LEVELS, HARD)
        discounts = balance(some, discounts, softness if turn == 0 else softness[-1:])
        target, field = _rebuilt(costs, discounts, scale)
    assert field is not None
    return target, field


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


def balance(costs: Tensor, discounts: Tensor, softness: Iterable[float]) -> Tensor:
    """Discounts under which the rows choose all columns about equally often.

    Sinkhorn's alternation in the log domain, some rounds for each softness (of the choice, in units
    of cost), from `discounts` on: from soft to hard the choice is spread in tens of rounds, where
    gradient ascent needs thousands. The value of the optimum is not found that way: with some
    pictures it stays 15 percent below.
    """
    for soft in softness:
        for _ in range(BALANCING):
            least = -soft * torch.logsumexp((discounts - costs) / soft, dim=1)
            discounts = -soft * torch.logsumexp((least[:, None] - costs) / soft, dim=0)
            discounts = discounts - discounts.mean()
    return discounts


def softening(costs: Tensor, levels: int, hard: float) -> list[float]:
    """So many softnesses, from the mean cost down to `hard` times it."""
    mean = float(costs.mean()) + 1e-12
    return [mean * hard ** (level / max(1, levels - 1)) for level in range(levels)]


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
