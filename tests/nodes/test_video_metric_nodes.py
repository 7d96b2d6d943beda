"""Compare Clips takes ComfyUI's batches of frames for clips."""

import math

import pytest
import torch

from internal_methods.headless import host
from internal_methods.methods.metrics import CLIP_METRICS, METRICS, compare_clips
from internal_methods.nodes.video_metrics import VideoCompare, clip_metric_names

FRAMES, SIZE = 4, (40, 56)
SETTINGS = {"ring": 6, "method": "mine", "seed": 0, "backend": "auto"}


@pytest.fixture(autouse=True)
def no_weights(tmp_path):
    with host.hosting(host.Host(models=tmp_path)):
        yield


def frames(seed: int, channels: int = 3) -> torch.Tensor:
    return torch.rand(FRAMES, *SIZE, channels, generator=torch.Generator().manual_seed(seed))


def hole(count: int = 1) -> torch.Tensor:
    mask = torch.zeros(count, *SIZE)
    mask[:, 8:30, 10:40] = 1
    return mask


def scores(metrics: str, result: torch.Tensor, **more) -> list:
    with torch.inference_mode():
        return VideoCompare.execute(result, metrics, **(SETTINGS | more)).args[0]


@pytest.mark.parametrize("masks", [1, FRAMES])
def test_it_scores_the_batch_as_one_clip(masks):
    result, reference = frames(0, channels=4), frames(1)
    rows = scores("l1, noise", result, reference=reference, mask=hole(masks))
    clip, wanted = (f[..., :3].permute(3, 0, 1, 2)[None] for f in (result, reference))
    mask = hole()[None, None]
    expected = compare_clips(clip, wanted, mask=mask, metrics=["l1", "noise"], ring=6)
    assert [(r.metric, r.region, r.value) for r in rows] == [
        (r.metric, r.region, r.value) for r in expected
    ]
    assert {row.method for row in rows} == {"mine"}


def test_without_reference_and_names_it_gives_what_needs_none():
    rows = scores("", frames(0), mask=hole())
    assert {row.metric for row in rows} == {
        "warp_error",
        "flicker",
        "noise",
        "noise_variation",
        "svfid_inside_outside",
    }
    [without] = [row for row in rows if row.metric == "svfid_inside_outside"]
    assert math.isnan(without.value) and "rgb_imagenet.pt" in without.note


def test_the_mask_of_a_picture_without_alpha_is_no_hole():
    rows = scores("l1, noise", frames(0), reference=frames(1), mask=torch.zeros(1, 64, 64))
    values = {(row.metric, row.region): row.value for row in rows}
    assert values["l1", "all"] > 0 and math.isnan(values["l1", "inside"])


def test_lengths_that_differ_are_told():
    with pytest.raises(ValueError, match="the result has 4 frames, the reference 3; cut"):
        scores("", frames(0), reference=frames(1)[:3])


def test_names_are_those_of_both_lists():
    assert clip_metric_names() == [*METRICS, *CLIP_METRICS]
