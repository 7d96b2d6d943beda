"""Fire for `draw_clips.py`: hot gas as a fluid on a grid, and its colours."""

import cv2
import numpy as np
from draw_inputs import grid, noise


def advected(field: np.ndarray, flow: np.ndarray, steps: float) -> np.ndarray:
    """Each value comes from where the flow (2, H, W), (y, x) in pixels, brings it from."""
    height, width = field.shape
    y, x = (np.arange(side, dtype=np.float32) for side in (height, width))
    wide = np.concatenate([field, field, field], 1).astype(np.float32)  # the sides join
    rows = y[:, None] - steps * flow[0]
    columns = x[None] - steps * flow[1] + width
    return cv2.remap(wide, columns.astype(np.float32), rows.astype(np.float32), cv2.INTER_CUBIC,
                     borderMode=cv2.BORDER_REPLICATE).astype(float)  # fmt: skip


def without_divergence(flow: np.ndarray) -> np.ndarray:
    """The part of a flow that neither piles up nor thins out."""
    height, width = flow.shape[1:]
    ky, kx = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
    square = ky**2 + kx**2
    square[0, 0] = 1
    v, u = np.fft.rfft2(flow)
    along = (ky * v + kx * u) / square
    return np.fft.irfft2(np.stack([v - ky * along, u - kx * along]), (height, width))


class Flames:
    """Hot gas that rises, swirls and cools above a bed of embers: a fluid on a grid."""

    def __init__(self, height: int, width: int, seed: int):
        self.rng = np.random.default_rng(seed)
        self.heat, self.flow = np.zeros((height, width)), np.zeros((2, height, width))
        self.beds = [noise(self.rng, 256, width, cells) for cells in (5, 11, 26)]
        self.step = 0

    def advance(self) -> None:
        height, width = self.heat.shape
        self.step += 1
        y, _ = grid(height, width)
        y = 1 - y / height  # 0 at the foot
        rows, shares = (self.step * np.array((1, 1, 2))) % 256, (0.5, 0.35, 0.25)
        bed = sum(b[row] * share for b, row, share in zip(self.beds, rows, shares, strict=True))
        self.heat = np.maximum(self.heat, (y < 0.05) * np.clip(2.6 * bed - 0.6, 0, 1.25)[None])
        self.flow[0] -= 0.36 * self.heat
        spin = np.gradient(self.flow[0], axis=1) - np.gradient(self.flow[1], axis=0)
        slope = np.stack(np.gradient(np.abs(spin)))
        slope /= np.sqrt((slope**2).sum(0)) + 1e-3
        self.flow += 0.2 * np.stack([-slope[1] * spin, slope[0] * spin])  # small swirls stay
        self.flow = without_divergence(self.flow) * 0.985
        self.flow = np.stack([advected(part, self.flow, 1) for part in self.flow])
        self.flow *= np.clip((1 - y) / 0.12, 0, 1)  # still where the top would meet the foot
        heat = np.clip(advected(self.heat, self.flow, 1), 0, 1.4)
        self.heat = np.clip(heat - 0.0045 - 0.013 * heat**2, 0, None)


def glow(heat: np.ndarray) -> np.ndarray:
    """Heat to the colours of a flame."""
    stops = np.array([0, 0.1, 0.25, 0.45, 0.7, 1.0])
    colours = np.array([(0.02, 0.012, 0.015), (0.16, 0.03, 0.015), (0.55, 0.1, 0.02),
                        (0.93, 0.36, 0.05), (1.0, 0.72, 0.2), (1.0, 0.96, 0.72)])  # fmt: skip
    return np.stack([np.interp(heat, stops, c) for c in colours.T], -1)
