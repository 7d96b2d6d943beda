"""Which way to fill a hole suits this picture: tried on known regions of the same shape."""

import logging
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .candidates import Candidate
from .checks import check_image, check_mask, size_of
from .contact_sheet import contact_sheet
from .hidden_regions import hidden_regions
from .metrics.compare import compare
from .metrics.registry import METRICS
from .metrics.scores import Score
from .metrics.weights import WeightsSource
from .morphology import bounding_box
from .steps import Callback, Step

log = logging.getLogger(__name__)

JUDGES = ("lpips_alex", "lpips_vgg", "dists", "flip", "patch_ot", "sharpness")
SHOWN = ("psnr", "ssim")  # reported, not judged by: the blur of an average would win
AROUND = 64  # pixels around a hidden region that metrics see
SIGHT = 0.5  # of the longer side of a hidden region: what the sheet shows around it
ALIKE = 1e-9  # mean ranks that do not differ


@dataclass(frozen=True)
class SelfTest:
    """What a self-test found.

    rows: a row for every candidate, place and metric, and one for every candidate with its mean
    rank. sheet: (1, 3, H, W), the hidden regions and what the candidates made of them. recommended:
    name of the best candidate. reason: how it was chosen, in words.
    """

    rows: list[Score]
    sheet: Tensor
    recommended: str
    reason: str


@dataclass
class _Attempt:
    """One candidate at one place: what it made, or why it could not."""

    fill: Tensor | None
    seconds: float
    rows: list[Score]
    error: str = ""


def self_test(
    image: Tensor,
    mask: Tensor,
    candidates: Sequence[Candidate],
    *,
    trials: int = 3,
    margin: int = 16,
    metrics: Sequence[str] | None = None,
    weights: WeightsSource | None = None,
    seed: int = 0,
    callback: Callback | None = None,
) -> SelfTest:
    """Hide known regions of the hole's shape elsewhere in the picture, have every candidate fill
    them, and see which comes nearest to what was there.

    image: (T, C, H, W) floating, nominally [0, 1]: a picture (T = 1) or the frames of a clip. mask:
    (T or 1, 1, H, W), 1 = hole. trials, margin, seed: of `hidden_regions`. metrics: names to score
    by, default JUDGES and SHOWN as far as there are such. weights: where networks are read from;
    a metric whose weights are missing is left out.
    A candidate gets the picture without what is in the real hole and in the hidden region, both to
    fill; it is scored inside the hidden region alone (a clip frame by frame, and the mean taken).
    Recommended is who has the lowest mean rank over all places and all JUDGES among the metrics:
    1 = best of the candidates at a place by a metric; equals share a rank, and who failed is last.
    Among equals it is the faster. PSNR and SSIM are no judges: they prefer blur to texture.
    Raises ValueError for sizes that do not fit, an empty mask, one that leaves no other place, and
    where no candidate succeeds anywhere.
    """
    check_image(image, "image")
    check_mask(mask, "mask", size_of(image), len(image))
    names = _metric_names(metrics)
    mask = mask.expand(len(image), -1, -1, -1)
    hidden = hidden_regions(mask, trials=trials, margin=margin, seed=seed).to(image.device)
    if len(hidden) < trials:
        log.warning("there are %d places for the hole to hide it at, not %d", len(hidden), trials)
    attempts: list[list[_Attempt]] = []
    for place, region in enumerate(hidden):
        given, holes = _blanked(image, (mask > 0) | region), ((mask > 0) | region).float()
        attempts.append([])
        for number, candidate in enumerate(candidates):
            step = _Part(callback, place * len(candidates) + number, len(hidden) * len(candidates))
            attempt = _attempt(candidate, given, holes, seed + place, step)
            if attempt.fill is not None:
                about = {"method": candidate.name, "image": f"place {place + 1}"}
                attempt.rows = _scored(attempt, image, region, names, weights, about, step)
            attempts[-1].append(attempt)
    ranks, judges = _mean_ranks(attempts)
    best = _best(ranks, attempts)
    summary = _summary(candidates, ranks, judges, attempts, best)
    rows = [row for place in attempts for attempt in place for row in attempt.rows]
    reason = _reason(candidates, ranks, judges, attempts, best)
    sheet = _sheet(image, mask > 0, hidden, candidates, attempts, ranks, best)
    return SelfTest([*summary, *rows], sheet, candidates[best].name, reason)


