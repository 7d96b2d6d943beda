"""Self-test: the truth wins, the rest is told as it is, and nobody sees what is hidden."""

import math

import pytest
import torch
import torch.nn.functional as F

from internal_methods.methods.candidates import Candidate, read_candidates
from internal_methods.methods.hidden_regions import hidden_regions
from internal_methods.methods.metrics.registry import METRICS
from internal_methods.methods.self_test import JUDGES, _mean_ranks, _ranks, self_test

SIZE = (72, 96)


def texture(frames=1):
    noise = torch.rand(frames, 3, *SIZE, generator=torch.Generator().manual_seed(0))
    return 0.2 + 0.6 * noise


def hole(frames=1):
    mask = torch.zeros(frames, 1, *SIZE)
    for t in range(frames):
        mask[t, :, 20:36, 30 + 2 * t : 46 + 2 * t] = 1
    return mask


def candidate(name, make):
    def fill(image, mask, *, source_mask, seed, callback):
        return torch.where(mask > 0, make(image), image)

    return Candidate(name, fill)


def truth(frames=1):
    return candidate("truth", lambda image: texture(frames))


def blurred(frames=1):
    return candidate("blur", lambda image: F.avg_pool2d(texture(frames), 5, 1, 2))


GREY = candidate("grey", lambda image: torch.full_like(image, 0.5))


def test_the_truth_wins_and_grey_loses():
    found = self_test(texture(), hole(), [GREY, truth(), blurred()], trials=2)
    assert found.recommended == "truth" and "Recommended: truth" in found.reason
    ranks = {row.method: row for row in found.rows if row.metric == "rank"}
    assert ranks["truth"].value == 1 and ranks["grey"].value == 3
    assert "truth is recommended" in ranks["truth"].note and "flip" in ranks["truth"].note
    assert "recommended" not in ranks["grey"].note
    values = {(r.method, r.image, r.metric): r.value for r in found.rows}
    assert values["truth", "place 2", "flip"] == 0
    assert values["truth", "place 1", "psnr"] == math.inf
    assert {row.region for row in found.rows} == {"inside"}


def test_psnr_is_no_judge():
    other = torch.rand(1, 3, *SIZE, generator=torch.Generator().manual_seed(9)) * 0.6 + 0.2
    sharp = candidate("sharp", lambda image: other)
    found = self_test(
        texture(), hole(), [blurred(), sharp], trials=2, metrics=["psnr", "sharpness"]
    )
    values = {(r.method, r.image, r.metric): r.value for r in found.rows}
    assert values["blur", "place 1", "psnr"] > values["sharp", "place 1", "psnr"]
    assert found.recommended == "sharp"


def test_blur_is_not_recommended_though_most_judges_without_weights_prefer_it():
    other = torch.rand(1, 3, *SIZE, generator=torch.Generator().manual_seed(9)) * 0.6 + 0.2
    sharp = candidate("sharp", lambda image: other)
    judges = ["flip", "patch_ot", "sharpness"]
    found = self_test(texture(), hole(), [sharp, blurred()], trials=2, metrics=judges)
    ranks = {row.method: row for row in found.rows if row.metric == "rank"}
    assert ranks["blur"].value < ranks["sharp"].value
    assert "visibly smoother" in ranks["blur"].note and "visibly" not in ranks["sharp"].note
    assert found.recommended == "sharp"
    alone = self_test(texture(), hole(), [blurred()], trials=2, metrics=judges)
    assert alone.recommended == "blur"


def test_nobody_sees_what_is_in_the_hole_or_hidden():
    seen = []

    def fill(image, mask, *, source_mask, seed, callback):
        seen.append((image, mask, source_mask, seed))
        return image

    image, mask = texture(), hole()
    self_test(image, mask, [Candidate("spy", fill)], trials=3, margin=4, seed=5)
    hidden = hidden_regions(mask, trials=3, margin=4, seed=5)
    assert len(seen) == 3 and len({seed for *_, seed in seen}) == 3
    for (given, holes, source, _), region in zip(seen, hidden, strict=True):
        unknown = (mask > 0) | region
        assert torch.equal(holes > 0, unknown) and torch.equal(source, 1 - holes)
        known = ~unknown.expand_as(image)
        assert torch.equal(given[known], image[known])
        assert given[~known].unique().numel() <= 3  # one value a channel


def test_only_the_hidden_region_is_scored():
    def spoil_the_rest(image, mask, *, source_mask, seed, callback):
        hidden = (mask > 0) & (hole() == 0)
        return torch.where(hidden, texture(), torch.zeros_like(image))

    found = self_test(texture(), hole(), [Candidate("a", spoil_the_rest)], trials=2)
    assert {row.value for row in found.rows if row.metric == "flip"} == {0.0}


