"""Clips against a reference and against themselves: every metric as rows of a table."""

import math
import time
from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor

from ..checks import by, check_clip
from ..steps import Callback, Progress
from .clip_metrics import CLIP_METRICS, ClipMetric, Clips, I3DFrom
from .compare import compare
from .regions import RING
from .registry import ENTRIES, METRICS, chosen
from .scores import Score
from .weights import WeightsSource

FRAMEWISE = tuple(metric.name for metric in ENTRIES if metric.aligned)


def compare_clips(
    result: Tensor,
    reference: Tensor | None = None,
    *,
    mask: Tensor | None = None,
    metrics: Sequence[str] | None = None,
    ring: int = RING,
    weights: WeightsSource | None = None,
    method: str = "result",
    image: str = "clip",
    callback: Callback | None = None,
    **settings,
) -> list[Score]:
    """Score clips frame by frame, by their motion, and by what I3D sees in them.

    result: (B, C, T, H, W), nominally [0, 1]; reference: the same, or one for all, or None. mask:
    (B or 1, 1, T or 1, H, W). metrics: names of image metrics (see `compare`), which then are means
    over the frames, and of CLIP_METRICS; None for all of these that the given inputs allow, and of
    the image metrics for those which compare pixel by pixel. weights: where pretrained networks
    are read from. image: the clip's name; several get a number behind it. settings: as `compare`.

    Of warp_error, svfid, svfid_inside_outside and vfid less is better. flicker, noise and
    noise_variation are ratios, inside the mask to outside it (flicker) or to the ring around it;
    there 1 is best: neither restless nor dead. What cannot be had gives a row with value NaN and a
    note that says why.
    Raises ValueError for a clip of one frame, for sizes, lengths or batches that do not fit
    together, and for unknown names.
    """
    _check(result, reference, mask)
    there = [*METRICS, *CLIP_METRICS]
    names = _possible(result, reference, mask) if metrics is None else chosen(metrics, there)
    framewise = [name for name in names if name in METRICS]
    whole = [CLIP_METRICS[name] for name in names if name in CLIP_METRICS]
    alone = [metric for metric in whole if "set" not in metric.needs]
    settings |= {"weights": weights, "ring": ring}
    pieces = len(framewise) * result.shape[2] + len(alone)
    progress = Progress(callback, len(result) * pieces, 1)
    everything = Clips(result, reference, mask, ring, I3DFrom(weights), progress.poll)
    about = {"method": method, "image": image}
    rows: list[Score] = []
    for index in range(len(result)):
        one, done = _one(index, everything), index * pieces
        progress.report(one.result[:, :, 0], 0, done)  # so that the first can be interrupted
        own = about | ({"image": f"{image} {index}"} if len(result) > 1 else {})
        if framewise:
            rows += _framewise(one, framewise, settings, own, progress, done)
        done += len(framewise) * result.shape[2]
        for number, metric in enumerate(alone):
            rows += _scores(metric, one, own)
            progress.report(one.result[:, :, 0], 0, done + number + 1)
    for metric in whole:
        rows += _scores(metric, everything, about) if "set" in metric.needs else []
    return rows


def _one(index: int, clips: Clips) -> Clips:
    """The clip of that number, with its reference and mask."""
    reference, mask = (
        each if each is None else each[index % len(each)][None]
        for each in (clips.reference, clips.mask)
    )
    return replace(clips, result=clips.result[index][None], reference=reference, mask=mask)


def _framewise(
    clip: Clips, metrics: list[str], settings: dict, about: dict, progress: Progress, done: int
) -> list[Score]:
    """The image metrics, each the mean over the frames that have it. done: pieces before these."""
    if clip.reference is None:
        note = "it needs a reference; give one"
        return [
            Score(**about, metric=name, region="all", value=math.nan, better="", note=note)
            for name in metrics
        ]
    frames, wanted = (each[0].movedim(1, 0) for each in (clip.result, clip.reference))
    mask = None if clip.mask is None else clip.mask[0].movedim(1, 0)
    found: dict[tuple[str, str], list[Score]] = {}
    report = lambda step: progress.report(step.image, 0, done + step.done)  # noqa: E731
    for row in compare(frames, wanted, mask=mask, metrics=metrics, callback=report, **settings):
        found.setdefault((row.metric, row.region), []).append(row)
    order = sorted(found, key=lambda key: metrics.index(key[0]))
    return [_mean(found[key], len(frames), about) for key in order]


