"""Patch Inpaint as a node: shapes, masks, and what must not change."""

import pytest
import torch

from internal_methods.methods import Field
from internal_methods.nodes.inpainting import PatchInpaint
from internal_methods.nodes.patches import ApplyField


def noise(*shape) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


def fill(image, mask, **changes):
    settings = {
        "patch_size": 5,
        "levels": 2,
        "iterations": 2,
        "upsample": "field",
        "wrap": "none",
        "memory_gib": 2.0,
        "seed": 0,
        "backend": "auto",
    }
    return PatchInpaint.execute(image, mask, **(settings | changes)).args


def hole(height=48, width=56, batch=1) -> torch.Tensor:
    mask = torch.zeros(batch, height, width)
    mask[:, 16:28, 20:34] = 1
    return mask


@pytest.mark.parametrize("channels", [3, 4])
def test_known_pixels_come_back_bit_for_bit_at_any_range(channels):
    image, mask = noise(1, 48, 56, channels) * 50 - 20, hole()
    before = image.clone()
    filled, field, scales = fill(image, mask)
    known = mask[0] == 0
    assert torch.equal(filled[0][known], image[0][known])
    assert not torch.equal(filled[0][~known], image[0][~known])
    assert torch.equal(image, before)
    assert isinstance(field, Field) and field.size == (48, 56)
    assert scales.shape[0] == 2 and torch.isfinite(scales).all()


def test_one_mask_serves_a_batch_and_the_other_way_round():
    images = noise(2, 48, 56, 3)
    both = fill(images, hole())[0]
    assert torch.equal(both[1:], fill(images[1:], hole())[0])
    assert fill(images[:1], hole(batch=3))[0].shape == (3, 48, 56, 3)
    with pytest.raises(ValueError, match="image has 2, mask has 3"):
        fill(images, hole(batch=3))


def test_comfyui_s_empty_mask_changes_nothing_and_says_so(caplog):
    image = noise(1, 48, 56, 3)
    assert torch.equal(fill(image, torch.zeros(1, 64, 64))[0], image)
    assert "the mask is empty" in caplog.text  # at the level that the command line shows


def test_a_mask_of_another_size_names_both():
    with pytest.raises(ValueError, match="mask is 20x10, but the image is 56x48"):
        fill(noise(1, 48, 56, 3), torch.ones(1, 10, 20))
    with pytest.raises(ValueError, match="avoid_mask is 20x10"):
        fill(noise(1, 48, 56, 3), hole(), avoid_mask=torch.ones(1, 10, 20))


def test_a_full_mask_is_refused():
    with pytest.raises(ValueError):
        fill(noise(1, 48, 56, 3), torch.ones(1, 48, 56))


def test_the_masks_say_where_patches_come_from():
    image = noise(1, 48, 56, 3)
    left = torch.zeros(1, 48, 56)
    left[:, :, :18] = 1
    inside = hole()[0] > 0
    for masks in ({"source_mask": left}, {"avoid_mask": 1 - left}):
        field = fill(image, hole(), **masks)[1]
        assert field.positions[0, 0, 1][inside].max() < 18


def test_the_field_fills_other_maps_alike():
    image, depth = noise(1, 48, 56, 3), noise(1, 48, 56, 1)
    field = fill(image, hole())[1]
    filled = ApplyField.execute(field, depth, "best").args[0]
    known = torch.nn.functional.max_pool2d(hole()[None], 9, 1, 4)[0, 0] == 0
    assert torch.equal(filled[0][known], depth[0][known])


def test_a_guide_takes_part():
    image, guide = noise(1, 48, 56, 3), noise(2, 48, 56, 3)[1:]
    plain = fill(image, hole())[0]
    assert not torch.equal(fill(image, hole(), guide=guide, guide_weight=5.0)[0], plain)
    assert torch.equal(fill(image, hole(), guide=guide, guide_weight=0.0)[0], plain)
