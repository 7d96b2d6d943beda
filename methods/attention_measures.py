"""How sharp attention is, and what patch attention makes of it, measured at a sample of queries.

Attention here is that of transformers and UNets, softmax(<q, k> / temperature) over all keys. Patch
attention keeps a few keys of every query, which is right where few keys hold the weight (low
entropy) and wrong where many do: Cherel 2024, chapter IV.4.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import TypeVar

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from .attention import patch_attention
from .checks import by
from .field import Field

Result = TypeVar("Result")
AGAIN = 0.25  # seconds in which a short job is timed again
ROWS = 1 << 24  # numbers of the attention matrix that are held at a time


@dataclass(frozen=True)
class DenseSample:
    """Exact dense attention at some of the queries.

    queries: (S,) int64, their linear indices. output: (B, S, Cv). entropy: (B, S), nats.
    log_sum: (B, S), logarithm of the softmax's denominator. top: (B, S, k) int64, the keys of most
    weight, best first. mass: (B, S), their share of the weight. top_output: (B, S, Cv), the
    softmax over these keys alone: the best that any k keys per query give without a tail.
    """

    queries: Tensor
    output: Tensor
    entropy: Tensor
    log_sum: Tensor
    top: Tensor
    mass: Tensor
    top_output: Tensor


@dataclass(frozen=True)
class Measures:
    """What was measured of one call of attention (or the mean of several).

    tokens, keys: of one head. entropy: mean over the queries, nats. effective_keys: mean of
    exp(entropy), the number of keys that share the weight. top_mass: share of the weight that the
    exact `neighbours` best keys hold. found_mass: the same of the keys that the search found.
    error: relative error of patch attention's output, |output - dense| / |dense| over the sample;
    error_tail: with the tail; error_top: of the exact best keys.
    coherence: share of shifts that neighbouring queries have in common, of the field;
    coherence_top: of the exact best keys. reached: share of the keys that some query found, those
    that would get a gradient. dense_seconds, patch_seconds, tail_seconds: of one call, dense, of
    patch attention, and of patch attention with the tail. What belongs to the tail is NaN where
    it was not asked for.
    """

    tokens: float
    keys: float
    neighbours: float
    entropy: float
    effective_keys: float
    top_mass: float
    found_mass: float
    error: float
    error_tail: float
    error_top: float
    coherence: float
    coherence_top: float
    reached: float
    dense_seconds: float
    patch_seconds: float
    tail_seconds: float

    @property
    def speedup(self) -> float:
        """Times that patch attention is faster than dense attention."""
        return self.dense_seconds / self.patch_seconds

    @property
    def speedup_tail(self) -> float:
        """The same with the tail."""
        return self.dense_seconds / self.tail_seconds


def mean_of(several: Sequence[Measures]) -> Measures:
    """The mean of each measure; NaN counts for nothing."""
    columns = {each.name: [getattr(one, each.name) for one in several] for each in fields(Measures)}
    return Measures(**{name: _mean(values) for name, values in columns.items()})


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan


def measure(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    temperature: float,
    neighbours: int = 15,
    patch_size: int = 1,
    iterations: int = 5,
    aggregate: bool = False,
    tail: str | None = "pooled",
    samples: int = 256,
    quality: str = "fast",
    seed: int = 0,
    backend: str = "auto",
) -> Measures:
    """Measure one call of self-attention, and patch attention in its place.

    q, k, v: (B, C, *size) of one size, (H, W) or (T, H, W); heads are folded into B. Dense
    attention is softmax(<q, k> / temperature) v. samples: queries per head that dense attention is
    computed at, in pairs of neighbours. tail: None leaves error_tail unmeasured; so does
    aggregate, which allows none. The other arguments are those of `patch_attention`, whose
    logits are the means of the dense ones over the patch.
    Raises ValueError for tensors that do not fit each other.
    """
    _check(q, k, v)
    settings = {
        "similarity": "dot",
        "temperature": temperature * patch_size ** (q.dim() - 2),  # logits: means over the patch
        "neighbours": neighbours,
        "patch_size": patch_size,
        "iterations": iterations,
        "aggregate": aggregate,
        "quality": quality,
        "seed": seed,
        "backend": backend,
    }
    pairs = neighbouring_queries(tuple(q.shape[2:]), samples, seed).to(q.device)
    dense = dense_attention_at(
        q, k, v, pairs.flatten(), temperature=temperature, neighbours=neighbours
    )
    tail = None if aggregate else tail
    corners = [_corner(each, 2 * patch_size) for each in (q, k, v)]
    patch_attention(*corners, tail=tail, **settings)  # kernels are compiled before they are timed
    seconds, (output, field) = timed(lambda: patch_attention(q, k, v, **settings), q)
    error_tail = tail_seconds = math.nan
    if tail is not None:
        tail_seconds, (with_tail, _) = timed(
            lambda: patch_attention(q, k, v, tail=tail, **settings), q
        )
        error_tail = relative_error(at(with_tail, dense.queries), dense.output)
    rows, keys, values = (
        each.flatten(2).transpose(1, 2)[:, None].contiguous() for each in (q, k, v)
    )
    dense_seconds, _ = timed(
        lambda: scaled_dot_product_attention(rows, keys, values, scale=1 / temperature), q
    )
    return Measures(
        tokens=q[0, 0].numel(),
        keys=k[0, 0].numel(),
        neighbours=dense.top.shape[2],
        entropy=float(dense.entropy.mean()),
        effective_keys=float(dense.entropy.exp().mean()),
        top_mass=float(dense.mass.mean()),
        found_mass=float(found_mass(q, k, field, dense, temperature).mean()),
        error=relative_error(at(output, dense.queries), dense.output),
        error_tail=error_tail,
        error_top=relative_error(dense.top_output, dense.output),
        coherence=coherence(field),
        coherence_top=coherence_of_pairs(dense.top, pairs, tuple(q.shape[2:])),
        reached=reached_keys(field),
        dense_seconds=dense_seconds,
        patch_seconds=seconds,
        tail_seconds=tail_seconds,
    )


def dense_attention_at(
    q: Tensor, k: Tensor, v: Tensor, queries: Tensor, *, temperature: float, neighbours: int
) -> DenseSample:
    """Dense attention of the given queries over all keys, exactly, a few rows at a time.

    q, k, v: (B, C, *size). queries: (S,) int64 linear indices into q's size. neighbours: of how
    many best keys the weight is told; more than there are means all.
    """
    wide = torch.promote_types(q.dtype, torch.float32)
    count = min(neighbours, k[0, 0].numel())
    wanted = at(q, queries)
    parts = []
    for row, keys, values in zip(wanted, k.flatten(2), v.flatten(2), strict=True):
        keys, values = keys.to(wide), values.to(wide).T
        for some in row.to(wide).split(max(1, ROWS // keys.shape[1])):
            logits = some @ keys / temperature
            weight = logits.softmax(1)
            best, top = weight.topk(count, 1)
            inner = (best / best.sum(1, keepdim=True))[..., None] * values[top]
            entropy = torch.special.entr(weight).sum(1)
            log_sum, mass = logits.logsumexp(1), best.sum(1)
            parts.append((weight @ values, entropy, log_sum, top, mass, inner.sum(1)))
    joined = [torch.cat(part).unflatten(0, wanted.shape[:2]) for part in zip(*parts, strict=True)]
    return DenseSample(queries, *joined)


def neighbouring_queries(size: tuple[int, ...], samples: int, seed: int) -> Tensor:
    """(S / 2, 2) int64: linear indices of queries and of one spatial neighbour of each.

    Drawn without repetition of the first while there are enough; a grid of one token gives that
    token twice.
    """
    generator = torch.Generator().manual_seed(seed)
    count, total = max(1, samples // 2), math.prod(size)
    first = torch.randperm(total, generator=generator)[:count]
    axes = [axis for axis, side in enumerate(size) if side > 1]
    if not axes:
        return first[:, None].repeat(1, 2)
    chosen = torch.randint(len(axes), first.shape, generator=generator)
    axis = torch.tensor(axes)[chosen]
    stride = torch.tensor([math.prod(size[i + 1 :]) for i in range(len(size))])[axis]
    side = torch.tensor(size)[axis]
    step = torch.where(first // stride % side < side - 1, stride, -stride)
    return torch.stack((first, first + step), 1)


def at(values: Tensor, queries: Tensor) -> Tensor:
    """(B, S, C): the values of (B, C, *size) at linear indices."""
    return values.flatten(2)[:, :, queries].transpose(1, 2)


def relative_error(output: Tensor, truth: Tensor) -> float:
    """|output - truth| / |truth| over all numbers; 0 where both are nothing but zeros."""
    truth = truth.double()
    length = float(truth.norm())
    error = float((output.double() - truth).norm())
    return error / length if length else (math.inf if error else 0.0)


def found_mass(
    q: Tensor, k: Tensor, field: Field, dense: DenseSample, temperature: float
) -> Tensor:
    """(B, S): the share of dense attention's weight that lies on the keys of the field."""
    keys = linear(field)[:, :, dense.queries].transpose(1, 2)
    wide = dense.output.dtype
    flat, rows = k.flatten(2).transpose(1, 2).to(wide), at(q, dense.queries).to(wide)
    batch = torch.arange(len(flat), device=flat.device)[:, None, None]
    logits = (rows[:, :, None] * flat[batch, keys.clamp(min=0)]).sum(3) / temperature
    weight = (logits - dense.log_sum[..., None]).exp()
    return torch.where(keys >= 0, weight, 0.0).sum(2)


