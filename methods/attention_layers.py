"""The attention layers that PSAL is measured beside: all keys, a window of keys, a linear form.

They are called like `patch_attention` and compare patches in the same way: those of queries are
completed by reflection at the border, those of keys lie whole in the picture.
"""

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, elu, unfold

from ..backends import patches
from .checks import by, check_finite, check_patch_size

SIMILARITIES = ("l2", "dot")
CHUNK = 1 << 24  # logits made at a time, where nothing has to be kept for a gradient


def dense_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    patch_size: int = 7,
    stride: int = 1,
    similarity: str = "l2",
    temperature: float = 1.0,
) -> Tensor:
    """Attention of every query to every key, or to those of every `stride`-th row and column.

    q: (B, C, H, W), k: (B, C, H2, W2), v: (B, Cv, H2, W2), floating. similarity: "l2" or "dot".
    Returns (B, Cv, H, W), the sum of v at the centres of the keys, weighted by the softmax of the
    similarities over `temperature`.
    Raises ValueError for shapes and settings that do not fit each other.
    Vaswani et al. 2017, arXiv:1706.03762, with keys left out as Cherel 2024, IV.3.3.
    """
    _check(q, k, v, patch_size, similarity, temperature)
    if stride < 1:
        raise ValueError(f"stride {stride} is not a positive number of pixels")
    queries, keys = _query_patches(q, patch_size), _key_patches(k, patch_size, stride)
    values = _at_centres(v, patch_size, stride)
    bias = None
    if similarity == "l2":  # |q - k|^2, of which |q|^2 is the same for all keys
        middle = keys.detach().mean(2, keepdim=True)  # near zero, squares cancel less
        queries, keys = 2 * (queries - middle), keys - middle
        bias = -keys.square().sum(1, keepdim=True)
    parts = []
    for part in queries.split(max(1, CHUNK // keys.shape[2]), dim=2):
        logits = part.transpose(1, 2) @ keys
        logits = logits if bias is None else logits + bias
        parts.append(values @ (logits / temperature).softmax(2).transpose(1, 2))
    return torch.cat(parts, 2).unflatten(2, q.shape[2:])


def local_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    patch_size: int = 7,
    window: int = 13,
    similarity: str = "l2",
    temperature: float = 1.0,
) -> Tensor:
    """Attention of every query to the keys in the window around its own place.

    As `dense_attention`, but q, k and v are of one size, and `window` is the side of the window in
    pixels: odd, and no smaller than a patch, so that queries at the border have keys as well.
    Raises ValueError for shapes and settings that do not fit each other.
    Parmar et al. 2018, arXiv:1802.05751.
    """
    _check(q, k, v, patch_size, similarity, temperature)
    if window % 2 == 0 or window < patch_size:
        raise ValueError(f"window {window} is not odd, or smaller than the patch of {patch_size}")
    if q.shape[2:] != k.shape[2:]:
        raise ValueError(
            f"a window needs q and k of one size, not {by(q.shape[2:])} and {by(k.shape[2:])}; "
            "resize one of them, or use another layer"
        )
    half, reach, (height, width) = patch_size // 2, window // 2, q.shape[2:]

    def wider(values: Tensor, by: int, fill: float | None = 0.0) -> Tensor:
        return patches.pad(values, by, (False, False), fill=fill)

    queries, keys, values = wider(q, half, None), wider(k, half + reach), wider(v, reach)
    whole = wider(_at_centres(torch.ones_like(k[:1, :1]), patch_size, 1, flat=False), half + reach)
    moves = [(y, x) for y in range(window) for x in range(window)]
    logits = []
    for y, x in moves:
        other = keys[:, :, y : y + queries.shape[2], x : x + queries.shape[3]]
        same = -(queries - other).square() if similarity == "l2" else queries * other
        total = avg_pool2d(same.sum(1, keepdim=True), patch_size, 1, divisor_override=1)
        usable = whole[:, :, y : y + height, x : x + width] > 0
        logits.append((total / temperature).masked_fill(~usable, -torch.inf))
    weights = torch.stack(logits).softmax(0)
    output = torch.zeros_like(v)
    for weight, (y, x) in zip(weights, moves, strict=True):
        output = output + weight * values[:, :, y : y + height, x : x + width]
    return output


def linear_attention(q: Tensor, k: Tensor, v: Tensor, *, patch_size: int = 7) -> Tensor:
    """Attention whose weights are products of positive features, f(q) f(k) with f = elu + 1.

    Arguments and result as those of `dense_attention`. The sums over the keys are made once, so
    time and memory are linear in the number of pixels.
    Katharopoulos et al. 2020, arXiv:2006.16236.
    """
    _check(q, k, v, patch_size, "dot", 1.0)
    queries = elu(_query_patches(q, patch_size)) + 1
    keys = elu(_key_patches(k, patch_size, 1)) + 1
    sums = _at_centres(v, patch_size, 1) @ keys.transpose(1, 2)  # (B, Cv, D)
    total = keys.sum(2, keepdim=True).transpose(1, 2)  # (B, 1, D)
    return (sums @ queries / (total @ queries)).unflatten(2, q.shape[2:])


def _query_patches(q: Tensor, patch_size: int) -> Tensor:
    """(B, C p p, H W): the patch around every pixel."""
    return unfold(patches.pad(q, patch_size // 2, (False, False)), patch_size)


def _key_patches(k: Tensor, patch_size: int, stride: int) -> Tensor:
    """(B, C p p, n): the patches that lie whole inside."""
    return unfold(k, patch_size, stride=stride)


def _at_centres(v: Tensor, patch_size: int, stride: int, flat: bool = True) -> Tensor:
    """(B, Cv, n): the values at the centres of those patches, or as a picture (B, Cv, h, w)."""
    half, (height, width) = patch_size // 2, v.shape[2:]
    values = v[:, :, half : height - half : stride, half : width - half : stride]
    return values.flatten(2) if flat else values


def _check(
    q: Tensor, k: Tensor, v: Tensor, patch_size: int, similarity: str, temperature: float
) -> None:
    """Raise ValueError for what does not fit together."""
    check_patch_size(patch_size)
    for name, values in (("q", q), ("k", k), ("v", v)):
        if values.dim() != 4:
            raise ValueError(f"{name} has shape {tuple(values.shape)}, expected (B, C, H, W)")
        check_finite(values, name)
    if q.shape[:2] != k.shape[:2] or k.shape[0] != v.shape[0] or k.shape[2:] != v.shape[2:]:
        raise ValueError(
            f"q {tuple(q.shape)}, k {tuple(k.shape)} and v {tuple(v.shape)} do not fit: q and k "
            "need the same batch and channels, k and v the same batch and size"
        )
    if min(k.shape[2:]) < patch_size:
        raise ValueError(
            f"patch_size {patch_size} does not fit keys of {by(k.shape[2:])}; use a smaller patch, "
            "or larger pictures"
        )
    if similarity not in SIMILARITIES:
        raise ValueError(f"similarity {similarity!r} is not one of {', '.join(SIMILARITIES)}")
    if not temperature > 0:
        raise ValueError(f"temperature {temperature} is not positive; 1 is usual")
