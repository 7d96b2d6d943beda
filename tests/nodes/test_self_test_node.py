"""The nodes that measure tiles and try candidates."""

import pytest
import torch

from internal_methods.headless import host
from internal_methods.nodes.self_test import CANDIDATES, SelfTest
from internal_methods.nodes.tiling import Tileability


@pytest.fixture(autouse=True)
def no_weights(tmp_path):
    with host.hosting(host.Host(output=tmp_path, models=tmp_path)):
        yield


def noise(*shape):
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


def tried(image, mask, **changes):
    settings = {"candidates": "five: patch_size=5 iterations=1", "trials": 2, "margin": 4}
    settings |= {"metrics": "", "as_clip": False, "seed": 0, "backend": "auto"}
    return SelfTest.execute(image, mask, **(settings | changes)).args


def square(frames=1):
    mask = torch.zeros(frames, 48, 64)
    mask[:, 10:22, 20:32] = 1
    return mask


def test_a_tile_is_scored_and_rolled_by_half():
    image = noise(2, 30, 41, 3)
    scores, rolled = Tileability.execute(image, "noise").args
    assert [(row.method, row.image, row.metric) for row in scores] == [
        ("noise", image, metric) for image in "01" for metric in ("seam_x", "seam_y")
    ]
    assert torch.equal(rolled, image.roll((15, 20), (1, 2)))


def test_a_picture_is_tested_without_weights():
    scores, sheet, recommended, reason = tried(
        noise(1, 48, 64, 3), square(), candidates="five: patch_size=5\nthree: patch_size=3"
    )
    assert recommended in ("five", "three") and recommended in reason
    missing = [row for row in scores if row.metric == "lpips_alex"]
    assert missing and all(row.value != row.value and row.note for row in missing)
    assert sheet.shape[0] == 1 and sheet.shape[3] == 3
    assert "lpips" not in scores[0].note and "sharpness" in scores[0].note


def test_a_clip_is_tested_as_one():
    scores, *_ = tried(noise(2, 48, 64, 3), square(), as_clip=True, metrics="sharpness")
    assert [row.image for row in scores] == ["all places", "place 1", "place 2"]
    assert "mean of 2 frames" in scores[-1].note


def test_bad_input():
    with pytest.raises(ValueError, match="switch as_clip on"):
        tried(noise(2, 48, 64, 3), square())
    with pytest.raises(ValueError, match="2 masks for one picture"):
        tried(noise(1, 48, 64, 3), square(2))
    with pytest.raises(ValueError, match="line 2"):
        tried(noise(1, 48, 64, 3), square(), candidates=CANDIDATES.replace("_size=5", "=5"))
