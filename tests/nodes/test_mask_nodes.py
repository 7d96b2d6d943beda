"""The nodes that draw masks."""

import torch

from internal_methods.methods.masks import brush_masks, large_masks
from internal_methods.nodes.masks import BoxMask, BrushMask, LargeMask
from internal_methods.nodes.moving_masks import MovingMask


def defaults(node) -> dict:
    inputs = node.GET_SCHEMA().inputs
    return {socket.id: socket.default for socket in inputs if not socket.optional}


def drawn(node, **changes):
    [mask] = node.execute(**(defaults(node) | {"width": 80, "height": 64} | changes)).args
    return mask


def test_untouched_settings_are_the_published_ones():
    assert torch.equal(drawn(BrushMask, count=3), brush_masks((64, 80), count=3)[:, 0])
    for kind in ("thin", "medium", "wide", "box", "mixed"):
        wanted = large_masks((64, 80), kind, count=3)[:, 0]
        assert torch.equal(drawn(LargeMask, kind=kind, count=3), wanted)


def test_a_picture_gives_the_size():
    image = torch.zeros(1, 40, 50, 3)
    for node in (BrushMask, LargeMask):
        assert drawn(node, image=image, count=2).shape == (2, 40, 50)
    assert drawn(BoxMask, image=image, box_width=8, box_height=6).sum() == 48


def test_numbers_of_a_kind_can_be_replaced():
    boxes = drawn(LargeMask, box_share=1.0, max_boxes=1, min_box=9, max_box=9, count=5)
    assert (boxes.sum((1, 2)) == 81).all()
    assert drawn(LargeMask, scale=0.3, count=20).mean() < drawn(LargeMask, count=20).mean()


def test_a_box_is_placed_by_its_corner():
    mask = drawn(BoxMask, place="at", box_width=10, box_height=5, x=7, y=60)
    assert mask[0, 60:, 7:17].all() and mask.sum() == 40


def test_a_moving_mask_has_a_frame_for_each_of_the_clip():
    assert drawn(MovingMask, frames=5).shape == (5, 64, 80)
    assert drawn(MovingMask, image=torch.zeros(7, 40, 50, 3)).shape == (7, 40, 50)


def test_a_moving_mask_takes_over_size_and_motion_of_another():
    given = torch.zeros(6, 48, 64)
    for t in range(6):
        given[t, 10:22, 10 + 3 * t : 18 + 3 * t] = 1
    mask = drawn(MovingMask, like=given, motion="moving")
    assert mask.shape == given.shape
    assert abs(float(mask.amax(2).sum(1).mean()) - 12) <= 1
    assert abs(float(mask.amax(1).sum(1).mean()) - 8) <= 1
    assert not torch.equal(mask[0], mask[1])