def test_it_repeats_exactly_and_leaves_its_inputs_alone():
    image, mask = texture(), hole()
    before = image.clone(), mask.clone()
    text = "five: patch_size=5 iterations=2\nseven: patch_size=7 iterations=2"
    runs = [self_test(image, mask, read_candidates(text), trials=2, seed=4) for _ in range(2)]
    values = [[(r.method, r.image, r.metric, r.value) for r in run.rows] for run in runs]
    assert values[0] == values[1]
    assert torch.equal(image, before[0]) and torch.equal(mask, before[1])


def test_a_clip_is_scored_frame_by_frame_with_the_hole_moving():
    frames = 3
    found = self_test(
        texture(frames), hole(frames), [GREY, truth(frames)], trials=2, metrics=["sharpness"]
    )
    rows = [row for row in found.rows if row.metric == "sharpness"]
    assert found.recommended == "truth" and len(rows) == 4
    assert all("mean of 3 frames" in row.note for row in rows)
    single = self_test(texture(), hole(), [truth()], trials=1, metrics=["sharpness"])
    assert "frames" not in single.rows[-1].note


def test_a_candidate_that_fails_comes_last_and_says_why():
    def refuse(image, mask, *, source_mask, seed, callback):
        raise ValueError("too small for me")

    found = self_test(texture(), hole(), [Candidate("picky", refuse), GREY], trials=2)
    assert found.recommended == "grey"
    failed = [row for row in found.rows if row.method == "picky" and math.isnan(row.value)]
    assert len(failed) == 2 and all("too small for me" in row.note for row in failed)
    with pytest.raises(ValueError, match="too small for me"):
        self_test(texture(), hole(), [Candidate("picky", refuse)], trials=2)


def test_among_equals_the_faster_is_recommended():
    import time

    def slow(image, mask, *, source_mask, seed, callback):
        time.sleep(0.05)
        return GREY.fill(image, mask, source_mask=source_mask, seed=seed, callback=callback)

    found = self_test(texture(), hole(), [Candidate("slow", slow), GREY], trials=1)
    assert found.recommended == "grey"
    assert [row.value for row in found.rows if row.metric == "rank"] == [1.5, 1.5]


def test_a_low_value_is_good_by_every_judge():
    assert {METRICS[name].better for name in JUDGES} == {"lower"}


def test_equals_share_a_rank():
    assert _ranks([0.2, 0.1, 0.2, math.nan]) == [2.5, 1, 2.5, 4]
    assert _ranks([-math.inf, 3.0]) == [1, 2]
    with pytest.raises(ValueError, match="no candidate could be judged"):
        _mean_ranks([[]])


def test_the_sheet_shows_the_truth_and_every_fill():
    image = torch.zeros(1, 3, *SIZE)
    image[:, 0] = 0.8
    green = candidate("green", lambda given: torch.tensor([0.0, 0.8, 0.0]).view(1, 3, 1, 1))
    sheet = self_test(image, hole(), [green], trials=2).sheet[0]
    is_green = (sheet - torch.tensor([0, 0.8, 0]).view(3, 1, 1)).abs().sum(0) < 0.05
    rows, columns = (is_green.sum(axis) > 0 for axis in (1, 0))
    assert int((rows.int().diff() == 1).sum()) == 2  # one for each place
    assert int((columns.int().diff() == 1).sum()) == 1  # in the candidate's column alone


def test_progress_goes_up_and_cancel_comes_through():
    done = []
    text = "five: patch_size=5 iterations=2"
    self_test(
        texture(), hole(), read_candidates(text), trials=2, callback=lambda s: done.append(s.done)
    )
    assert done == sorted(done) and done[-1] == 200

    class Cancel(Exception):
        pass

    def cancel(step):
        raise Cancel

    with pytest.raises(Cancel):
        self_test(texture(), hole(), [GREY], trials=1, callback=cancel)


def test_bad_input():
    with pytest.raises(ValueError, match="empty"):
        self_test(texture(), torch.zeros(1, 1, *SIZE), [GREY])
    with pytest.raises(ValueError, match="resize"):
        self_test(texture(), torch.zeros(1, 1, 20, 20), [GREY])
    with pytest.raises(ValueError, match="can judge"):
        self_test(texture(), hole(), [GREY], metrics=["psnr"])
    with pytest.raises(ValueError, match="no metric made_up"):
        self_test(texture(), hole(), [GREY], metrics=["flip", "made_up"])