def _mean(rows: list[Score], frames: int, about: dict) -> Score:
    values = [row.value for row in rows if not math.isnan(row.value)]
    notes = list(dict.fromkeys(row.note for row in rows if row.note))
    told = [f"mean of {len(values)} of {frames} frames" if len(values) < frames else "", *notes[:1]]
    if len(notes) > 1:
        told.append("other frames likewise")
    return Score(
        **about,
        metric=rows[0].metric,
        region=rows[0].region,
        value=math.fsum(values) / len(values) if values else math.nan,
        better=rows[0].better,
        weights=rows[0].weights,
        seconds=round(sum(row.seconds for row in rows), 4),
        note="; ".join(part for part in told if part),
    )


def _scores(metric: ClipMetric, clips: Clips, about: dict) -> list[Score]:
    """A row for every region, or one that says why there is none."""
    about = about | {"metric": metric.name, "better": metric.better}
    started = time.perf_counter()
    try:
        readings = metric.measure(clips)
    except (ValueError, ImportError) as error:  # missing weights among them
        readings = [("all", math.nan, str(error))]
    seconds = round((time.perf_counter() - started) / len(readings), 4)
    measured = {"weights": clips.i3d.label if "i3d" in metric.needs else "", "seconds": seconds}
    return [
        Score(**about, **measured, region=region, value=value, note=note)
        for region, value, note in readings
    ]


def _possible(result: Tensor, reference: Tensor | None, mask: Tensor | None) -> list[str]:
    missing = {"reference": reference is None, "mask": mask is None, "set": len(result) < 2}
    whole = [
        m.name for m in CLIP_METRICS.values() if not any(missing.get(need) for need in m.needs)
    ]
    return [*(() if reference is None else FRAMEWISE), *whole]


def _check(result: Tensor, reference: Tensor | None, mask: Tensor | None) -> None:
    check_clip(result, "the result")
    if result.shape[2] < 2:
        raise ValueError(
            "the result has one frame, but a clip has 2 or more; pictures are measured by "
            "`compare` (Compare with Reference)"
        )
    if reference is not None:
        _check_reference(result, reference)
    batch, _, frames, *size = result.shape
    if mask is None:
        return
    if mask.dim() != 5 or mask.shape[1] != 1 or mask.shape[0] not in (1, batch):
        raise ValueError(f"the mask has shape {tuple(mask.shape)}, expected (B, 1, T, H, W)")
    if mask.shape[2] not in (1, frames):
        raise ValueError(
            f"the mask has {mask.shape[2]} frames, the result {frames}; give as many, or one for "
            "all"
        )
    if list(mask.shape[3:]) != size:
        raise ValueError(
            f"the mask is {by(mask.shape[3:])}, the result {by(size)}; resize one of them"
        )


def _check_reference(result: Tensor, reference: Tensor) -> None:
    check_clip(reference, "the reference")
    if len(reference) not in (1, len(result)):
        raise ValueError(
            f"there are {len(reference)} references for {len(result)} clips; give one or as many"
        )
    for axis, unit, remedy in (
        (1, "channels", "bring both to one number"),
        (2, "frames", "cut the longer one, so that both show the same moments"),
    ):
        if result.shape[axis] != reference.shape[axis]:
            raise ValueError(
                f"the result has {result.shape[axis]} {unit}, the reference "
                f"{reference.shape[axis]}; {remedy}"
            )
    if result.shape[3:] != reference.shape[3:]:
        raise ValueError(
            f"the result is {by(result.shape[3:])}, the reference {by(reference.shape[3:])}; "
            "resize one of them"
        )
