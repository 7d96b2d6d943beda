"""Fill holes of a clip with what other frames show of the same places, found along the motion.

For every pixel of a hole its track is followed into the frames before and after, until a frame
shows it: the way of Matsushita et al. 2006 (doi:10.1109/TPAMI.2006.141), Huang et al. 2016
(doi:10.1145/2980179.2982398) and Xu et al. 2019 (arXiv:1905.02884), without a network. Every colour
is read once, from an original frame, so that nothing blurs with the distance, and none comes out
darker or brighter than all that is seen. Along with it goes an estimate of its error, from what can
be compared: places seen in several frames, around the hole and around the find.
"""

import logging

import numpy as np
import torch
from torch import Tensor

from ...backends.threads import kernels_only
from ..checks import check_clip, check_clip_mask
from ..steps import Callback, Progress
from .frames import frame_of, grey_of, hidden_of, mask_of, put_in
from .pair_motion import read_cells
from .registration import SMALLEST_SIDE, register
from .scenes import scene_cuts
from .smooth_fill import smooth_fill
from .tracks import BAND, BAND_POINTS, RIM, Finds, Sources, follow
from .transforms import MODELS

log = logging.getLogger(__name__)

NEAREST = 4.0  # power of the distance in frames with which a find loses against the other one
TOLERANCE = 0.08  # error, of a range of 1, at which confidence falls to 1 / e
FLAT = 0.03  # deviation of colours under which a place counts as plain
BLUR = 2  # pixels or cells to each side over which errors are averaged
FINEST_GRAIN = 0.02  # deviation of the grain, at most, that is not counted as an error


