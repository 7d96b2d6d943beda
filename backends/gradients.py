"""Operations with gradients: one autograd function for all backends."""

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from . import run


def patch_similarity(
    q: Tensor, k: Tensor, positions: Tensor, patch_size: int, similarity: str, backend: str
) -> Tensor:
    """The operation patch_similarity, with gradients to q and k."""
    return _PatchSimilarity.apply(q, k, positions, patch_size, similarity, backend)


def gather_attention(
    logits: Tensor, values: Tensor, positions: Tensor, window: int, backend: str
) -> tuple[Tensor, Tensor]:
    """The operation gather_attention, with gradients from both results to logits and values."""
    return _GatherAttention.apply(logits, values, positions, window, backend)


class _PatchSimilarity(torch.autograd.Function):
    @staticmethod
    def forward(ctx, q, k, positions, patch_size, similarity, backend):
        ctx.settings = dict(patch_size=patch_size, similarity=similarity, backend=backend)
        similarities = run("patch_similarity", q, k, positions, **ctx.settings)
        ctx.save_for_backward(q, k, positions, similarities)
        return similarities

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient):
        q, k, positions, similarities = ctx.saved_tensors
        to_q, to_k = run(
            "patch_similarity_gradient", gradient, q, k, positions, similarities, **ctx.settings
        )
        return to_q.to(q.dtype), to_k.to(k.dtype), None, None, None, None


class _GatherAttention(torch.autograd.Function):
    @staticmethod
    def forward(ctx, logits, values, positions, window, backend):
        ctx.settings = dict(window=window, backend=backend)
        output, log_sum = run("gather_attention", logits, values, positions, **ctx.settings)
        ctx.save_for_backward(logits, values, positions, output, log_sum)
        return output, log_sum

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient, sum_gradient):
        logits, values, positions, output, log_sum = ctx.saved_tensors
        to_logits, to_values = run(
            "gather_attention_gradient",
            gradient,
            sum_gradient,
            logits,
            values,
            positions,
            output,
            log_sum,
            **ctx.settings,
        )
        return to_logits.to(logits.dtype), to_values.to(values.dtype), None, None, None
