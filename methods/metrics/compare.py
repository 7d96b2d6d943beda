"""Pictures against a reference: every metric in every region, as rows of a table."""

import time
from collections.abc import Sequence
from contextlib import nullcontext

import torch
from torch import Tensor, nn

from ...backends.threads import kernels_only
from ..checks import by, check_image, check_mask, size_of
from ..steps import Callback, Poll, Progress
from .regions import RING, regions
from .registry import METRICS, Metric, chosen
from .scores import REGIONS, Score
from .weights import WeightsSource, load_first

NAN = float("nan")
ROUNDING = 1e-5  # that sums of values in [0, 1] may leave over


def compare(
    result: Tensor,
    reference: Tensor,
    *,
    mask: Tensor | None = None,
    metrics: Sequence[str] | None = None,
    ring: int = RING,
    only: Sequence[str] | None = None,
    weights: WeightsSource | None = None,
    method: str = "result",
    images: Sequence[str] | None = None,
    callback: Callback | None = None,
    **settings,
) -> list[Score]:
    """Score every picture of a batch against its reference.

    result: (B, C, H, W), nominally [0, 1]; reference: the same, or one for all; of another size
    only where no chosen metric compares pixel by pixel. mask: (B or 1, 1, H, W); with one, the
    regions inside, ring (`ring` pixels wide) and outside are scored besides all; or `only` those
    named. metrics: names, None for every one there is. weights: where pretrained networks are read
    from. images: names of the pictures. settings: of metrics that take some (patch_size, samples,
    seed).

    For a region of a metric that compares pixel by pixel, the result is first replaced by the
    reference everywhere else, so that only the region's own errors count: outside the mask of a
    fill the error is exactly 0, whatever the metric's footprint. All is scored as it is.
    A metric that cannot be had, for want of weights or because a picture does not suit it, gives a
    row with value NaN and a note that says why; the others still come out.
    Raises ValueError for sizes or batches that do not fit together, and unknown names.
    """
    there = list(METRICS)
    names = there if metrics is None else chosen(metrics, there)
    wanted = [METRICS[name] for name in names]
    _check(result, reference, mask, wanted)
    there = REGIONS if mask is not None else ("all",)
    if not set(only or ()) <= set(there):
        told = "" if mask is not None else " without a mask"
        raise ValueError(f"only {', '.join(only or ())}: there is {', '.join(there)}{told}")
    if images is None:
        images = [str(index) for index in range(len(result))]
    if len(images) != len(result):
        raise ValueError(f"{len(images)} names do not fit {len(result)} pictures")
    progress = Progress(callback, len(result) * len(wanted), 1)
    networks = Networks(weights, progress.poll)
    settings["poll"] = progress.poll
    rows: list[Score] = []
    for index, name in enumerate(images):
        one = _Picture(
            result[index : index + 1],
            reference[index % len(reference)][None],
            None if mask is None else mask[index % len(mask)][None],
            ring,
            only,
        )
        progress.report(one.result, 0, index * len(wanted))  # so that the first can be interrupted
        for number, metric in enumerate(wanted):
            rows += one.score(metric, networks, settings, {"method": method, "image": name})
            progress.report(one.result, 0, index * len(wanted) + number + 1)
    return rows


class Networks:
    """The pretrained networks of metrics, each built once.

    poll: called before every layer, so that a pass over a large picture can be interrupted.
    """

    def __init__(self, weights: WeightsSource | None, poll: Poll | None = None):
        self.weights, self.poll = weights, poll
        self.built: dict[tuple, tuple[nn.Module, str]] = {}

    def of(self, metric: Metric, device: torch.device) -> tuple[list[nn.Module], str]:
        """What the metric takes after the images (its network, or nothing), and its weights' label.

        Raises MissingWeights.
        """
        if metric.network is None:
            return [], ""
        key = (metric.network, tuple(kind.name for kind in metric.kinds), device)
        if key not in self.built:
            loaded = [load_first(self.weights, [kind])[1] for kind in metric.kinds]
            network = metric.network(*(each.tensors for each in loaded))
            if self.poll is not None:
                _polled(network, self.poll)
            label = " + ".join(dict.fromkeys(each.label for each in loaded))
            self.built[key] = network.eval().requires_grad_(False).to(device), label
        network, label = self.built[key]
        return [network], label


