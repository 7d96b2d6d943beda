"""Patch attention in place of a model's own self-attention, where it comes near enough to it."""

from dataclasses import dataclass, field, replace
from math import prod, sqrt
from statistics import median

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from ..backends.random import bits
from .attention import attend
from .checks import by, check_patch_size
from .field import Field

ROWS = 1 << 24  # logits that are held at a time
SAMPLES = 256  # queries that the error is measured at; at most every SPARSE-th
SPARSE = 16
TRIES = 4  # a run, for an attention that was not near enough


@dataclass(frozen=True)
class SwapSettings:
    """neighbours, patch_size, iterations, aggregate, tail: of patch_attention.

    temperature: factor on the model's own. reuse: start from the field of the step before, with
        half of the iterations. tolerance: largest relative error, or None to measure none.
    """

    neighbours: int = 15
    patch_size: int = 1
    iterations: int = 5
    temperature: float = 1.0
    aggregate: bool = False
    tail: str | None = "pooled"
    reuse: bool = True
    tolerance: float | None = 0.05
    seed: int = 0

    def __post_init__(self) -> None:
        check_patch_size(self.patch_size)
        if not self.temperature > 0:
            raise ValueError(f"temperature must be positive, not {self.temperature}")
        if self.aggregate and self.tail is not None:
            raise ValueError("aggregate allows no tail: set tail to none, or switch aggregate off")


@dataclass
class Tally:
    """What became of an attention: calls that were swapped or not, and the errors measured."""

    tokens: int
    swapped: int = 0
    kept: int = 0
    errors: list[float] = field(default_factory=list)
    next_try: int = 0  # the step before which it is left alone, after an error too large


class Refused(Exception):
    """Why an attention cannot be swapped, in words."""


