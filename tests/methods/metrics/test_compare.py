"""Rows: regions, batches, notes, and what is refused."""

import math

import pytest
import torch
import torch.nn.functional as F

from internal_methods.methods.metrics import METRICS, Score, compare, pixels
from internal_methods.methods.metrics.regions import regions
from internal_methods.methods.metrics.weights import Loaded
from random_weights import random_weights

ALIGNED = [name for name, metric in METRICS.items() if metric.aligned and not metric.kinds]


def picture(seed, size=(170, 180), batch=1, channels=3):
    numbers = torch.Generator().manual_seed(seed)
    coarse = torch.rand(batch, channels, size[0] // 4, size[1] // 4, generator=numbers)
    return F.interpolate(coarse, size, mode="bilinear").clamp(0, 1)


def hole(size=(170, 180)):
    mask = torch.zeros(1, 1, *size)
    mask[..., 60:110, 70:120] = 1
    mask[..., 58:60, 70:120] = 0.3  # a feathered edge
    return mask


def by_region(rows):
    return {(row.metric, row.region): row for row in rows}


def test_regions_are_what_they_are_said_to_be():
    found = regions(hole(), ring=3)
    assert found["inside"].sum() == 50 * 50
    assert found["ring"].sum() == 56 * 56 - 50 * 50
    assert found["outside"].sum() == 170 * 180 - 50 * 50 - 2 * 50
    assert not (found["inside"] & found["ring"]).any()


def test_outside_of_a_fill_there_is_no_error_at_all():
    mask, truth = hole(), picture(0)
    fill = torch.where(mask > 0, picture(1), truth)
    rows = by_region(compare(fill, truth, mask=mask, metrics=ALIGNED))
    perfect = {"psnr": math.inf, "ssim": 1, "ssim_uniform8": 1, "ms_ssim": 1}
    for name in ALIGNED:
        assert rows[name, "outside"].value == perfect.get(name, 0), name
        assert rows[name, "inside"].value != perfect.get(name, 0), name


def test_only_the_errors_of_a_region_count_in_it():
    mask, truth, result = hole(), picture(0), picture(1)
    rows = by_region(compare(result, truth, mask=mask, metrics=["l1", "flip"], ring=5))
    for name, region in regions(mask, 5).items():
        wanted = pixels.l1(result, truth, region=region).item()
        assert rows["l1", name].value == pytest.approx(wanted, rel=1e-6), name
    elsewhere = torch.where(mask > 0.5, result, truth)
    alone = by_region(compare(elsewhere, truth, mask=mask, metrics=["flip"], ring=5))
    assert rows["flip", "inside"].value == alone["flip", "inside"].value


def test_a_batch_gives_a_row_for_each_picture_and_shares_one_reference():
    result = picture(0, batch=3)
    rows = compare(result, result[1:2], metrics=["psnr"], method="copy", images=["a", "b", "c"])
    assert [(r.method, r.image, r.region) for r in rows] == [
        ("copy", "a", "all"),
        ("copy", "b", "all"),
        ("copy", "c", "all"),
    ]
    assert [math.isinf(row.value) for row in rows] == [False, True, False]


def test_infinity_and_nothing_are_words_in_json():
    row = Score("m", "0", "psnr", "all", math.inf, "higher")
    assert row.as_row()["value"] == "inf"
    assert Score("m", "0", "psnr", "all", math.nan, "higher").as_row()["value"] is None


def test_values_beyond_the_range_are_said_and_not_clipped():
    truth = picture(0)
    row, clipped = compare(truth * 1.5 - 0.1, truth, metrics=["l1", "flip"])
    assert "outside [0, 1], kept" in row.note and "from -0.0" in row.note
    assert row.value == pytest.approx((truth * 0.5 - 0.1).abs().mean().item(), rel=1e-5)
    assert "outside [0, 1], clipped" in clipped.note


def test_missing_weights_leave_the_others():
    lacking = [name for name, metric in METRICS.items() if metric.kinds]
    rows = compare(picture(0), picture(1), metrics=["l1", *lacking])
    for row in rows:
        assert (row.metric == "l1") == (not math.isnan(row.value)), row
        assert row.metric == "l1" or "weights" in row.note


class RandomWeights:
    """A source that has every network, with weights drawn at random."""

    def load(self, kind):
        return Loaded(random_weights(kind), f"{kind.name} 00000000")


def test_a_network_can_be_interrupted_between_its_layers():
    class Stopped(Exception):
        pass

    calls = []

    def stop_soon(step):
        calls.append(step.done)
        if len(calls) == 5:
            raise Stopped

    with pytest.raises(Stopped):
        compare(picture(0), picture(1), metrics=["lpips_alex"], weights=RandomWeights(),
                callback=stop_soon)  # fmt: skip
    assert calls == [0] * 5  # within the first and only metric


def test_a_row_names_the_weights_it_is_made_with():
    (row,) = compare(picture(0), picture(1), metrics=["lpips_alex"], weights=RandomWeights())
    assert row.weights == "alexnet 00000000 + lpips_alex 00000000" and row.value > 0


def test_an_empty_region_is_a_row_with_a_note():
    empty = torch.zeros(1, 1, 170, 180)
    rows = by_region(compare(picture(0), picture(1), mask=empty, metrics=["ssim"]))
    assert math.isnan(rows["ssim", "inside"].value)
    assert "no pixels inside" in rows["ssim", "inside"].note
    assert rows["ssim", "outside"].value == rows["ssim", "all"].value


def test_a_metric_that_does_not_suit_is_a_row_with_a_note():
    small, other = picture(0, (40, 40)), picture(1, (40, 40))
    rows = by_region(compare(small, other, metrics=["ms_ssim", "l1"]))
    assert "over 160" in rows["ms_ssim", "all"].note and rows["l1", "all"].value > 0
    four = picture(0, channels=4)
    rows = by_region(compare(four, four, metrics=["flip", "l1"]))
    assert "1 or 3 channels" in rows["flip", "all"].note and rows["l1", "all"].value == 0


@pytest.mark.parametrize(
    ("result", "reference", "options", "words"),
    [
        ((1, 3, 40, 40), (1, 3, 44, 40), {}, "result is 40x40, the reference 44x40; resize"),
        ((3, 3, 40, 40), (2, 3, 40, 40), {}, "reference is a batch of 2, expected 1 or 3"),
        ((1, 1, 40, 40), (1, 3, 40, 40), {}, "1 channels, the reference 3"),
        ((1, 3, 40, 40), (1, 3, 40, 40), {"metrics": ["psrn"]}, "no metric psrn; there are psnr"),
        ((1, 3, 40, 40), (1, 3, 40, 40), {"mask": torch.ones(1, 1, 40, 41)}, "mask is 40x41"),
        ((2, 3, 40, 40), (1, 3, 40, 40), {"images": ["a"]}, "1 names do not fit 2 pictures"),
    ],
)
def test_what_does_not_fit_is_refused(result, reference, options, words):
    with pytest.raises(ValueError, match=words):
        compare(torch.rand(result), torch.rand(reference), **options)


def test_not_a_number_is_refused():
    broken = picture(0)
    broken[0, 0, 3, 3] = math.nan
    with pytest.raises(ValueError, match="1 values of result are NaN"):
        compare(broken, picture(1))


def test_only_the_regions_asked_for_are_scored():
    image = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    mask = torch.zeros(1, 1, 32, 32)
    mask[..., 8:20, 8:20] = 1
    every = {row.region: row for row in compare(image.flip(3), image, mask=mask, metrics=["l1"])}
    [inside] = compare(image.flip(3), image, mask=mask, metrics=["l1"], only=["inside"])
    assert (inside.region, inside.value) == ("inside", every["inside"].value)
    with pytest.raises(ValueError, match="only inside: there is all without a mask"):
        compare(image, image, metrics=["l1"], only=["inside"])