def flow_fill(
    clip: Tensor,
    mask: Tensor,
    *,
    avoid_mask: Tensor | None = None,
    consistency: float = 0.7,
    reach: int = 48,
    model: str = "homography",
    callback: Callback | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Fill the hole with what other frames show of the places behind it.

    clip: (B, C, T, H, W) floating, nominally [0, 1].
    mask: (B or 1, 1, T or 1, H, W) in [0, 1]; where it is exactly 0 the clip comes back bit for
        bit, elsewhere fill and clip are mixed in its proportion. Nothing is taken from where it is
        above 0.
    avoid_mask: likewise, nothing is taken from where it is above 0, nor is it filled, and the
        camera's motion is not measured there.
    consistency: pixels by which the flow there and back may miss its start.
    reach: frames that are looked at before and after each.
    model: what the camera's motion may be, as for `stabilize`.
    Returns the filled clip; `left` (B, 1, T, H, W), 1 where no frame shows what is behind: the clip
    then holds a smooth surface; `confidence`, of that shape, how far the fill can be relied on, 1
    outside the hole, 0 where nothing was found. Low where colours change along the motion (fire,
    water), where both directions disagree, and where nothing around the hole could be compared.
    Raises ValueError for sides under 32 pixels, ImportError where there is no OpenCV.
    """
    check_clip(clip, "the clip", frames=2, side=SMALLEST_SIDE)
    check_clip_mask(mask, "mask", clip)
    if avoid_mask is not None:
        check_clip_mask(avoid_mask, "avoid_mask", clip)
    if model not in MODELS:
        raise ValueError(f"model {model!r} is not one of {', '.join(MODELS)}")
    if reach < 1 or consistency <= 0:
        raise ValueError(f"reach {reach} and consistency {consistency:g} have to be positive")
    filled = clip.detach().clone()
    batch, _, frames, *size = clip.shape
    left, confidence = (torch.zeros(batch, 1, frames, *size, device=clip.device) for _ in range(2))
    progress = Progress(callback, 2 * batch * frames, batch)
    results = (filled, left, confidence)
    with kernels_only():
        for index in range(batch):
            setting = (consistency, reach, model)
            _fill_clip(clip, mask, avoid_mask, index, setting, progress, results)
    return filled, left, confidence


def _fill_clip(
    clip: Tensor, mask: Tensor, avoid: Tensor | None, index: int,
    setting: tuple[float, int, str], progress: Progress, results: tuple[Tensor, Tensor, Tensor],
) -> None:  # fmt: skip
    """One clip of the batch, into its place in the results."""
    consistency, reach, model = setting
    filled, left, confidence = results
    frames, size = clip.shape[2], (clip.shape[3], clip.shape[4])
    done = 2 * index * frames
    shown = clip[index : index + 1, :3, 0]
    progress.report(shown, index, done)
    found = register(
        lambda t: grey_of(clip, index, t),
        lambda t: hidden_of(mask, avoid, index, t, size),
        frames,
        model,
        each=lambda now: progress.report(shown, index, done + now),
    )
    cuts = scene_cuts(clip[index : index + 1], poll=progress.poll)
    sources = Sources(clip, mask, avoid, index, found, cuts, consistency, 2 * reach + 3)
    for t in range(frames):
        hole = mask_of(mask, index, t, size) > 0
        if hole.any():
            fill, lacking, sure = _fill_frame(sources, t, hole, reach, progress)
            put_in(filled, index, t, fill, mask)
            left[index, 0, t] = torch.from_numpy(lacking)
            confidence[index, 0, t] = torch.from_numpy(sure)
        else:
            confidence[index, 0, t] = 1
        last = t == frames - 1
        progress.report(filled[index : index + 1, :3, t], index, done + frames + t + 1, last)


def _fill_frame(
    sources: Sources, t: int, hole: np.ndarray, reach: int, progress: Progress
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The fill (H, W, C), where there is none, and the confidence, (H, W) each."""
    y, x = hole.nonzero()
    points = np.stack([x, y], 1).astype(np.float32)
    noise = _noise(sources, t)
    first, last = sources.scene(t)
    ends = {1: min(t + reach, last), -1: max(t - reach, first)}
    band = _band(sources, t, hole)
    finds = [
        follow(sources, t, points, way, end, band, noise, progress.poll)
        for way, end in ends.items()
    ]
    values, error, trust = _blended(finds, hole, noise)
    around = read_cells(sources.change(t)[..., None], points)[:, 0]
    error = np.maximum(error, around - noise)
    found = np.isfinite(error)
    frame = frame_of(sources.clip, sources.index, t).copy()
    known = sources.hidden(t) == 0
    known[y[found], x[found]] = True
    frame[y, x] = values.clip(*sources.range)
    fill = np.where(known[..., None], frame, smooth_fill(frame, known.astype(np.float32)))
    sure = np.ones(hole.shape, np.float32)
    contrast = read_cells(sources.contrast(t)[..., None], points)[:, 0]
    doubt = error / TOLERANCE**2 + 2 * error / (contrast + FLAT**2)
    sure[y, x] = np.where(found, np.minimum(1, 1.25 * trust) * np.exp(-doubt), 0)
    lacking = np.zeros(hole.shape, np.float32)
    lacking[y[~found], x[~found]] = 1
    return fill, lacking, sure


def _band(sources: Sources, t: int, hole: np.ndarray) -> np.ndarray:
    """Points (M, 2) (x, y) around the hole that frame t shows."""
    import cv2

    side = 2 * (RIM + BAND) + 1
    near = cv2.dilate(hole.astype(np.uint8), np.ones((side, side), np.uint8))
    y, x = ((near > 0) & (sources.usable(t) > 0)).nonzero()
    band = np.stack([x, y], 1).astype(np.float32)
    return band[:: 1 + len(band) // BAND_POINTS]


def _blended(
    finds: list[Finds], hole: np.ndarray, noise: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values (N, C), errors (mean squares, infinite for none) and trust (N,) of both directions.

    The nearer find counts for nearly all, where one is not much nearer both are mixed.
    """
    import cv2

    errors = np.stack([find.error for find in finds])
    ages = np.stack([np.maximum(find.age, 1) for find in finds])
    known = np.isfinite(errors)
    weights = 1 / ((errors + 1e-5) * ages**NEAREST)
    shares = weights / np.maximum(weights.sum(0), 1e-20)
    values = (shares[..., None] * np.stack([find.values for find in finds])).sum(0)
    trust = (shares * np.stack([find.trust for find in finds])).sum(0)
    error = np.where(known.any(0), (shares * np.where(known, errors, 0)).sum(0), np.inf)
    both = known[0] & known[1]
    if both.any():
        apart, seen = (np.zeros(hole.shape, np.float32) for _ in range(2))
        apart[hole] = np.where(both, ((finds[0].values - finds[1].values) ** 2).mean(1), 0)
        seen[hole] = both
        box = (2 * BLUR + 1,) * 2
        mean = cv2.blur(apart, box)[hole] / np.maximum(cv2.blur(seen, box)[hole], 1e-6)
        error[both] = np.maximum(error, (mean - noise) / 2)[both]
    return values, error, trust


def _noise(sources: Sources, t: int) -> float:
    """Mean squared difference of two frames by their grain, at most what is sure to be grain."""
    import cv2

    grey = grey_of(sources.clip, sources.index, t).astype(np.float32) / 255
    seen = sources.usable(t) > 0
    kernel = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)  # Immerkaer 1996
    sharp = np.abs(cv2.filter2D(grey, -1, kernel))[seen]
    if not len(sharp):
        return 0.0
    grain = float(np.median(sharp)) / (6 * 0.6745)
    calm = float(np.percentile(sources.change(t), 10))
    return min(2 * min(grain, FINEST_GRAIN) ** 2, calm)