class AttentionSwap:
    """The attentions of one model during one run.

    Between `start()` and `end()` it holds the fields of the step before; after `end()` no tensor.
    """

    def __init__(self, settings: SwapSettings):
        self.settings = settings
        self.start()

    def start(self) -> None:
        self.tallies: dict[str, Tally] = {}
        self._fields: dict[tuple, Field] = {}

    def end(self) -> None:
        self._fields.clear()

    def attend(
        self,
        name: str,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        others: tuple[Tensor, Tensor, Tensor] | None = None,
        *,
        step: int = 0,
        steps: int = 0,
        batch: tuple = (),
    ) -> tuple[Tensor, Tensor | None] | None:
        """The output for one call of self-attention, softmax(<q, k> / sqrt(C)) v in the model; None
        to leave the call to the model.

        name: of the attention. q, k, v: (B, C, *size) of one size, heads within B. others: q, k and
            v (B, M, C) of tokens without a place in the grid (the text), which attend and are
            attended to exactly. step, steps: of the sampler. batch: what tells apart the calls of
            one step.
        Returns the output (B, Cv, *size) and that of the others (B, M, Cv).
        Raises Refused where patch attention cannot be computed.
        """
        tally = self.tallies.setdefault(name, Tally(prod(q.shape[2:])))
        tally.kept += 1  # until it is known better
        self._check(q, k, v, others)
        if step < tally.next_try:
            return None
        output, found = self._found((name, q.shape, batch), q, k, v, others, step)
        keys, values = _rows(k), _rows(v)
        if others is not None:
            keys, values = torch.cat((others[1], keys), 1), torch.cat((others[2], values), 1)
        if self.settings.tolerance is not None:
            error = self._error(output, q, keys, values, step)
            tally.errors.append(error)
            if error > self.settings.tolerance:
                tally.next_try = step + max(1, steps // TRIES)
                return None
        if self.settings.reuse:
            self._fields[name, q.shape, batch] = _small(found)
        tally.kept, tally.swapped = tally.kept - 1, tally.swapped + 1
        return output, None if others is None else _dense(others[0], keys, values)

    def _check(self, q: Tensor, k: Tensor, v: Tensor, others) -> None:
        side = self.settings.patch_size
        if side > min(q.shape[2:]):
            raise Refused(f"a patch of {side} does not fit {by(q.shape[2:])} tokens")
        if not all(bool(torch.isfinite(t).all()) for t in (q, k, v, *(others or ()))):
            raise Refused("its activations are not all finite")

    def _found(self, key: tuple, q: Tensor, k: Tensor, v: Tensor, others, step: int):
        """The output (B, Cv, *size), and the field it came from."""
        settings, scale = self.settings, self.settings.temperature * sqrt(q.shape[1])
        before = self._fields.get(key)
        area = settings.patch_size ** (q.ndim - 2)  # so that logits are means over the patch
        output, log_sum, found = attend(
            q,
            k,
            v,
            patch_size=settings.patch_size,
            neighbours=settings.neighbours,
            iterations=settings.iterations if before is None else -(-settings.iterations // 2),
            similarity="dot",
            temperature=scale * area,
            aggregate=settings.aggregate,
            tail=settings.tail,
            field=None if before is None else _whole(before),
            seed=int(bits(settings.seed, step)),
        )
        if others is not None:
            output = _joined(output, log_sum, q, others[1], others[2], scale)
        return output.to(v.dtype), found

    def _error(self, output: Tensor, q: Tensor, keys: Tensor, values: Tensor, step: int) -> float:
        """The relative error at some queries, spread over the map, others in every step."""
        tokens = prod(q.shape[2:])
        count = max(1, min(SAMPLES, tokens // SPARSE))
        shift = torch.as_tensor(bits(self.settings.seed, step, torch.arange(count))) / 2.0**32
        queries = ((torch.arange(count) + shift) * (tokens / count)).long().clamp(max=tokens - 1)
        queries = queries.to(q.device)
        truth = _dense(_rows(q)[:, queries], keys, values).double()
        error = float((_rows(output)[:, queries].double() - truth).norm())
        return error / max(float(truth.norm()), 1e-30)


def _rows(map: Tensor) -> Tensor:
    """(B, C, *size) as (B, tokens, C)."""
    return map.flatten(2).transpose(1, 2)


def _dense(q: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """The model's own attention: of (B, M, C) to (B, N, C)."""
    q, keys, values = (tensor[:, None].contiguous() for tensor in (q, keys, values))
    return scaled_dot_product_attention(q, keys, values)[:, 0]


def _small(found: Field) -> Field:
    """What of a field the next step needs: the positions, in half of the bytes."""
    none = found.distances.new_zeros(()).expand(found.distances.shape)
    short = max(found.source_size) < 1 << 15
    return replace(
        found, positions=found.positions.short() if short else found.positions, distances=none
    )


def _whole(small: Field) -> Field:
    return replace(small, positions=small.positions.int())


def _joined(
    output: Tensor, log_sum: Tensor, q: Tensor, keys: Tensor, values: Tensor, temperature: float
) -> Tensor:
    """Attention to the map's keys, given with its softmax's log-sum (B, *size), and exactly to
    further keys (B, M, C), under one softmax.
    """
    count = max(1, ROWS // max(1, len(q) * keys.shape[1]))
    keys, values, joined = keys.float().transpose(1, 2), values.float(), []
    parts = (_rows(q).split(count, 1), _rows(output).split(count, 1))
    for some, found, known in zip(*parts, log_sum.flatten(1).split(count, 1), strict=True):
        logits = some.float() @ keys / temperature
        total = torch.logaddexp(known.float(), logits.logsumexp(2))
        share = (known - total).exp()[..., None]
        joined.append(found * share + (logits - total[..., None]).exp() @ values)
    return torch.cat(joined, 1).transpose(1, 2).reshape(output.shape)


def report(tallies: dict[str, Tally]) -> str:
    """What became of every attention, a line each."""
    if not tallies:
        return "PSAL ran in no block."
    width = max(len(name) for name in tallies)
    lines = [f"{'block':<{width}}  tokens  PSAL  dense  error: median, worst"]
    for name, tally in tallies.items():
        line = f"{name:<{width}}  {tally.tokens:>6}  {tally.swapped:>4}  {tally.kept:>5}"
        if tally.errors:
            line += f"  {median(tally.errors):>6.1%}, {max(tally.errors):.1%}"
        lines.append(line)
    swapped = sum(1 for tally in tallies.values() if tally.swapped)
    calls = sum(tally.swapped for tally in tallies.values())
    total = calls + sum(tally.kept for tally in tallies.values())
    lines.append(f"PSAL ran in {swapped} of {len(tallies)} blocks, {calls} of {total} calls.")
    return "\n".join(lines)
