"""Samples of one picture as the nodes take them."""

import math

import pytest
import torch

from internal_methods.nodes.sample_metrics import Diversity, SingleImageScore


def noise(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def score(images, reference, metrics="", mask=None, samples=50):
    with torch.inference_mode():
        values = (metrics, 5, samples, "mine", 0, "auto")
        [rows] = SingleImageScore.execute(images, reference, *values, mask=mask).args
    return rows


def test_rows_for_a_batch_against_a_reference_of_another_size():
    reference = noise(1, 24, 30, 3)
    images = torch.stack([reference[0, :20, :26], noise(20, 26, 3, seed=1)])
    rows = {(row.metric, row.image): row for row in score(images, reference)}
    assert {row.method for row in rows.values()} == {"mine"}
    assert rows["coherence", "0"].value == 0 < rows["coherence", "1"].value
    assert rows["copy_rate", "0"].value == 1 and rows["copy_rate", "1"].value == 0
    assert rows["patch_ot", "0"].value < rows["patch_ot", "1"].value
    assert rows["patch_ot", "0"].note == "50 of 352 and 50 of 520 patches of 5; exact"
    assert rows["completeness", "0"].value > 0 and rows["tv", "1"].better == ""
    lacking = rows["sifid", "0"]  # no weights are there
    assert math.isnan(lacking.value) and lacking.note


def test_only_what_is_asked_for_and_the_inside_of_a_mask():
    reference = noise(1, 24, 30, 4)  # alpha is left out
    images = reference.clone()
    images[:, 8:18, 8:18, :3] = 0
    mask = torch.zeros(1, 24, 30)
    mask[:, 8:18, 8:18] = 1
    rows = {r.region: r for r in score(images, reference, "patch_ot", mask=mask, samples=0)}
    assert list(rows) == ["all", "inside"]
    assert rows["inside"].note == "all 100 patches of 5; exact"
    assert 0 < rows["all"].value < rows["inside"].value


def test_diversity_and_its_picture():
    images = torch.full((2, 8, 9, 3), 0.25)
    images[1, 2, 3] = 0.75
    reference = noise(1, 12, 12, 3)
    with torch.inference_mode():
        rows, picture, mean = Diversity.execute(images, "mine", reference=reference).args
        (alone,), *_ = Diversity.execute(images, "mine").args
    assert [row.metric for row in rows] == ["pixel_deviation", "diversity"]
    assert alone == rows[0] and alone.value == pytest.approx(0.25 / 72)
    spread = reference.double().std(dim=(0, 1, 2), correction=0).mean().item()
    assert rows[1].value == pytest.approx(0.25 / 72 / spread)
    assert picture.shape == (1, 8, 9, 3) and picture[0, 2, 3].tolist() == [0.5] * 3
    assert picture.sum() == 1.5
    assert mean.shape == (1, 8, 9, 3) and mean[0, 2, 3, 0] == 0.5 and mean[0, 0, 0, 0] == 0.25
    with pytest.raises(ValueError, match="at least 2"):
        Diversity.execute(images[:1], "mine")
