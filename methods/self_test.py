"""Which way to fill a hole suits this picture: tried on known regions of the same shape."""

import logging
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

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
from .morphology import bounding_box, grown
from .steps import Callback, Step

log = logging.getLogger(__name__)

JUDGES = ("lpips_alex", "lpips_vgg", "dists", "flip", "patch_ot", "sharpness")  # lower is better
SHOWN = ("psnr", "ssim")  # reported, not judged by: the blur of an average would win
AROUND = 32  # pixels around a hidden region that metrics see
SAMPLES = 512  # patches of each fill that patch transport compares, the same places for all
SIGHT = 0.5  # of the longer side of a hidden region: what the sheet shows around it
OUTLINE = torch.tensor([1.0, 0.85, 0.0]).view(1, 3, 1, 1)
ALIKE = 1e-9  # mean ranks that do not differ
OFF = "visibly smoother or rougher than what was there"
VISIBLE = math.log(1 / 0.7)  # of sharpness: less than 0.7 of the gradients is seen as blur


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
    """One candidate at one place: what it made, or why it could not.

    fill: (T, C, H, W) until it is scored, then only what the sheet shows of it, (1, 3, h, w): the
    fills of a clip would not all fit into memory.
    """

    name: str
    fill: Tensor | None
    seconds: float
    error: str = ""
    rows: list[Score] = field(default_factory=list)


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
    Among equals it is the faster. PSNR and SSIM are no judges: they prefer blur to texture. flip
    and patch_ot lean that way too, so whose fills have visibly other gradients than what was there
    (less than 0.7 or more than 1.4 times, on average) is recommended only if that is true of all.
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
    places: list[_Place] = []
    for place, region in enumerate(hidden):
        unknown = (mask > 0) | region
        given, holes = _blanked(image, unknown), unknown.to(image.dtype)
        part = place * len(candidates)
        attempts.append([])
        for number, candidate in enumerate(candidates):
            step = _Part(callback, part + number, len(hidden) * len(candidates))
            attempts[-1].append(_attempt(candidate, given, holes, seed + place, step))
            step.finish(image)
        _score(attempts[-1], image, region, names, weights, place, step.poll)
        places.append(_Place.of(image, mask > 0, region))
        for attempt in attempts[-1]:
            attempt.fill = None if attempt.fill is None else places[-1].shown(attempt.fill)
    ranks, judges = _mean_ranks(attempts)
    best = _best(ranks, attempts)
    summary = _summary(candidates, ranks, judges, attempts, best)
    rows = [row for place in attempts for attempt in place for row in attempt.rows]
    reason = _reason(candidates, ranks, judges, attempts, best)
    sheet = _sheet(places, candidates, attempts, ranks, best)
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

    def finish(self, image: Tensor) -> None:
        self.tell(Step((self.part + 1) * self.PIECES, self.parts * self.PIECES, 0, 1, image))

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
    started, fill, error = time.perf_counter(), None, ""
    try:
        fill = candidate.fill(image, holes, source_mask=1 - holes, seed=seed, callback=callback)
    except ValueError as refusal:
        error = str(refusal)
    return _Attempt(candidate.name, fill, time.perf_counter() - started, error)


def _score(
    attempts: list[_Attempt],
    truth: Tensor,
    region: Tensor,
    names: Sequence[str],
    weights: WeightsSource | None,
    place: int,
    poll: Callback,
) -> None:
    """Give every attempt at a place its rows, one for each metric, inside the hidden region.

    All are compared at once, so that networks are loaded once.
    """
    made = [attempt for attempt in attempts if attempt.fill is not None]
    frames = [frame for frame in range(len(region)) if region[frame].any()]
    box = bounding_box(region.any(0, keepdim=True), AROUND)
    part = (frames, slice(None, 3 if truth.shape[1] >= 3 else 1), *box)
    fills = [attempt.fill[part] for attempt in made if attempt.fill is not None]
    if not fills:
        return
    rows = compare(
        torch.cat(fills),
        truth[part].repeat(len(fills), 1, 1, 1),
        mask=region[(frames, slice(None), *box)].float().repeat(len(fills), 1, 1, 1),
        metrics=names,
        only=["inside"],
        weights=weights,
        images=[str(number) for number in range(len(fills)) for _ in frames],
        samples=SAMPLES,
        callback=poll,
    )
    for number, attempt in enumerate(made):
        for name in names:
            own = [row for row in rows if row.image == str(number) and row.metric == name]
            where = {"method": attempt.name, "image": f"place {place + 1}", "region": "inside"}
            attempt.rows.append(replace(_mean(own), **where))


def _mean(rows: Sequence[Score]) -> Score:
    """One row for those of the frames of a clip."""
    values = [row.value for row in rows if not math.isnan(row.value)]
    if len(rows) == 1 or not values:
        return rows[0]
    notes = dict.fromkeys(row.note for row in rows if row.note)
    return replace(
        rows[0],
        value=sum(values) / len(values),
        seconds=round(sum(row.seconds for row in rows), 4),
        note="; ".join([*notes, f"mean of {len(values)} frames"]),
    )