class _Part:
    """The callback of one candidate at one place, a part of the whole work."""

    PIECES = 100

    def __init__(self, callback: Callback | None, part: int, parts: int):
        self.callback, self.part, self.parts = callback, part, parts
        self.latest: Step | None = None

    def __call__(self, step: Step) -> None:
        done = self.part * self.PIECES + self.PIECES * step.done // max(1, step.total)
        self.tell(Step(done, self.parts * self.PIECES, 0, 1, step.image))

    def poll(self, _: Step) -> None:
        """While it is scored: the same again, so that cancel comes through."""
        if self.latest is not None:
            self.tell(self.latest)

    def tell(self, step: Step) -> None:
        self.latest = step
        if self.callback is not None:
            self.callback(step)


def _metric_names(metrics: Sequence[str] | None) -> list[str]:
    if metrics is None:
        return [name for name in (*JUDGES, *SHOWN) if name in METRICS]
    names = list(metrics)
    if not any(name in JUDGES for name in names):
        raise ValueError(
            f"none of the metrics {', '.join(names)} can judge a fill; "
            f"name at least one of {', '.join(name for name in JUDGES if name in METRICS)}"
        )
    return names


def _blanked(image: Tensor, holes: Tensor) -> Tensor:
    """The frames with their holes filled with the mean of what is known."""
    known = (~holes).to(image.dtype)
    mean = (image * known).sum((2, 3), keepdim=True) / known.sum((2, 3), keepdim=True).clamp(min=1)
    return torch.where(holes, mean, image)


def _attempt(
    candidate: Candidate, image: Tensor, holes: Tensor, seed: int, callback: Callback
) -> _Attempt:
    started = time.perf_counter()
    try:
        fill = candidate.fill(image, holes, source_mask=1 - holes, seed=seed, callback=callback)
    except ValueError as error:
        return _Attempt(None, time.perf_counter() - started, [], str(error))
    return _Attempt(fill, time.perf_counter() - started, [])


def _scored(
    attempt: _Attempt,
    truth: Tensor,
    region: Tensor,
    names: Sequence[str],
    weights: WeightsSource | None,
    about: dict[str, str],
    callback: "_Part",
) -> list[Score]:
    """A row for each metric, inside the hidden region; of a clip, the mean over its frames."""
    assert attempt.fill is not None
    frames = [frame for frame in range(len(region)) if region[frame].any()]
    box = bounding_box(region.any(0, keepdim=True), AROUND)
    colours = 3 if truth.shape[1] >= 3 else 1
    part = (frames, slice(None, colours), *box)
    rows = compare(
        attempt.fill[part],
        truth[part],
        mask=region[(frames, slice(None), *box)].float(),
        metrics=names,
        weights=weights,
        method=about["method"],
        callback=callback.poll,
    )
    found = []
    for name in names:
        own = [row for row in rows if row.metric == name]
        inside = [row for row in own if row.region == "inside"] or own
        row = replace(inside[0], **about, region="inside")
        values = [each.value for each in inside if not math.isnan(each.value)]
        if len(frames) > 1 and values:
            note = f"mean of {len(values)} frames"
            row = replace(
                row,
                value=sum(values) / len(values),
                seconds=round(sum(each.seconds for each in inside), 4),
                note="; ".join(filter(None, (row.note, note))),
            )
        found.append(row)
    return found


def _mean_ranks(attempts: list[list[_Attempt]]) -> tuple[list[float], list[str]]:
    """The mean rank of each candidate over places and judges, and the judges there were."""
    totals, count, judges = [0.0] * len(attempts[0]), 0, []
    for place in attempts:
        for judge in JUDGES:
            values = [_value(attempt, judge) for attempt in place]
            if all(math.isnan(value) for value in values):
                continue
            if judge not in judges:
                judges.append(judge)
            count += 1
            for index, rank in enumerate(_ranks(values)):
                totals[index] += rank
    if not count:
        errors = [attempt.error for place in attempts for attempt in place if attempt.error]
        notes = [row.note for place in attempts for attempt in place for row in attempt.rows]
        raise ValueError(f"no candidate could be judged: {(errors + notes + ['no metric'])[0]}")
    return [total / count for total in totals], judges


