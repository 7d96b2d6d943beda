"""Patch Inpaint Video as a node: shapes, masks, and what must not change."""

import pytest
import torch

from internal_methods.methods import Field
from internal_methods.nodes.patches import ApplyField, FieldPreview
from internal_methods.nodes.video_patches import PatchInpaintVideo

SETTINGS = {
    "patch_size": 3,
    "levels": 2,
    "iterations": 1,
    "memory_gib": 4.0,
    "seed": 0,
    "backend": "auto",
}


def noise(*shape) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


def fill(image, mask, **changes):
    return PatchInpaintVideo.execute(image, mask, **(SETTINGS | changes)).args


def hole(frames=5, height=32, width=40) -> torch.Tensor:
    mask = torch.zeros(frames, height, width)
    mask[:, 10:18, 12:21] = 1
    return mask


@pytest.mark.parametrize("channels", [3, 4])
def test_known_pixels_come_back_bit_for_bit_at_any_range(channels):
    image, mask = noise(5, 32, 40, channels) * 50 - 20, hole()
    before = image.clone()
    filled, field = fill(image, mask)
    known = mask == 0
    assert torch.equal(filled[known], image[known])
    assert not torch.equal(filled[~known], image[~known])
    assert torch.equal(image, before)
    assert isinstance(field, Field) and field.size == (5, 32, 40)


def test_one_mask_serves_all_frames_and_another_number_is_named():
    image = noise(5, 32, 40, 3)
    assert torch.equal(fill(image, hole(1))[0], fill(image, hole())[0])
    with pytest.raises(ValueError, match="4 frames, the clip 5"):
        fill(image, hole(4))
    with pytest.raises(ValueError, match="source_mask has 2 frames"):
        fill(image, hole(), source_mask=hole(2))


def test_a_mask_of_another_size_and_too_short_a_clip_are_named():
    with pytest.raises(ValueError, match="mask is 20x10, but the image is 40x32"):
        fill(noise(5, 32, 40, 3), torch.ones(1, 10, 20))
    with pytest.raises(ValueError, match="2 frames"):
        fill(noise(2, 32, 40, 3), hole(1))


def test_the_source_mask_says_where_patches_come_from():
    left = torch.zeros(1, 32, 40)
    left[:, :, :11] = 1
    field = fill(noise(5, 32, 40, 3), hole(), source_mask=left, levels=1)[1]
    assert field.positions[0, 0, 2][hole() > 0].max() < 11


def test_the_field_fills_other_passes_alike_and_can_be_shown():
    image, depth = noise(5, 32, 40, 3), noise(5, 32, 40, 1)
    field = fill(image, hole())[1]
    filled = ApplyField.execute(field, depth, "best").args[0]
    known = torch.nn.functional.max_pool2d(hole(), 5, 1, 2) == 0
    known[0] = known[-1] = False  # covered by patches that reach into the clip alone
    assert filled.shape == depth.shape and torch.equal(filled[known], depth[known])
    larger = ApplyField.execute(
        field, depth.repeat_interleave(2, 1).repeat_interleave(2, 2), "best"
    )
    assert larger.args[0].shape == (5, 64, 80, 1)
    for picture in FieldPreview.execute(field).args:
        assert picture.shape == (5, 32, 40, 3)