def _mean_ranks(attempts: list[list[_Attempt]]) -> tuple[list[float], list[str]]:
    """The mean rank of each candidate over places and judges, and the judges there were."""
    ranked = [_ranks_at(place) for place in attempts]
    every = [ranks for place in ranked for ranks in place.values()]
    if not every:
        errors = [attempt.error for place in attempts for attempt in place if attempt.error]
        notes = [row.note for place in attempts for attempt in place for row in attempt.rows]
        raise ValueError(f"no candidate could be judged: {(errors + notes + ['no metric'])[0]}")
    judges = [judge for judge in JUDGES if any(judge in place for place in ranked)]
    return _column_means(every), judges


def _ranks_at(place: list[_Attempt]) -> dict[str, list[float]]:
    """The ranks of all candidates at one place, by every judge that has a value there."""
    values = {judge: [_value(attempt, judge) for attempt in place] for judge in JUDGES}
    return {
        judge: _ranks(each)
        for judge, each in values.items()
        if not all(math.isnan(value) for value in each)
    }


def _column_means(rows: Sequence[Sequence[float]]) -> list[float]:
    return [sum(column) / len(rows) for column in zip(*rows, strict=True)]


def _value(attempt: _Attempt, metric: str) -> float:
    """The metric's value; NaN where there is none."""
    return next((row.value for row in attempt.rows if row.metric == metric), math.nan)


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
    made = [i for i in range(len(ranks)) if any(place[i].fill is not None for place in attempts)]
    fit = [index for index in made if not _off(attempts, index)] or made
    least = min(ranks[index] for index in fit)
    equal = [index for index in fit if ranks[index] <= least + ALIKE]
    return min(equal, key=lambda index: _seconds(attempts, index))


def _off(attempts: list[list[_Attempt]], index: int) -> bool:
    """Whether a candidate's fills are visibly smoother or rougher than what was there."""
    known = [_value(place[index], "sharpness") for place in attempts]
    known = [value for value in known if not math.isnan(value)]
    return bool(known) and sum(known) / len(known) > VISIBLE


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
        note = f"{note}; {OFF}" if _off(attempts, index) else note
        rows.append(
            Score(
                candidate.name,
                "all places",
                "rank",
                "inside",
                ranks[index],
                "lower",
                seconds=round(_seconds(attempts, index), 4),
                note=f"{candidate.name} is recommended: {note}" if index == best else note,
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
        "equals the faster), of those whose fills are not visibly smoother or rougher.",
    ]
    for index in order:
        line = f"{candidates[index].name}: rank {ranks[index]:.2f}, "
        line += f"{_seconds(attempts, index):.1f} s"
        lines.append(f"{line}, {OFF}" if _off(attempts, index) else line)
    return "\n".join(lines)


@dataclass(frozen=True)
class _Place:
    """What the sheet shows of a hidden region. where: the picture. truth: what is around it."""

    frame: int
    box: tuple[slice, slice]
    where: Tensor
    truth: Tensor
    frames: int

    @classmethod
    def of(cls, image: Tensor, hole: Tensor, region: Tensor) -> "_Place":
        frame = int(region.flatten(1).sum(1).argmax())
        one = region[frame][None]
        longest = max(side.stop - side.start for side in bounding_box(one, 0))
        box = bounding_box(one, round(SIGHT * longest))
        truth = image[frame][None, :3].expand(-1, 3, -1, -1)
        line = grown(one, max(1, max(size_of(image)) // 128)) & ~one
        where = torch.where(hole[frame], 0.25 * truth, truth)
        where = torch.where(line, OUTLINE.to(truth), where)
        return cls(frame, box, where, truth[(..., *box)], len(image))

    def shown(self, fill: Tensor) -> Tensor:
        """That part of a fill, as a copy."""
        return fill[self.frame, None, :3][(..., *self.box)].clone()


def _sheet(
    places: Sequence[_Place],
    candidates: Sequence[Candidate],
    attempts: list[list[_Attempt]],
    ranks: Sequence[float],
    best: int,
) -> Tensor:
    """A row for each place: where it is, what was there, and what each candidate made of it."""
    rows, captions = [], []
    for number, (place, tried) in enumerate(zip(places, attempts, strict=True), 1):
        failed = torch.full_like(place.truth, 0.5)
        fills = [failed if each.fill is None else each.fill for each in tried]
        rows.append([place.where, place.truth, *fills])
        told = f"place {number}" + (f", frame {place.frame + 1}" if place.frames > 1 else "")
        here = _column_means(list(_ranks_at(tried).values())) or [math.nan] * len(tried)
        below = [
            "failed" if each.fill is None else f"rank {rank:.2f} here"
            for each, rank in zip(tried, here, strict=True)
        ]
        captions.append([told, "", *below])
    heads = [
        f"{candidate.name}\nrank {rank:.2f}{', recommended' if index == best else ''}"
        for index, (candidate, rank) in enumerate(zip(candidates, ranks, strict=True))
    ]
    headings = ["outlined: hidden\ndark: the real hole", "what was there", *heads]
    return contact_sheet(rows, headings, captions)
