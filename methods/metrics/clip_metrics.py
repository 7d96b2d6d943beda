"""The metrics of whole clips by name: what each takes, and which direction is better."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ...backends.threads import kernels_only
from ..steps import Poll
from . import temporal, video_frechet
from .i3d import I3D, I3D_KINDS
from .regions import regions
from .weights import WeightsSource, load_first

Reading = tuple[str, float, str]  # region, value, note


class I3DFrom:
    """I3D from a source of weights, read when the first metric wants it. label: of its weights."""

    def __init__(self, weights: WeightsSource | None):
        self.weights, self.label = weights, ""
        self.built: I3D | None = None

    def get(self, device: torch.device) -> I3D:
        """Raises MissingWeights."""
        if self.built is None:
            _, loaded = load_first(self.weights, I3D_KINDS)
            self.built, self.label = I3D(loaded.tensors).to(device), loaded.label
        return self.built


@dataclass(frozen=True)
class Clips:
    """What is measured. result, reference: (B, C, T, H, W); mask: (B or 1, 1, T or 1, H, W).

    All metrics but those of sets take one clip at a time.
    """

    result: Tensor
    reference: Tensor | None
    mask: Tensor | None
    ring: int
    i3d: I3DFrom
    poll: Poll | None = None

    def network(self) -> I3D:
        return self.i3d.get(self.result.device)

    def wanted(self) -> Tensor:
        if self.reference is None:
            raise ValueError("it needs a reference; give one")
        return self.reference

    def hole(self) -> Tensor:
        if self.mask is None:
            raise ValueError("it needs a mask, to tell the fill from what is around it; give one")
        return self.mask

    def region(self, name: str) -> Tensor:
        """(1, 1, T or 1, H, W) bool."""
        return regions(self.hole()[0].movedim(1, 0), self.ring)[name].movedim(0, 1)[None]


@dataclass(frozen=True)
class ClipMetric:
    """A metric of whole clips. needs: "reference", "mask", "set" (several clips) and "i3d"."""

    name: str
    better: str
    measure: Callable[[Clips], list[Reading]]
    needs: tuple[str, ...] = ()


def _warp_error(clip: Clips) -> list[Reading]:
    places: dict[str, Tensor | None] = {"all": None}
    if clip.mask is not None:
        named = {name: clip.region(name) for name in ("inside", "ring", "outside")}
        places |= {name: region for name, region in named.items() if region.any()}
    with kernels_only():
        values = temporal.warp_error(
            clip.result, *places.values(), reference=clip.reference, poll=clip.poll
        )[0]
    note = f"along the motion of the {'result' if clip.reference is None else 'reference'}"
    return [(name, value, note) for name, value in zip(places, values.tolist(), strict=True)]


def _ratio(measure: Callable[..., Tensor], around: str) -> Callable[[Clips], list[Reading]]:
    def of(clip: Clips) -> list[Reading]:
        with kernels_only():
            places = clip.region("inside"), clip.region(around)
            levels = measure(clip.result, *places, poll=clip.poll)
        inside, other = levels[0].tolist()
        note = f"1 is best; inside {inside:.4g}, {around} {other:.4g}"
        return [("inside", float(temporal.ratio(levels)), note)]

    return of


def _svfid(clip: Clips) -> list[Reading]:
    value = video_frechet.svfid(clip.result, clip.wanted(), clip.network(), clip.poll)
    return [("all", float(value), video_frechet.few_positions(clip.result))]


def _svfid_inside_outside(clip: Clips) -> list[Reading]:
    network = clip.network()
    value = video_frechet.svfid_inside_outside(clip.result, clip.hole(), network, clip.poll)
    return [("inside", float(value), video_frechet.few_positions(clip.result, clip.hole()))]


def _vfid(clips: Clips) -> list[Reading]:
    results, references = clips.result, clips.wanted()
    if len(results) < 2:
        raise ValueError("it compares sets of clips; for one clip there is svfid")
    sets = results.split(1), references.split(1)
    value = video_frechet.vfid(*sets, clips.network(), clips.poll)
    return [("all", value, video_frechet.few_clips(min(len(results), len(references))))]


_ALL = [
    ClipMetric("warp_error", "lower", _warp_error),
    ClipMetric("flicker", "", _ratio(temporal.flicker, "outside"), ("mask",)),
    ClipMetric("noise", "", _ratio(temporal.noise, "ring"), ("mask",)),
    ClipMetric("noise_variation", "", _ratio(temporal.noise_variation, "ring"), ("mask",)),
    ClipMetric("svfid", "lower", _svfid, ("reference", "i3d")),
    ClipMetric("svfid_inside_outside", "lower", _svfid_inside_outside, ("mask", "i3d")),
    ClipMetric("vfid", "lower", _vfid, ("reference", "set", "i3d")),
]
CLIP_METRICS = {metric.name: metric for metric in _ALL}
