"""Holes filled with what other frames show, against what was there."""

import gc
import weakref

import numpy as np
import pytest
import torch

from internal_methods.methods.video import flow_fill, stabilize, unstabilize
from internal_methods.storage import clips
from moving_views import SIZE, camera, moving_hole, psnr, views
from shared import ROOT, shared

FRAMES = 12


def spoilt(clip: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Something else in the hole, which moves with it."""
    return torch.where(mask > 0, views(camera(clip.shape[2], pan=(-4, 1)), seed=7), clip)


@pytest.mark.parametrize(
    "way",
    [{"pan": (0.0, 0.0)}, {"pan": (1.3, 0.4)}, {"pan": (1.6, -0.3), "turn": 0.5, "zoom": 0.004}],
    ids=["still", "pan", "turn"],
)
def test_a_still_scene_is_uncovered(way):
    clip, mask = views(camera(FRAMES, **way)), moving_hole(FRAMES)
    filled, left, confidence = flow_fill(spoilt(clip, mask), mask)
    assert not left.any()
    assert psnr(filled, clip, mask > 0) > 40
    assert float(confidence[mask > 0].mean()) > 0.8


def test_outside_the_hole_nothing_changes():
    clip, mask = views(camera(6)), moving_hole(6)
    given, hole = clip.clone(), mask.clone()
    filled, left, confidence = flow_fill(clip, mask)
    away = (mask == 0).expand_as(clip)
    assert torch.equal(filled[away], clip[away])
    assert torch.equal(clip, given) and torch.equal(mask, hole)
    assert (confidence[mask == 0] == 1).all() and not left[mask == 0].any()


def test_a_grey_mask_mixes():
    clip, mask = views(camera(6)), moving_hole(6)
    bad = spoilt(clip, mask)
    whole, half = (flow_fill(bad, m)[0] for m in (mask, mask / 2))
    assert torch.allclose(half, (whole + bad) / 2, atol=1e-6)


def test_the_camera_is_not_measured_on_what_is_avoided():
    clip, mask = views(camera(FRAMES)), moving_hole(FRAMES)
    avoid = torch.ones_like(mask)
    avoid[..., : SIZE[1] // 3] = 0
    thing = views(camera(FRAMES, pan=(6, 2)), seed=7)
    mask = mask.roll(-SIZE[1] // 4, -1) * (1 - avoid)
    hole = mask > 0
    bad = torch.where(avoid > 0, thing, torch.where(hole, 0.0, clip))
    filled, left, _ = flow_fill(bad, mask, avoid_mask=avoid)
    seen = hole & (left == 0)
    assert int(seen.sum()) > 0.5 * int(hole.sum()) > 100
    assert psnr(filled, clip, seen) > 42


def test_what_no_frame_shows_is_left():
    """The hole moves by 20 pixels in all, a strip in its middle is never seen."""
    clip, mask = views(camera(6, pan=(0, 0))), moving_hole(6, box=(36, 50))
    filled, left, confidence = flow_fill(spoilt(clip, mask), mask)
    never = mask[0, 0].amin(0)
    rim = torch.nn.functional.max_pool2d(never[None], 9, 1, 4)[0]
    assert (left[0, 0, 2][never > 0] == 1).all()
    assert not left[0, 0, 2][rim == 0].any()
    assert not confidence[left > 0].any()
    at = (left > 0).expand_as(clip)
    assert clip.amin() <= filled[at].min() and filled[at].max() <= clip.amax()
    assert psnr(filled, clip, (mask > 0) & (left == 0)) > 40


def test_the_reach_ends_the_search():
    clip, mask = views(camera(FRAMES, pan=(0, 0))), moving_hole(FRAMES)
    lefts = [float(flow_fill(clip, mask, reach=reach)[1].sum()) for reach in (1, 4, 11)]
    assert lefts[0] > lefts[1] > lefts[2] == 0


def test_a_fill_is_no_darker_and_no_brighter_than_what_is_seen():
    """Between black and white Lanczos swings over, and so does a gain."""
    clip, mask = ((views(camera(6)) - 0.5) * 6 + 0.5).clamp(0, 1), moving_hole(6)
    filled, _, _ = flow_fill(spoilt(clip, mask) * 3 - 1, mask)
    seen = torch.where(mask > 0, torch.nan, clip * 3 - 1)
    assert filled.amin() == -1 and filled.amax() == 2
    assert seen.nan_to_num(9).amin() == -1 and seen.nan_to_num(-9).amax() == 2
    nothing = flow_fill(clip, torch.ones(1, 1, 1, *SIZE))[0]
    assert nothing.isfinite().all()


def test_brightness_that_changes_is_fitted():
    clip, mask = views(camera(FRAMES, pan=(1.3, 0.4))), moving_hole(FRAMES)
    fading = clip * torch.linspace(1.0, 0.7, FRAMES).view(1, 1, -1, 1, 1)
    filled, _, confidence = flow_fill(spoilt(fading, mask), mask)
    assert psnr(filled, fading, mask > 0) > 42
    assert float(confidence[mask > 0].mean()) > 0.6


def test_nothing_is_taken_from_what_is_avoided():
    """A second object crosses the scene and is not to be copied."""
    clip, mask = views(camera(FRAMES)), moving_hole(FRAMES)
    avoid = torch.zeros_like(mask)
    avoid[..., 20:80, 60:90] = 1
    bad = torch.where(avoid > 0, torch.tensor(0.0), spoilt(clip, mask))
    hole = (mask > 0) & (avoid == 0)
    filled, left, _ = flow_fill(bad, mask * hole, avoid_mask=avoid)
    assert psnr(filled, clip, hole & (left == 0)) > 35


def test_it_is_not_sure_of_what_is_new_in_every_frame():
    frames = [views(camera(1), seed=seed) for seed in range(8)]
    clip, mask = torch.cat(frames, 2), moving_hole(8)
    _, left, confidence = flow_fill(clip, mask)
    assert float(confidence[(mask > 0) & (left == 0)].mean()) < 0.1


def test_sure_pixels_are_better_than_unsure_ones():
    """Half of the scene stands still, the other half is new in every frame."""
    still = views(camera(FRAMES))
    clip = still.clone()
    for t in range(FRAMES):
        clip[:, :, t, :, 70:] = views(camera(1), seed=20 + t)[:, :, 0, :, 70:]
    mask = moving_hole(FRAMES)
    filled, left, confidence = flow_fill(clip, mask)
    there = (mask > 0) & (left == 0)
    sure, unsure = there & (confidence > 0.6), there & (confidence < 0.2)
    assert int(sure.sum()) > 1000 and int(unsure.sum()) > 1000
    assert psnr(filled, clip, sure) > 30 > 20 > psnr(filled, clip, unsure)


def test_scenes_do_not_help_each_other():
    mask = moving_hole(12)
    scenes = [views(camera(6), seed=3), 1 - views(camera(6), seed=4) * 0.4]
    together = flow_fill(torch.cat(scenes, 2), mask)
    for index, scene in enumerate(scenes):
        part = slice(6 * index, 6 * index + 6)
        alone = flow_fill(scene, mask[:, :, part])
        assert torch.equal(together[1][:, :, part], alone[1])
        assert psnr(together[0][:, :, part], alone[0], mask[:, :, part] > 0) > 35


def test_two_clips_are_two_fills():
    clips_ = [views(camera(5), seed=seed) for seed in (1, 2)]
    mask = moving_hole(5)
    both = flow_fill(torch.cat(clips_), mask)
    for index, clip in enumerate(clips_):
        for result, alone in zip(both, flow_fill(clip, mask), strict=True):
            assert torch.equal(result[index : index + 1], alone)


def test_precision_and_channels_are_kept():
    clip = torch.cat([views(camera(4)), views(camera(4), seed=1)[:, :1]], 1).double()
    mask = moving_hole(4, box=(20, 12))
    filled, _, _ = flow_fill(clip, mask)
    assert filled.dtype == torch.float64 and filled.shape == clip.shape
    assert psnr(filled, clip, mask > 0) > 35


def test_a_clip_may_want_gradients():
    clip, mask = views(camera(3)), moving_hole(3, box=(20, 12))
    filled, _, _ = flow_fill(clip.clone().requires_grad_(), mask)
    assert not filled.requires_grad and torch.equal(filled, flow_fill(clip, mask)[0])


def test_a_clip_is_let_go_at_once():
    """Work on long clips goes window by window; what is done must not wait for the collector."""
    clip, mask = views(camera(3)), moving_hole(3, box=(20, 12))
    held = weakref.ref(clip)
    gc.disable()
    try:
        flow_fill(clip, mask)
        del clip
        assert held() is None
    finally:
        gc.enable()


def test_the_canvas_of_a_stabilised_clip_is_filled_too():
    clip, mask = views(camera(FRAMES, turn=0.4)), moving_hole(FRAMES)
    bad = spoilt(clip, mask)
    held = stabilize(bad, mask)
    filled, _, _ = flow_fill(held.clip, held.mask, avoid_mask=held.outside)
    assert psnr(unstabilize(filled, held.transforms, bad, mask), clip, mask > 0) > 37


def test_a_frame_without_hole_and_an_empty_mask():
    clip = views(camera(4))
    filled, left, confidence = flow_fill(clip, torch.zeros(1, 1, 1, *SIZE))
    assert torch.equal(filled, clip) and not left.any() and (confidence == 1).all()


def test_wrong_inputs_are_refused():
    clip, mask = views(camera(3)), moving_hole(3)
    with pytest.raises(ValueError, match="at least 2 are needed"):
        flow_fill(clip[:, :, :1], mask[:, :, :1])
    with pytest.raises(ValueError, match="mask has 2 frames, the clip 3"):
        flow_fill(clip, mask[:, :, :2])
    with pytest.raises(ValueError, match="have to be positive"):
        flow_fill(clip, mask, reach=0)
    with pytest.raises(ValueError, match="'rigid' is not one of"):
        flow_fill(clip, mask, model="rigid")


def test_steps_are_reported_and_interrupt():
    clip, mask = views(camera(4)), moving_hole(4)
    steps = []
    flow_fill(clip, mask, callback=steps.append)
    assert steps[-1].done == steps[-1].total == 8
    done = [step.done for step in steps]
    assert done == sorted(done) and done[0] == 0

    class Enough(Exception):
        pass

    def stop(step):
        if step.done == 5:
            raise Enough

    with pytest.raises(Enough):
        flow_fill(clip, mask, callback=stop)


def test_the_cyclist_leaves_the_shipped_clip():
    """A place is hidden elsewhere, whose contents are known."""
    folder = ROOT / "workflows" / "inputs"
    clip, cyclist = (
        torch.from_numpy(clips.read(folder / name)[0][:20]).permute(3, 0, 1, 2)[None]
        for name in ("harbour.mp4", "harbour_mask.mp4")
    )
    mask = cyclist[:, :1].round()
    hidden = torch.zeros_like(mask)
    for t in range(20):
        hidden[..., t, 40:80, 60 + 4 * t : 90 + 4 * t] = 1
    filled, left, confidence = flow_fill(clip, torch.maximum(mask, hidden))
    asked = (hidden > 0) & (mask == 0) & (left == 0)
    assert psnr(filled, clip, asked) > 25
    assert float(confidence[asked].mean()) > 0.4


@pytest.mark.parametrize("name", ["flag_2", "water_3"])
def test_it_is_not_sure_of_dynamic_textures(name):
    from PIL import Image

    files = sorted(shared(f"dynamic_textures/tesfaldet/{name}").glob("*.png"))[:8]
    frames = np.stack(
        [np.asarray(Image.open(file).convert("RGB").resize((128, 128))) for file in files]
    )
    clip = torch.from_numpy(frames).permute(3, 0, 1, 2)[None].float() / 255
    mask = moving_hole(8, size=(128, 128))
    _, left, confidence = flow_fill(clip, mask)
    assert float(confidence[(mask > 0) & (left == 0)].mean()) < 0.2
