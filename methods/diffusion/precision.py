"""Convolutions in bfloat16, where the processor multiplies it."""

from contextlib import AbstractContextManager, nullcontext

import torch


def half_precision(device: torch.device, wish: str) -> bool:
    """Whether convolutions are in bfloat16, after the wish of the settings' `precision`."""
    if wish != "auto":
        return wish == "bfloat16"
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    return device.type == "cpu" and torch.cpu._is_avx512_bf16_supported()


def rounded(device: torch.device, half: bool) -> AbstractContextManager:
    """Within it networks multiply in bfloat16, if `half`; weights and sums stay float32."""
    return torch.autocast(device.type, torch.bfloat16) if half else nullcontext()
