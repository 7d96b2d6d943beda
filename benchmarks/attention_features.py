"""Queries, keys and values as an attention layer near pixels would have them, of a photograph."""

import math
from pathlib import Path

import torch
import torch.nn.functional as F
from measure import load

FEATURES = 64


def features(picture: Path, side: int) -> torch.Tensor:
    """(1, 64, side, side): two random convolutions with ReLU over the picture, each position
    normalised over the channels as a transformer block does."""
    x = load(picture)
    least = min(x.shape[2:])
    top, left = ((n - least) // 2 for n in x.shape[2:])
    x = x[:, :, top : top + least, left : left + least]
    x = F.interpolate(x, (side, side), mode="bicubic", antialias=True)
    generator = torch.Generator().manual_seed(0)
    for channels in (3, FEATURES):
        weight = torch.randn(FEATURES, channels, 3, 3, generator=generator)
        x = (x - x.mean((2, 3), keepdim=True)) / x.std((2, 3), keepdim=True).clamp(min=1e-6)
        x = F.pad(x, (1, 1, 1, 1), mode="reflect")
        x = F.conv2d(x, weight / math.sqrt(9 * channels)).relu()
    return (x - x.mean(1, keepdim=True)) / x.std(1, keepdim=True)


def heads(x: torch.Tensor, count: int, channels: int, related: bool) -> list[torch.Tensor]:
    """q, k and v (count, channels, H, W): random projections of features (1, 64, H, W), another for
    every head; with `related`, q and k by the same one."""
    generator = torch.Generator().manual_seed(1)
    made = []
    for _ in range(count):
        q, k, v = torch.randn(3, channels, FEATURES, generator=generator) / math.sqrt(FEATURES)
        made.append([torch.einsum("oc,chw->ohw", w, x[0]) for w in (q, q if related else k, v)])
    return [torch.stack(part).contiguous() for part in zip(*made, strict=True)]


def tokens(x: torch.Tensor) -> torch.Tensor:
    """(B, C, H, W) -> (B, H W, C)."""
    return x.flatten(2).transpose(1, 2).contiguous()


def effective_keys(logits: torch.Tensor) -> float:
    """The exponential of the mean entropy of the softmax of rows of logits."""
    weights = logits.softmax(-1)
    return float(torch.special.entr(weights).sum(-1).mean().exp())


def temperature_for(similarities: torch.Tensor, wanted: float) -> float:
    """The temperature at which rows of similarities attend to `wanted` effective keys."""
    low, high = 1e-3, 1e4
    for _ in range(40):
        middle = math.sqrt(low * high)
        below = effective_keys(similarities / middle) < wanted
        low, high = (middle, high) if below else (low, middle)
    return middle


def error(output: torch.Tensor, truth: torch.Tensor) -> float:
    """Relative: the norm of the difference over that of the truth."""
    return float((output - truth).norm() / truth.norm())
