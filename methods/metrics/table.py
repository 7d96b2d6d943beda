"""Scores of several methods side by side: as text, CSV and JSON."""

import csv
import io
import json
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from .scores import COLUMNS, Score


@dataclass(frozen=True)
class Line:
    """One metric in one region: the values of every method that has any, image by image."""

    metric: str
    region: str
    better: str
    values: dict[str, list[float]]

    def mean(self, method: str) -> float:
        """Over the images; NaN where the method has no value."""
        known = self.values.get(method)
        return statistics.fmean(known) if known else math.nan

    def best(self) -> list[str]:
        """The methods of the best mean; none if no direction is better, or all are alike."""
        means = {m: self.mean(m) for m in self.values if self.values[m]}
        if not self.better or len(set(means.values())) < 2:
            return []
        pick = max if self.better == "higher" else min
        wanted = pick(means.values())
        return [method for method, mean in means.items() if mean == wanted]


def methods_of(scores: Sequence[Score]) -> list[str]:
    """In the order in which they come."""
    return list(dict.fromkeys(score.method for score in scores))


def lines(scores: Sequence[Score]) -> list[Line]:
    """The scores by metric and region, in the order in which these come."""
    found: dict[tuple[str, str], Line] = {}
    for score in scores:
        key = score.metric, score.region
        line = found.setdefault(key, Line(score.metric, score.region, score.better, {}))
        known = line.values.setdefault(score.method, [])
        if not math.isnan(score.value):
            known.append(score.value)
    return list(found.values())


def as_text(scores: Sequence[Score]) -> str:
    """A table for reading: a row for every metric and region, a column for every method.

    Means over the images, with the standard deviation (of the images at hand, divided by n) where
    there are several; * marks the best mean. Below stand the weights that were used and the notes,
    each once.
    """
    if not scores:
        return "no scores"
    methods = methods_of(scores)
    head = ["metric", "region", "better", *methods]
    body = [
        [line.metric, line.region, line.better or "-", *(_cell(line, m) for m in methods)]
        for line in lines(scores)
    ]
    widths = [max(len(row[i]) for row in (head, *body)) for i in range(len(head))]
    rows = [head, ["-" * width for width in widths], *body]
    table = "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
    return "\n\n".join([table, *_remarks(scores)])


def _cell(line: Line, method: str) -> str:
    known = line.values.get(method)
    if not known:
        return "-"
    text = short(line.mean(method))
    if len(known) > 1 and all(map(math.isfinite, known)):
        text += f" +- {short(statistics.pstdev(known))}"
    return f"{text} *" if method in line.best() else text


def short(value: float) -> str:
    """Four digits that matter, all digits of a large number."""
    return f"{value:.0f}" if 1e4 <= abs(value) < 1e9 else f"{value:.4g}"


def _remarks(scores: Sequence[Score]) -> list[str]:
    weights: dict[str, list[str]] = {}
    notes: dict[str, list[str]] = {}
    for score in scores:
        if score.weights:
            weights.setdefault(score.weights, []).append(score.metric)
        if score.note:
            notes.setdefault(score.note, []).append(score.metric)
    told = [f"{_listed(who)}: {what}" for what, who in notes.items()]
    used = [f"{_listed(who)}: weights {what}" for what, who in weights.items()]
    return ["\n".join(part) for part in (used, told) if part]


def _listed(names: list[str]) -> str:
    return ", ".join(dict.fromkeys(names))


def as_csv(scores: Sequence[Score]) -> str:
    """One line for every score, after a line with the names of the columns."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(score.as_row() for score in scores)
    return text.getvalue()


def as_json(scores: Sequence[Score]) -> str:
    """A list of objects; infinities are "inf", what could not be measured is null."""
    return json.dumps([score.as_row() for score in scores], indent=1)
