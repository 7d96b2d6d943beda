"""ComfyUI's batches of frames through the nodes of motion."""

import pytest
import torch

from internal_methods.methods.video import flow_fill, stabilize
from internal_methods.nodes.video_motion import FlowFill, Stabilize, Unstabilize
from moving_views import SIZE, camera, moving_hole, views

FRAMES = 6
CLIP, HOLE = views(camera(FRAMES, turn=0.4)), moving_hole(FRAMES)
IMAGE, MASK = CLIP[0].permute(1, 2, 3, 0).contiguous(), HOLE[0, 0]


def test_a_clip_is_held_still_and_comes_back():
    with torch.inference_mode():
        image, mask, outside, transforms, report = Stabilize.execute(
            IMAGE, "homography", 8.0, mask=MASK
        ).args
        held = stabilize(CLIP, HOLE)
        assert torch.equal(image, held.clip[0].permute(1, 2, 3, 0))
        assert torch.equal(mask, held.mask[0, 0]) and torch.equal(outside, held.outside[0, 0])
        assert torch.equal(transforms.matrices, held.transforms.matrices)
        assert report == held.report and "6 frames of 144x96" in report
        [back] = Unstabilize.execute(image, transforms, IMAGE, MASK).args
    away = MASK == 0
    assert torch.equal(back[away], IMAGE[away])
    assert float((back - IMAGE).abs().max()) < 0.02


def test_flow_fill_fills_the_batch_as_one_clip():
    with torch.inference_mode():
        image, left, confidence = FlowFill.execute(IMAGE, MASK, 5, 0.7, "similarity").args
    filled, lacking, sure = flow_fill(CLIP, HOLE, reach=5, model="similarity")
    assert torch.equal(image, filled[0].permute(1, 2, 3, 0))
    assert torch.equal(left, lacking[0, 0]) and torch.equal(confidence, sure[0, 0])


def test_what_is_avoided_reaches_the_method():
    avoid = torch.zeros(1, *SIZE)
    avoid[:, :, 60:] = 1
    [_, without, _], [_, given, _] = (
        FlowFill.execute(IMAGE, MASK, 5, 0.7, "similarity", avoid_mask=mask).args
        for mask in (None, avoid)
    )
    assert given.sum() > without.sum()


def test_one_mask_serves_all_frames_and_another_number_does_not():
    filled = FlowFill.execute(IMAGE, MASK[:1], 5, 0.7, "similarity").args[0]
    again = FlowFill.execute(IMAGE, MASK[:1].repeat(FRAMES, 1, 1), 5, 0.7, "similarity").args[0]
    assert torch.equal(filled, again)
    for run in (
        lambda: FlowFill.execute(IMAGE, MASK[:4], 5, 0.7, "similarity"),
        lambda: Stabilize.execute(IMAGE, "homography", 8.0, mask=MASK[:4]),
    ):
        with pytest.raises(ValueError, match="mask has 4 frames, the clip 6"):
            run()
