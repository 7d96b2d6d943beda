"""How networks multiply: in bfloat16, where the processor does, else clips by kernels of ours."""

from contextlib import AbstractContextManager, nullcontext

import torch

from ...backends import threads, why_not_installed


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


def alone(axes: int, device: torch.device, half: bool) -> AbstractContextManager:
    """Within it torch leaves the processor to kernels, where they convolve for a network of `axes`
    and only small operations are left to torch."""
    ours = axes == 3 and device.type == "cpu" and not half and why_not_installed("cpu") is None
    return threads.kernels_only() if ours and threads.few() else nullcontext()
