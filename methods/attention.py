"""Patch-based stochastic attention (PSAL): attention to the few keys that a patch search finds."""

import logging
from contextlib import nullcontext
from math import prod

import torch
from torch import Tensor

from ..backends import patches
from ..backends.gradients import gather_attention, patch_similarity
from ..backends.threads import kernels_only
from .attention_tail import Cells, cells_of
from .checks import by, check_finite, check_patch_size, largest_odd
from .field import Field
from .patchmatch import patchmatch
from .steps import Callback

log = logging.getLogger(__name__)

_said: set[tuple] = set()  # what has been logged, and need not be again


def patch_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    patch_size: int = 3,
    neighbours: int = 3,
    iterations: int = 5,
    similarity: str = "l2",
    temperature: float = 1.0,
    aggregate: bool = False,
    tail: str | None = None,
    exact: bool = False,
    mask: Tensor | None = None,
    field: Field | None = None,
    quality: str = "fast",
    seed: int = 0,
    backend: str = "auto",
    callback: Callback | None = None,
) -> tuple[Tensor, Field]:
    """Attention of each query to the keys whose patches are most similar to its own.

    q: (B, C, H, W), k: (B, C, H2, W2), v: (B, Cv, H2, W2), floating, finite; or all three with a T
        axis before H. Heads are folded into B by the caller.
    patch_size: odd, 1 to 31; 1 compares single tokens. Query patches at the border are completed by
        reflection, key patches lie whole in k.
    neighbours: keys found for each query, 1 to 31, with `exact` any number. More than there are
        keys is reduced, and said once in the log.
    iterations, quality, seed, callback: of the search; see patchmatch. exact: compare with all keys
        instead of searching.
    similarity: "l2" (minus the sum of squared differences over the patch and channels), "dot" (the
        inner product) or "cosine". Logits are the similarity over `temperature`, so that
        similarity="dot", patch_size=1, temperature=sqrt(C) is the attention of transformers.
    aggregate: the list of a query also holds the keys found for all queries in the patch around it,
        each moved by what leads from that query back to it, with the logits it has there.
    tail: None, the keys that are not found count for nothing; or "pooled", they count by an
        estimate from cells of like keys, so that the output comes close to that of dense attention
        where attention is spread over many keys. Not together with aggregate.
    mask: (B or 1, 1, *size), > 0.5 where to fill: these queries attend to keys whose patches are
        wholly known, everywhere else the result is v itself. q, k and v have one size then.
    field: one that an earlier call returned (the layer or the denoising step before, or a coarser
        one upscaled), from which the search starts.
    Returns the output (B, Cv, H, W), sums of v at the centres of the keys weighted by the softmax
    of the logits, in the dtype of v, and the Field (distances are minus the similarities).
    Gradients reach q, k and v, not through the search, and only keys that some query found. With
    one neighbour and no aggregation the weight is always 1, and those of q and k are zero.
    Half types are computed in float32, float64 in float64.
    Raises ValueError for arguments that do not fit each other, with the shapes and the remedy.
    Cherel et al. 2022, arXiv:2202.03163. Differs: border queries are ordinary queries.
    """
    output, _, found = attend(
        q,
        k,
        v,
        patch_size=patch_size,
        neighbours=neighbours,
        iterations=iterations,
        similarity=similarity,
        temperature=temperature,
        aggregate=aggregate,
        tail=tail,
        exact=exact,
        mask=mask,
        field=field,
        quality=quality,
        seed=seed,
        backend=backend,
        callback=callback,
    )
    output = output.to(v.dtype)
    if mask is not None:
        output = torch.where(mask > 0.5, output, v)
    return output, found


def attend(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    patch_size: int,
    neighbours: int,
    iterations: int,
    similarity: str,
    temperature: float,
    aggregate: bool,
    tail: str | None,
    exact: bool = False,
    mask: Tensor | None = None,
    field: Field | None = None,
    quality: str = "fast",
    seed: int = 0,
    backend: str = "auto",
    callback: Callback | None = None,
) -> tuple[Tensor, Tensor, Field]:
    """patch_attention of the queries alone, and what joins it with attention to further keys.

    Returns the output, float32 or float64 and not meant where a mask has no query; the logarithm
    (B, *size) of the sum of the exponentials of all its logits; and the Field.
    """
    _check(q, k, v, mask, patch_size, neighbours, temperature, tail, aggregate)
    hole = None if mask is None else mask > 0.5
    neighbours = _available(k, hole, patch_size, neighbours)
    # exact search is torch's own matrix product, all else alternates kernels and small operations
    alone = q.device.type == "cpu" and not exact
    with kernels_only() if alone else nullcontext():
        # single tokens do not overlap: what one finds says little to the next, cells tell more
        start = field is None and patch_size == 1 and not exact
        cells = _cells(q, k, patch_size, similarity, temperature, hole, tail, backend, start)
        if cells and start:
            field = _field(cells.nearest(neighbours, quality, backend), q, k)
        found = patchmatch(
            q,
            k,
            patch_size=patch_size,
            neighbours=neighbours,
            iterations=iterations,
            similarity=similarity,
            exact=exact,
            target_mask=hole,
            source_mask=None if hole is None else ~hole,
            field=field,
            quality=quality,
            seed=seed,
            backend=backend,
            callback=callback,
        )
        output, log_sum = _found_part(q, k, v, found, similarity, temperature, aggregate, backend)
        if cells and tail:
            output, log_sum = _joined(output, log_sum, *cells.tail(v, found, backend))
    return output, log_sum, found