def linear(field: Field) -> Tensor:
    """(B, k, N) int64: linear indices of a field's matches, -1 where there is none."""
    index = field.positions[:, :, 0].long()
    for axis, side in enumerate(field.source_size[1:], start=1):
        index = index * side + field.positions[:, :, axis]
    return torch.where(field.found, index, -1).flatten(2)


def coherence(field: Field) -> float:
    """The share of shifts (match minus query) that two neighbouring queries have in common.

    Mean over all pairs of neighbours along every axis; of k neighbours, the size of the common
    part of the two lists of shifts, divided by k. 1 = the whole field is one shift; for matches at
    random about k / keys. The hypothesis behind PatchMatch is that it is far from that.
    NaN for a field of one query.
    """
    offsets, found = field.offsets(), field.found
    common = pairs = 0
    for axis, side in enumerate(field.size):
        if side < 2:
            continue
        here, there = (offsets.narrow(axis + 3, start, side - 1) for start in (0, 1))
        known, beside = (found.narrow(axis + 2, start, side - 1) for start in (0, 1))
        for rank in range(field.neighbours):
            same = (here == there[:, rank : rank + 1]).all(2)
            common += int((same & known & beside[:, rank : rank + 1]).sum())
        pairs += known.numel()
    return common / pairs if pairs else math.nan


