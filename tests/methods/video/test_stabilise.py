"""Clips are held still, and come back as they were."""

import numpy as np
import pytest
import torch

from internal_methods.methods.video import stabilize, unstabilize
from internal_methods.methods.video.transforms import corners, moved_points
from moving_views import SIZE, camera, moving_hole, psnr, views

FRAMES = 8
WAY = {"pan": (3.4, -1.2), "turn": 0.7, "zoom": 0.004}


@pytest.fixture(scope="module")
def held():
    clip, mask = views(camera(FRAMES, **WAY)), moving_hole(FRAMES)
    return clip, mask, stabilize(clip, mask)


def test_the_background_stands_still(held):
    clip, mask, result = held
    lacking = (result.outside > 0) | (result.mask > 0)
    assert result.clip.shape[2:] == result.mask.shape[2:] == result.outside.shape[2:]
    for t in range(FRAMES - 1):
        both = ~(lacking[:, :, t] | lacking[:, :, t + 1])[:, :, None]
        still = result.clip[:, :, t : t + 1], result.clip[:, :, t + 1 : t + 2]
        assert psnr(*still, both) > 40
        assert psnr(clip[:, :, t : t + 1], clip[:, :, t + 1 : t + 2], mask[:, :, :1] == 0) < 25


def test_nothing_is_cut_off_and_nothing_is_too_large(held):
    _, _, result = held
    height, width = result.transforms.canvas_size
    places = np.concatenate(
        [moved_points(m, corners(SIZE)) for m in result.transforms.matrices.numpy()]
    )
    assert places.min() >= 0
    assert width - 2 <= places[:, 0].max() <= width - 1
    assert height - 2 <= places[:, 1].max() <= height - 1


def test_the_reference_lies_there_unchanged(held):
    clip, _, result = held
    t = result.transforms.reference
    inside = result.outside[0, 0, t] == 0
    assert int(inside.sum()) == SIZE[0] * SIZE[1]
    assert torch.equal(result.clip[0, :, t][:, inside], clip[0, :, t].flatten(1))
    assert not result.clip[0, :, t][:, ~inside].any()


def test_it_comes_back(held):
    clip, mask, result = held
    back = unstabilize(result.clip, result.transforms, clip, mask)
    away = (mask == 0).expand_as(clip)
    assert torch.equal(back[away], clip[away])
    assert psnr(back, clip, mask > 0) > 45
    assert not torch.equal(back, clip)


def test_a_fill_of_the_canvas_fills_the_frames(held):
    """What is under the mask has no part in the result, at its rim neither."""
    clip, mask, _ = held
    spoilt = torch.where(mask > 0, torch.tensor(1.0), clip)
    result = stabilize(spoilt, mask)
    filled = torch.where(result.mask > 0, stabilize(clip, mask).clip, result.clip)
    assert psnr(unstabilize(filled, result.transforms, spoilt, mask), clip, mask > 0) > 40


def test_a_grey_mask_mixes(held):
    clip, mask, result = held
    changed = 1 - result.clip
    whole, half = (unstabilize(changed, result.transforms, clip, m) for m in (mask, mask / 2))
    assert torch.allclose(half, (whole + clip) / 2, atol=1e-6)


def test_one_mask_serves_all_frames():
    clip = views(camera(4))
    one = moving_hole(1)
    result, again = (stabilize(clip, m) for m in (one, one.expand(-1, -1, 4, -1, -1)))
    assert torch.equal(result.mask, again.mask)
    back = unstabilize(result.clip, result.transforms, clip, one)
    assert torch.equal(back, unstabilize(again.clip, again.transforms, clip, one))


def test_precision_channels_and_inputs_are_kept():
    clip = torch.cat([views(camera(3)), views(camera(3), seed=1)[:, :1]], 1).double()
    before = clip.clone()
    result = stabilize(clip)
    assert result.clip.dtype == torch.float64 and result.clip.shape[1] == 4
    assert torch.equal(clip, before) and not result.mask.any()
    back = unstabilize(result.clip, result.transforms, clip, torch.ones(1, 1, 1, *SIZE))
    assert back.dtype == torch.float64 and torch.equal(clip, before)


def test_a_far_pan_says_where_to_cut():
    clip = views(camera(9, pan=(24.0, 0.0)))
    with pytest.raises(ValueError, match="over the limit of 1.6.*frames 0 to 3, 4 to 7, 8 to 8"):
        stabilize(clip, model="translation", largest=1.6)
    width = stabilize(clip, model="translation", largest=2.5).clip.shape[-1]
    assert 0 <= width - (SIZE[1] + 8 * 24) <= 2


def test_what_could_not_be_measured_is_told(caplog):
    clip = views(camera(6))
    clip[:, :, 5] = 0.5
    result = stabilize(clip)
    assert result.transforms.fallback == (5,)
    assert "1 of 6 frames could not be measured" in result.report and result.report in caplog.text
    assert "could not" not in stabilize(views(camera(6))).report


def test_wrong_inputs_are_refused(held):
    clip, mask, result = held
    with pytest.raises(ValueError, match="one by one"):
        stabilize(torch.cat([clip, clip]))
    with pytest.raises(ValueError, match="'rigid' is not one of homography"):
        stabilize(clip, model="rigid")
    with pytest.raises(ValueError, match="at its full size"):
        unstabilize(clip, result.transforms, clip, mask)
    with pytest.raises(ValueError, match="the clip that was stabilised"):
        unstabilize(result.clip, result.transforms, clip[:, :, 1:], mask[:, :, 1:])


def test_steps_are_reported_and_interrupt(held):
    clip, mask, _ = held
    steps = []
    stabilize(clip, mask, callback=steps.append)
    assert steps[-1].done == steps[-1].total == 2 * FRAMES

    class Enough(Exception):
        pass

    def stop(step):
        raise Enough

    with pytest.raises(Enough):
        stabilize(clip, mask, callback=stop)