def _cells(
    q: Tensor,
    k: Tensor,
    patch_size: int,
    similarity: str,
    temperature: float,
    hole: Tensor | None,
    tail: str | None,
    backend: str,
    start: bool,
) -> Cells | None:
    """The cells of the keys, if the search starts from them or the tail is made of them."""
    if not start and tail is None:
        return None
    with torch.set_grad_enabled(torch.is_grad_enabled() and tail is not None):
        return cells_of(
            q,
            k,
            patch_size=patch_size,
            similarity=similarity,
            temperature=temperature,
            hole=hole,
            backend=backend,
        )


def _field(positions: Tensor, q: Tensor, k: Tensor) -> Field:
    """A field of single tokens to start from; its distances are of no account."""
    distances = torch.zeros_like(positions[:, :, 0], dtype=torch.float32)
    none = (False,) * (q.ndim - 2)
    return Field(positions, distances, 1, tuple(k.shape[2:]), wrap=none, source_wrap=none)


def _found_part(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    field: Field,
    similarity: str,
    temperature: float,
    aggregate: bool,
    backend: str,
) -> tuple[Tensor, Tensor]:
    """Attention to the keys of the field alone: the output (B, Cv, *size), and the logarithm
    (B, *size) of the sum of the exponentials of their logits, by which other parts join it."""
    precise = torch.float64 in (q.dtype, k.dtype)
    if precise or torch.is_grad_enabled() and (q.requires_grad or k.requires_grad):
        similarities = patch_similarity(
            q, k, field.positions, field.patch_size, similarity, backend
        )
    else:
        similarities = -field.distances
    window = field.patch_size if aggregate else 1
    return gather_attention(similarities / temperature, v, field.positions, window, backend)


def _joined(
    output: Tensor, log_sum: Tensor, other: Tensor, other_log_sum: Tensor
) -> tuple[Tensor, Tensor]:
    """One softmax over the keys of two parts, and its log-sum-exp, from those of the parts."""
    weight = torch.sigmoid(log_sum - other_log_sum)[:, None]
    return torch.lerp(other, output, weight), torch.logaddexp(log_sum, other_log_sum)


def _available(k: Tensor, hole: Tensor | None, patch_size: int, neighbours: int) -> int:
    """`neighbours`, or as many keys as there are."""
    if hole is None:
        keys = prod(n - patch_size + 1 for n in k.shape[2:])
    else:
        none = (False,) * (k.ndim - 2)
        if (hole.flatten(1).all(1)).any():
            raise ValueError("the mask leaves nothing known to attend to; make it smaller")
        usable = patches.source_centres(hole, ~hole, patch_size, none)
        keys = int(usable.flatten(1).sum(1).max())
    if neighbours > keys:
        if (neighbours, keys) not in _said:
            _said.add((neighbours, keys))
            log.warning("%d neighbours are more than the %d keys; all are used", neighbours, keys)
        return keys
    return neighbours


def _check(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    mask: Tensor | None,
    patch_size: int,
    neighbours: int,
    temperature: float,
    tail: str | None,
    aggregate: bool,
) -> None:
    """Raise ValueError, with the rule, the values and a remedy, for what does not fit together."""
    shapes = f"q is {tuple(q.shape)}, k {tuple(k.shape)}, v {tuple(v.shape)}"
    for name, given in (("q", q), ("k", k), ("v", v)):
        if given.ndim not in (4, 5) or not given.numel() or not given.is_floating_point():
            raise ValueError(
                f"{name} must be floating, (B, C, H, W) or (B, C, T, H, W) and not empty; it is "
                f"{tuple(given.shape)} {given.dtype}"
            )
    if not q.ndim == k.ndim == v.ndim or not len(q) == len(k) == len(v):
        raise ValueError(f"q, k and v must have the same axes and batch size; {shapes}")
    if q.shape[1] != k.shape[1]:
        raise ValueError(f"q and k must have the same number of channels; {shapes}")
    if k.shape[2:] != v.shape[2:]:
        raise ValueError(f"k and v must be of the same size, one value for each key; {shapes}")
    check_patch_size(patch_size)
    for name, map in (("q", q), ("k", k)):
        room = min(map.shape[2:])
        if patch_size > room:
            raise ValueError(
                f"patch_size {patch_size} is larger than the {by(map.shape[2:])} grid of {name}; "
                f"use at most {largest_odd(room)}"
            )
    if neighbours < 1:
        raise ValueError(f"neighbours must be 1 or more, not {neighbours}")
    if not temperature > 0:
        raise ValueError(f"temperature must be positive, not {temperature}")
    if tail not in (None, "pooled"):
        raise ValueError(f"tail {tail!r} is neither None nor 'pooled'")
    if tail and aggregate:
        raise ValueError(
            "a tail completes the softmax of each query over its own keys, and aggregation takes "
            "those of its neighbours; use one of the two"
        )
    if mask is not None:
        if q.shape[2:] != k.shape[2:]:
            raise ValueError(f"with a mask q, k and v must be of one size; {shapes}")
        if tuple(mask.shape[1:]) != (1, *q.shape[2:]) or len(mask) not in (1, len(q)):
            raise ValueError(
                f"mask has shape {tuple(mask.shape)}, expected "
                f"{(len(q), 1, *q.shape[2:])}, or a batch of 1"
            )
    for name, given in (("q", q), ("k", k), ("v", v)):
        check_finite(given, name)
