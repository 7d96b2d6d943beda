"""Where the pixels of a frame go in the next one: dense optical flow, found without training.

DIS (Kroeger et al. 2016, arXiv:1603.03590) as OpenCV has it, in its medium preset, which refines it
down to half the resolution; here down to the full one for frames of up to 640x480 pixels.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .steps import Poll

SMALLEST_SIDE = 16  # pixels; the search needs room for its patches at two scales
FULLY_REFINED = 640 * 480  # pixels; a frame of 1920x1080 would take a second
LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class Motion:
    """Between frame t and frame t + 1. Flows are (1, 2, H, W) in pixels, (y, x).

    forward: pixel p of frame t is at p + forward(p) in frame t + 1; backward: the other way round.
    seen: (1, 1, H, W) bool, pixels of t that frame t + 1 shows; seen_back: pixels of t + 1 that
    frame t shows.
    """

    forward: Tensor
    backward: Tensor
    seen: Tensor
    seen_back: Tensor


def motions(frames: Tensor, poll: Poll | None = None) -> Iterator[Motion]:
    """The motion from each of (T, C, H, W) frames in [0, 1] to the next, T - 1 of them.

    A pixel is seen in the other frame if it stays inside it and the way back leads home:
    |f + b|^2 <= 0.01 (|f|^2 + |b|^2) + 0.5, f one flow and b the other where f leads (Sundaram et
    al. 2010; Ruder et al. 2016, arXiv:1604.08610, whose check of motion boundaries is left out).
    poll: called before each; may raise to interrupt.
    Raises ImportError where there is no OpenCV, ValueError for sides under SMALLEST_SIDE.
    """
    if min(frames.shape[2:]) < SMALLEST_SIDE:
        raise ValueError(
            f"optical flow needs sides of at least {SMALLEST_SIDE} pixels, not "
            f"{frames.shape[2]}x{frames.shape[3]}; enlarge the clip"
        )
    search = flow_search(*frames.shape[2:])
    grey = (luma(frames).clamp(0, 1) * 255).round().byte().cpu().numpy()

    def flow(start, end) -> Tensor:
        found = torch.from_numpy(search.calc(start, end, None)).flip(-1)  # OpenCV has x first
        return found.movedim(-1, 0)[None].to(frames.device)

    for before, after in zip(grey[:-1], grey[1:], strict=True):
        if poll is not None:
            poll()
        forward, backward = flow(before, after), flow(after, before)
        yield Motion(forward, backward, _seen(forward, backward), _seen(backward, forward))


def flow_search(height: int, width: int) -> Any:  # stubs do not know `calc` without a flow
    """OpenCV's DIS for frames of that size. Raises ImportError where there is no OpenCV."""
    try:
        import cv2
    except ImportError as error:
        raise ImportError(
            "optical flow needs OpenCV: pip install opencv-python-headless"
        ) from error
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    search.setFinestScale(0 if height * width <= FULLY_REFINED else 1)
    return search


def luma(frames: Tensor) -> Tensor:
    """The brightness of (T, C, H, W) frames, (T, H, W) float32; of fewer colours the first."""
    if frames.shape[1] < 3:
        return frames[:, 0].float()
    weights = torch.tensor(LUMA, device=frames.device)
    return torch.einsum("tchw,c->thw", frames[:, :3].float(), weights)


def positions(flow: Tensor) -> Tensor:
    """Where the pixels of a (1, 2, H, W) flow lead, in pixels, (y, x)."""
    height, width = flow.shape[2:]
    y = torch.arange(height, device=flow.device, dtype=flow.dtype)
    x = torch.arange(width, device=flow.device, dtype=flow.dtype)
    return flow + torch.stack(torch.meshgrid(y, x, indexing="ij"))


def moved(values: Tensor, flow: Tensor) -> Tensor:
    """(1, C, H, W) `values` read, bilinearly, where the flow leads; beyond the border its edge."""
    y, x = positions(flow).unbind(1)
    height, width = values.shape[2:]
    grid = torch.stack([2 * x / (width - 1) - 1, 2 * y / (height - 1) - 1], dim=-1)
    kind = {"mode": "bilinear", "padding_mode": "border", "align_corners": True}
    return F.grid_sample(values, grid.to(values.dtype), **kind)


def _seen(flow: Tensor, other: Tensor) -> Tensor:
    y, x = positions(flow).unbind(1)
    height, width = flow.shape[2:]
    stays = (y >= 0) & (y <= height - 1) & (x >= 0) & (x <= width - 1)
    back = moved(other, flow)
    apart = (flow + back).square().sum(1)
    length = flow.square().sum(1) + back.square().sum(1)
    return (stays & (apart <= 0.01 * length + 0.5))[:, None]
