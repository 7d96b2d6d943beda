"""The counter-based generator that every backend shares.

A draw depends only on a seed and on counters (position, pass, trial), so neither thread order nor
the backend changes it, and nothing touches the global generators. The mixer is Wellons' "lowbias32"
integer hash; Triton and numba kernels repeat it in their own words.
"""

import torch
from torch import Tensor

MASK = 0xFFFFFFFF


def mix(x: Tensor | int) -> Tensor | int:
    """A bijection of the 32-bit integers (held in int64) with avalanche close to ideal."""
    x = x & MASK
    x = ((x ^ (x >> 16)) * 0x7FEB352D) & MASK
    x = ((x ^ (x >> 15)) * 0x846CA68B) & MASK
    return x ^ (x >> 16)


def bits(seed: int, *counters: Tensor | int) -> Tensor | int:
    """32 random bits for each combination of counters (integers or broadcastable int64 tensors)."""
    state = mix(seed & MASK) ^ mix((seed >> 32) + 0x9E3779B9)
    for counter in counters:
        state = mix(state ^ counter)
    return state


def below(limit: Tensor | int, seed: int, *counters: Tensor | int) -> Tensor | int:
    """Uniform integers in [0, limit), limit < 2^31."""
    return (bits(seed, *counters) * limit) >> 32


def uniform(seed: int, *counters: Tensor | int) -> Tensor:
    """Uniform float64 numbers in [0, 1), one for each combination of counters."""
    return torch.as_tensor(bits(seed, *counters)).double() / 2.0**32


def normal(shape: tuple[int, ...], seed: int) -> Tensor:
    """Standard normal float32 noise, the same on every device and for every thread count."""
    count = int(torch.Size(shape).numel())
    index = torch.arange(count, dtype=torch.int64)
    return _normal(bits(seed, index, 0), bits(seed, index, 1)).reshape(shape)


def normal_at(seed: int, *counters: Tensor | int) -> Tensor:
    """Standard normal float32 numbers, one for each combination of counters.

    Quickest with the counter that has the most values last.
    """
    return _normal(bits(seed, 0, *counters), bits(seed, 1, *counters))


def _normal(first: Tensor | int, second: Tensor | int) -> Tensor:
    """Box and Muller's transform of 32 random bits each."""
    radius = torch.sqrt(-2 * torch.log((torch.as_tensor(first).double() + 1) / 4294967297.0))
    angle = torch.as_tensor(second).double() * (2 * torch.pi / 4294967296.0)
    return (radius * torch.cos(angle)).float()