def _polled(network: nn.Module, poll: Poll) -> None:
    """Have every layer of the network call `poll` before it works."""
    for layer in network.modules():
        if not any(layer.children()):
            layer.register_forward_pre_hook(lambda *_: poll())


class _Picture:
    """One picture, its reference and the regions of its mask."""

    def __init__(
        self,
        result: Tensor,
        reference: Tensor,
        mask: Tensor | None,
        ring: int,
        only: Sequence[str] | None,
    ):
        self.result, self.reference = result, reference
        self.regions: dict[str, Tensor | None] = {"all": None}
        if mask is not None:
            self.regions |= {k: v for k, v in regions(mask, ring).items() if k != "all"}
        if only is not None:
            self.regions = {name: self.regions[name] for name in only}
        low = float(torch.minimum(result.min(), reference.min()))
        high = float(torch.maximum(result.max(), reference.max()))
        fits = low >= -ROUNDING and high <= 1 + ROUNDING
        self.beyond = "" if fits else f"values from {low:.4g} to {high:.4g}"

    def score(self, metric: Metric, networks: Networks, settings: dict, about: dict) -> list[Score]:
        """A row for every region, or one that says why there is none."""
        about = about | {"metric": metric.name, "better": metric.better}
        try:
            network, label = networks.of(metric, self.result.device)
            self._suits(metric)
        except ValueError as error:  # missing weights among them
            return [Score(**about, region="all", value=NAN, note=str(error))]
        own = {name: settings[name] for name in metric.settings if name in settings}
        rows = []
        for name, region in self.regions.items():
            started = time.perf_counter()
            value, note = self._value(metric, network, name, region, own)
            seconds = round(time.perf_counter() - started, 4)
            measured = {"value": value, "weights": label, "seconds": seconds, "note": note}
            rows.append(Score(**about, region=name, **measured))
        return rows

    def _suits(self, metric: Metric) -> None:
        channels = self.result.shape[1]
        if metric.colours and channels not in metric.colours:
            raise ValueError(
                f"{metric.name} is defined for {' or '.join(map(str, metric.colours))} channels, "
                f"not {channels}"
            )

    def _value(self, metric, network, name, region, settings) -> tuple[float, str]:
        if region is not None and not region.any():
            where = "in the ring" if name == "ring" else name
            return NAN, f"the mask leaves no pixels {where}"
        given = self.result
        if region is not None and metric.aligned:
            given = torch.where(region, given, self.reference)
        notes = []
        if self.beyond:
            notes.append(f"{self.beyond}, outside [0, 1], {'clipped' if metric.clips else 'kept'}")
        if metric.perfect is not None and torch.equal(given, self.reference):
            return metric.perfect, "; ".join(notes)  # what it would say, at no cost
        try:
            # many small operations: faster on one thread, unless a network does the work
            with nullcontext() if network else kernels_only():
                values = metric.measure(given, self.reference, *network, region=region, **settings)
            if metric.note is not None:
                notes.append(metric.note(given, self.reference, region=region, **settings))
        except (ValueError, ImportError) as error:
            return NAN, str(error)
        return float(values), "; ".join(filter(None, notes))


def _check(
    result: Tensor, reference: Tensor, mask: Tensor | None, wanted: Sequence[Metric]
) -> None:
    check_image(result, "result")
    check_image(reference, "reference", batch=(1, len(result)))
    if result.shape[1] != reference.shape[1]:
        raise ValueError(
            f"the result has {result.shape[1]} channels, the reference {reference.shape[1]}; "
            "bring both to one number"
        )
    aligned = [metric.name for metric in wanted if metric.aligned]
    if aligned and size_of(result) != size_of(reference):
        raise ValueError(
            f"the result is {by(size_of(result))}, the reference {by(size_of(reference))}; resize "
            f"one of them, or leave out {', '.join(aligned)}, which compare pixel by pixel"
        )
    if mask is not None:
        check_mask(mask, "mask", size_of(result), len(result))
