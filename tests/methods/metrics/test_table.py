"""Text, CSV, JSON and the plot, out of the same rows."""

import csv
import io
import json
import math

import pytest
import torch

from internal_methods.methods.metrics import Score
from internal_methods.methods.metrics.plot import plot
from internal_methods.methods.metrics.table import as_csv, as_json, as_text

ROWS = [
    Score("patch", "0", "psnr", "all", 20.0, "higher"),
    Score("patch", "1", "psnr", "all", 24.0, "higher"),
    Score("mean", "0", "psnr", "all", 23.0, "higher"),
    Score("mean", "1", "psnr", "all", 25.0, "higher"),
    Score("patch", "0", "lpips_alex", "all", 0.25, "lower", "alex.pth 12345678", 0.5),
    Score("mean", "0", "lpips_alex", "all", 0.75, "lower", "alex.pth 12345678", 0.5),
    Score("patch", "0", "tv", "all", 81234.5, ""),
    Score("patch", "0", "dists", "all", math.nan, "lower", note="no weights of vgg16, put them"),
    Score("copy", "0", "psnr", "all", math.inf, "higher"),
]


def cells(text, metric):
    line = next(line for line in text.splitlines() if line.startswith(metric))
    return [cell.strip() for cell in line.split("  ") if cell.strip()]


def test_text_gives_means_and_marks_the_best():
    text = as_text(ROWS)
    assert cells(text, "metric") == ["metric", "region", "better", "patch", "mean", "copy"]
    assert cells(text, "psnr") == ["psnr", "all", "higher", "22 +- 2", "24 +- 1", "inf *"]
    assert cells(text, "lpips_alex") == ["lpips_alex", "all", "lower", "0.25 *", "0.75", "-"]
    assert cells(text, "tv")[3] == "81234"
    assert "lpips_alex: weights alex.pth 12345678" in text
    assert "dists: no weights of vgg16, put them" in text


def test_equals_have_no_best():
    rows = [Score(name, "0", "l1", "outside", 0.0, "lower") for name in ("a", "b")]
    assert "*" not in as_text(rows)
    assert as_text([]) == "no scores"


def test_csv_and_json_hold_every_row():
    read = list(csv.DictReader(io.StringIO(as_csv(ROWS))))
    assert len(read) == len(ROWS)
    assert read[4]["value"] == "0.25" and read[4]["weights"] == "alex.pth 12345678"
    assert read[7]["value"] == "" and read[7]["note"] == "no weights of vgg16, put them"
    assert read[8]["value"] == "inf"
    rows = json.loads(as_json(ROWS))
    assert [row["value"] for row in rows[6:]] == [81234.5, None, "inf"]
    assert set(rows[0]) == set(read[0])


def coloured(picture, left, top, right, bottom):
    """How many pixels of a part are neither paper nor grey."""
    part = picture[0, :, top:bottom, left:right]
    return int(((part.max(dim=0).values - part.min(dim=0).values) > 0.2).sum())


def test_plot_draws_larger_values_as_higher_bars():
    rows = [Score("a", "0", "l1", "all", 1.0, "lower"), Score("b", "0", "l1", "all", 0.5, "lower")]
    picture = plot(rows)
    width = picture.shape[3]
    assert picture.dtype == torch.float32 and 0 <= picture.min() and picture.max() <= 1
    first = coloured(picture, 0, 70, width // 2, 9999)
    second = coloured(picture, width // 2, 70, width, 9999)
    assert 1.7 < first / second < 2.3


def test_plot_has_a_panel_for_every_metric_of_the_region():
    inside = Score("patch", "0", "psnr", "inside", 3.0, "higher")
    wide = plot([*ROWS, inside])
    assert wide.shape[3] > 3 * 250  # psnr, lpips_alex and tv; dists has no value
    assert plot([*ROWS, inside], "inside").shape[3] < 2 * 250
    assert plot([], "all").shape[1] == 3
    alone = plot([row for row in ROWS if row.method == "patch"])
    assert alone.shape[2] == 36 + 26 * 6 and alone.min() < 0.3  # four metrics, written out
    with pytest.raises(ValueError, match="'here' is not one of auto, all"):
        plot(ROWS, "here")
