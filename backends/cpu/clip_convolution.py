"""Convolutions of clips with weights of 3 x 3 per frame on the CPU, in numba: a quarter of the
usual products, forward and for the gradients alike; see `winograd_kernels`.

The results do not depend on the number of threads.
"""

import threading

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from .. import threads
from .simd_tiles import LANES
from .threads import run_pieces
from .winograd_kernels import (
    OF_WEIGHTS,
    SPECTRUM,
    TILE,
    Job,
    add_gradient,
    convolve,
    finish_gradient,
    room_for,
    up,
)

ROWS_OF_BLOCK = 48  # about: its spectra stay in the cache
BLOCKS = 4  # of a piece of work
FRAMES = 12  # of a block
SUMS = 8  # of gradients of weights, made one beside the other and then added in their order
LEAST = 512  # pixels, below which torch is as fast

_TURN = torch.kron(torch.tensor(OF_WEIGHTS), torch.tensor(OF_WEIGHTS))
_memory = threading.local()


def why_not(values: Tensor, weight: Tensor, bias: Tensor, padding: tuple[int, ...]) -> str | None:
    if values.device.type != "cpu":
        return f"the values lie on {values.device}"
    if values.dtype != torch.float32 or torch.is_autocast_enabled("cpu"):
        return "it computes in float32"
    if weight.shape[3:] != (3, 3) or tuple(padding[1:]) != (1, 1):
        return "it convolves with 3 x 3 weights and keeps the size of frames"
    if values.shape[:1].numel() * values.shape[2:].numel() < LEAST:
        return "there is too little to multiply"
    if not threads.few():
        return "torch is as fast on so many threads"
    return None


def clip_convolution(
    values: Tensor, weight: Tensor, bias: Tensor, padding: tuple[int, ...]
) -> Tensor:
    """See backends.eager.clip_convolution.clip_convolution."""
    return _Convolution.apply(values, weight, bias, padding[0])


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx, values, weight, bias, around):
        ctx.save_for_backward(values, weight)
        ctx.around = around
        return _convolved(values, weight, bias, around)

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient):
        values, weight = ctx.saved_tensors
        to_values = to_weight = to_bias = None
        if ctx.needs_input_grad[0]:
            turned = weight.transpose(0, 1).flip(2, 3, 4)
            ahead = weight.shape[2] - 1 - ctx.around
            to_values = _convolved(gradient, turned, turned.new_zeros(len(turned)), ahead)
        if ctx.needs_input_grad[1]:
            to_weight = _weight_gradient(values, gradient, weight.shape, ctx.around)
        if ctx.needs_input_grad[2]:
            to_bias = gradient.sum((0, 2, 3, 4))
        return to_values, to_weight, to_bias, None


def _convolved(values: Tensor, weight: Tensor, bias: Tensor, around: int) -> Tensor:
    """around: frames of zeros before the first and after the last."""
    inner, taps, width = _Frames(values), weight.shape[2], up(len(weight), LANES)
    outer = inner.size[0] + 2 * around - taps + 1, *inner.size[1:3], width
    out = torch.empty(inner.clips, *outer)
    weights = _spectrum(weight.detach(), inner.size[3], width).numpy()
    biases = F.pad(bias.detach(), (0, width - len(bias))).numpy()
    work = _Work(inner, outer, taps, around)

    def make(clip: int, *block: int) -> None:
        made = out[clip].flatten().numpy()
        convolve(work.job(clip), weights, biases, made, work.room(), *block)

    run_pieces(make, work.pieces)
    return out[..., : len(weight)].movedim(-1, 1)


def _weight_gradient(values: Tensor, gradient: Tensor, shape: torch.Size, around: int) -> Tensor:
    inner, outer = _Frames(values), _Frames(gradient)
    work = _Work(inner, outer.size, shape[2], around)
    groups = min(SUMS, len(work.pieces))
    sums = torch.empty(groups, 3, 3, shape[2], inner.size[3], outer.size[3])

    def add_up(group: int) -> None:
        total = work.total()
        first, end = (number * len(work.pieces) // groups for number in (group, group + 1))
        for clip, *block in work.pieces[first:end]:
            add_gradient(work.job(clip), outer.flat[clip], total, work.room(), *block)
        finish_gradient(total, sums[group].flatten().numpy())

    run_pieces(add_up, [(group,) for group in range(groups)])
    made = sums.sum(0)[..., : shape[1], : shape[0]]
    return made.permute(4, 3, 2, 0, 1).contiguous()


def _spectrum(weight: Tensor, channels: int, width: int) -> Tensor:
    """Weights (O, C, taps, 3, 3) as flat (36, taps, channels, width)."""
    moved = weight.permute(3, 4, 2, 1, 0)
    moved = F.pad(moved, (0, width - len(weight), 0, channels - weight.shape[1]))
    return (_TURN @ moved.reshape(9, -1)).flatten()


class _Frames:
    """Values (B, C, T, H, W) as the kernels take them: each clip flat, with its channels last and
    filled up with zeros to a multiple of LANES. size: (T, H, W, channels)."""

    def __init__(self, values: Tensor):
        moved = values.detach().movedim(1, -1)
        missing = up(moved.shape[-1], LANES) - moved.shape[-1]
        moved = (F.pad(moved, (0, missing)) if missing else moved).contiguous()
        self.clips, *size = moved.shape
        self.size = tuple(size)
        self.flat = [clip.flatten().numpy() for clip in moved]


class _Work:
    """A convolution in pieces, and memory for them.

    pieces: of each the clip, the first frame, how many, the first and the end tile, and how many
    tiles are to be done at a time.
    """

    def __init__(self, inner: _Frames, outer: tuple[int, ...], taps: int, around: int):
        self._inner, self._settings = inner, (inner.size, outer, taps, around)
        count, height, width, channels = outer
        every = -(-height // TILE) * -(-width // TILE)
        frames = min(count, FRAMES)
        tiles = min(every, max(1, ROWS_OF_BLOCK // frames))
        piece = tiles * BLOCKS
        self.pieces = [
            (clip, first, min(frames, count - first), tile, min(tile + piece, every), tiles)
            for clip in range(inner.clips)
            for first in range(0, count, frames)
            for tile in range(0, every, piece)
        ]
        self._room = room_for(inner.size, outer, taps, frames, tiles)
        self._total = SPECTRUM * taps * inner.size[3] * channels

    def job(self, clip: int) -> Job:
        return Job(self._inner.flat[clip], *self._settings)

    def room(self) -> np.ndarray:
        """For the numbers of a block."""
        return _kept("room", self._room)

    def total(self) -> np.ndarray:
        """Zeros, for the spectrum of the gradient to the weights."""
        total = _kept("total", self._total)
        total[:] = 0
        return total


def _kept(name: str, size: int) -> np.ndarray:
    """Memory of this thread, used again and again."""
    kept = getattr(_memory, name, None)
    if kept is None or len(kept) < size:
        kept = np.empty(size, np.float32)
        setattr(_memory, name, kept)
    return kept[:size]