def coherence_of_pairs(top: Tensor, pairs: Tensor, size: tuple[int, ...]) -> float:
    """The same of exact keys: top (B, 2 P, k) linear keys of the P pairs of queries, in order.

    NaN where no query has a neighbour.
    """
    if bool((pairs[:, 0] == pairs[:, 1]).all()):
        return math.nan
    keys = coordinates(top.unflatten(1, (-1, 2)), size)
    shifts = keys - coordinates(pairs, size)[:, :, None]
    same = (shifts[:, :, 0, :, None] == shifts[:, :, 1, None]).all(-1)
    return float(same.any(-1).float().mean())


def coordinates(index: Tensor, size: tuple[int, ...]) -> Tensor:
    """(..., D): linear indices as coordinates."""
    places = []
    for side in reversed(size):
        places.append(index % side)
        index = index // side
    return torch.stack(places[::-1], -1)


def reached_keys(field: Field) -> float:
    """The share of keys that are in the list of at least one query; no other gets a gradient."""
    total = math.prod(field.source_size)
    keys = linear(field).flatten(1)
    reached = torch.zeros(len(keys), total + 1, dtype=torch.bool, device=keys.device)
    reached.scatter_(1, keys + 1, True)  # -1 goes to a column of its own
    return float(reached[:, 1:].float().mean())


def timed(job: Callable[[], Result], on: Tensor) -> tuple[float, Result]:
    """Seconds that a job took on the device of a tensor, the least of up to three runs that all end
    within a quarter of a second, and what it gave."""
    seconds: list[float] = []
    while True:
        _wait(on)
        start = time.perf_counter()
        result = job()
        _wait(on)
        seconds.append(time.perf_counter() - start)
        if len(seconds) == 3 or sum(seconds) + seconds[-1] > AGAIN:
            return min(seconds), result


def _wait(on: Tensor) -> None:
    if on.is_cuda:
        torch.cuda.synchronize(on.device)


def _corner(values: Tensor, side: int) -> Tensor:
    """The first tokens of every axis: enough to have kernels compiled before they are timed."""
    for axis in range(2, values.dim()):
        values = values.narrow(axis, 0, min(max(8, side), values.shape[axis]))
    return values


def _check(q: Tensor, k: Tensor, v: Tensor) -> None:
    grids = {(each.shape[0], *each.shape[2:]) for each in (q, k, v)}
    if q.dim() not in (4, 5) or len(grids) > 1 or q.shape[1] != k.shape[1]:
        raise ValueError(
            f"q {by(q.shape)}, k {by(k.shape)} and v {by(v.shape)} are not those of one "
            "self-attention; expected (B, C, H, W) or (B, C, T, H, W) of one size"
        )