def _value(attempt: _Attempt, metric: str) -> float:
    """The metric's value, turned so that lower is better; NaN where there is none."""
    for row in attempt.rows:
        if row.metric == metric:
            return -row.value if row.better == "higher" else row.value
    return math.nan


def _ranks(values: Sequence[float]) -> list[float]:
    """1 = lowest; equals share the mean of their ranks, NaN comes last."""
    values = [math.inf if math.isnan(value) else value for value in values]
    return [
        sum(other < value for other in values) + (sum(other == value for other in values) + 1) / 2
        for value in values
    ]


def _seconds(attempts: list[list[_Attempt]], index: int) -> float:
    return sum(place[index].seconds for place in attempts)


def _best(ranks: Sequence[float], attempts: list[list[_Attempt]]) -> int:
    least = min(ranks)
    equal = [index for index, rank in enumerate(ranks) if rank <= least + ALIKE]
    return min(equal, key=lambda index: _seconds(attempts, index))


def _summary(
    candidates: Sequence[Candidate],
    ranks: Sequence[float],
    judges: Sequence[str],
    attempts: list[list[_Attempt]],
    best: int,
) -> list[Score]:
    """A row for each candidate with its mean rank, and one for each place at which it failed."""
    rows = []
    for index, candidate in enumerate(candidates):
        note = f"mean rank of {len(candidates)} by {', '.join(judges)} at {len(attempts)} places"
        rows.append(
            Score(
                candidate.name,
                "all places",
                "rank",
                "inside",
                ranks[index],
                "lower",
                seconds=round(_seconds(attempts, index), 4),
                note=f"recommended: {note}" if index == best else note,
            )
        )
        for number, place in enumerate(attempts, 1):
            if place[index].error:
                where, why = f"place {number}", f"failed: {place[index].error}"
                rows.append(
                    Score(candidate.name, where, "rank", "inside", math.nan, "lower", note=why)
                )
    return rows


def _reason(
    candidates: Sequence[Candidate],
    ranks: Sequence[float],
    judges: Sequence[str],
    attempts: list[list[_Attempt]],
    best: int,
) -> str:
    order = sorted(range(len(ranks)), key=lambda index: (ranks[index], index != best))
    places = f"{len(attempts)} hidden region{'s' if len(attempts) > 1 else ''}"
    lines = [
        f"Recommended: {candidates[best].name}",
        f"Lowest mean rank over {places}, by {', '.join(judges)} (1 = best of {len(ranks)}; among "
        "equals the faster).",
    ]
    lines += [
        f"{candidates[index].name}: rank {ranks[index]:.2f}, {_seconds(attempts, index):.1f} s"
        for index in order
    ]
    return "\n".join(lines)


def _sheet(
    image: Tensor,
    hole: Tensor,
    hidden: Tensor,
    candidates: Sequence[Candidate],
    attempts: list[list[_Attempt]],
    ranks: Sequence[float],
    best: int,
) -> Tensor:
    """A row for each place: where it is, what was there, and what each candidate made of it."""
    rows, captions = [], []
    for number, (region, place) in enumerate(zip(hidden, attempts, strict=True), 1):
        frame = int(region.flatten(1).sum(1).argmax())
        one = region[frame][None]
        longest = max(s.stop - s.start for s in bounding_box(one, 0))
        box = (slice(None), slice(None), *bounding_box(one, round(SIGHT * longest)))
        truth = image[frame][None, :3]
        where = torch.where(one | hole[frame], 0.25 * truth, truth)
        where = torch.where(one, 1 - 0.75 * (1 - truth), where)
        failed = torch.full_like(truth[box], 0.5)
        fills = [failed if each.fill is None else each.fill[frame][None, :3][box] for each in place]
        rows.append([where, truth[box], *fills])
        told = f"place {number}" if len(image) == 1 else f"place {number}, frame {frame + 1}"
        below = ["failed" if each.fill is None else f"{each.seconds:.1f} s" for each in place]
        captions.append([told, "", *below])
    heads = [
        f"{candidate.name}\nrank {rank:.2f}{', recommended' if index == best else ''}"
        for index, (candidate, rank) in enumerate(zip(candidates, ranks, strict=True))
    ]
    headings = ["hidden (light), hole (dark)", "what was there", *heads]
    return contact_sheet(rows, headings, captions)
