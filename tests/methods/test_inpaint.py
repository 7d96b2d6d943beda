"""Hole filling: what must hold for every picture, and the one right answer for a periodic one."""

import pytest
import torch

from internal_methods.methods import inpaint
from internal_methods.methods.morphology import depths, grown
from internal_methods.methods.onion_peel import onion_peel


def stripes(height=48, width=56, period=8):
    """A smooth periodic picture: filling it right means continuing it."""
    x = torch.arange(width) * (2 * torch.pi / period)
    y = torch.arange(height) * (2 * torch.pi / period)
    red = 0.5 + 0.4 * torch.sin(x)[None] * torch.cos(y)[:, None]
    green = 0.5 + 0.3 * torch.cos(x)[None].expand(height, width)
    blue = 0.5 + 0.3 * torch.sin(y)[:, None].expand(height, width)
    return torch.stack((red, green, blue))[None]


def box(image, top, left, height, width):
    mask = torch.zeros(1, 1, *image.shape[2:])
    mask[..., top : top + height, left : left + width] = 1
    return mask


def noise(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("backend", ["cpu", "eager"])
def test_a_periodic_picture_is_continued(backend):
    image = stripes()
    mask = box(image, 15, 18, 16, 16)
    broken = torch.where(mask > 0, 0.0, image)
    filled, _ = inpaint(broken, mask, patch_size=7, backend=backend)
    assert (filled - image).abs().max() < 0.02


def test_known_pixels_come_back_bit_for_bit_at_any_range_and_type():
    for scale, dtype in ((1, torch.float32), (900, torch.float32), (1, torch.float16)):
        image = (noise(2, 3, 40, 44) * scale - scale / 4).to(dtype)
        before, mask = image.clone(), box(image, 10, 12, 9, 11)
        filled, _ = inpaint(image, mask, patch_size=5, iterations=2)
        assert torch.equal(image, before) and filled.dtype == dtype
        known = (mask == 0).expand_as(image)
        assert torch.equal(filled[known], image[known])
        assert filled.isfinite().all() and not torch.equal(filled, image)


def test_what_is_under_the_mask_does_not_matter():
    image, mask = noise(1, 3, 40, 40), None
    mask = box(image, 12, 9, 10, 12)
    other = torch.where(mask > 0, 1 - image, image)
    one, _ = inpaint(image, mask, patch_size=5, iterations=3)
    two, _ = inpaint(other, mask, patch_size=5, iterations=3)
    assert torch.equal(one, two)


def test_a_soft_mask_mixes_fill_and_picture():
    image, mask = noise(1, 3, 36, 36), None
    mask = box(image, 12, 12, 8, 8)
    soft = mask * 0.25
    hard, _ = inpaint(image, mask, patch_size=5, iterations=2)
    mixed, _ = inpaint(image, soft, patch_size=5, iterations=2)
    torch.testing.assert_close(mixed, image + 0.25 * (hard - image))


def test_nothing_is_copied_from_where_it_is_not_allowed():
    image = torch.full((1, 3, 40, 60), 0.25) + 0.01 * noise(1, 3, 40, 60)
    image[..., 30:] += 0.5  # the right half is bright
    mask = box(image, 14, 8, 10, 10)
    right = torch.zeros(1, 1, 40, 60)
    right[..., 31:] = 1
    only_right, field = inpaint(image, mask, patch_size=5, source_mask=right)
    found = field.positions[0, 0, 1][(grown(mask > 0, 2))[0, 0]]
    assert (found[found >= 0] >= 33).all()
    avoided, same = inpaint(image, mask, patch_size=5, avoid_mask=1 - right)
    assert torch.equal(only_right, avoided) and torch.equal(field.positions, same.positions)


def test_the_field_fills_other_maps_alike_and_carries_alpha():
    image = stripes()
    height = image[:, :1] * 3 - 1  # another map of the same surface
    mask = box(image, 12, 20, 14, 12)
    rgba = torch.cat((image, height), 1)
    filled, field = inpaint(rgba, mask, patch_size=7)
    alone, _ = inpaint(image, mask, patch_size=7)
    assert torch.equal(filled[:, :3], alone)  # what is carried along is not matched on
    assert (filled[:, 3:] - height).abs().max() < 0.1
    assert (field.apply(height) - height).abs().max() < 0.1
    away = ~grown(mask > 0, 3)
    assert (field.apply(height) - height)[away].abs().max() < 1e-5


def test_the_hole_may_cross_the_border_of_a_torus():
    image = stripes(48, 48)
    moved = image.roll((20, 24), (2, 3))
    mask = box(image, 16, 12, 14, 14)
    across, _ = inpaint(
        torch.where(mask.roll((20, 24), (2, 3)) > 0, 0.0, moved),
        mask.roll((20, 24), (2, 3)),
        patch_size=7,
        wrap=(True, True),
    )
    assert (across.roll((-20, -24), (2, 3)) - image).abs().max() < 0.05


def test_a_guide_decides_between_equals():
    image = torch.full((1, 3, 40, 80), 0.3) + 0.02 * noise(1, 3, 40, 80)
    image[..., 40:] += 0.4
    mask = box(image, 10, 32, 20, 16)
    dark, bright = torch.zeros(1, 1, 40, 80), torch.ones(1, 1, 40, 80)
    labels = (torch.arange(80) >= 40).float().expand(1, 1, 40, 80)
    for inside, expected in ((dark, 0.31), (bright, 0.71)):
        guide = torch.where(mask > 0, inside, labels)
        filled, _ = inpaint(image, mask, patch_size=5, guide=guide, guide_weight=3.0)
        middle = filled[..., 14:26, 36:44].mean()
        assert abs(middle - expected) < 0.06


def test_the_same_seed_gives_the_same_bits_and_a_batch_is_a_loop():
    images = noise(2, 3, 40, 36)
    mask = torch.cat((box(images, 10, 10, 8, 9), box(images, 20, 14, 9, 8)))
    both, fields = inpaint(images, mask, patch_size=5, iterations=3, seed=4)
    for b in range(2):
        one, field = inpaint(images[b : b + 1], mask[b : b + 1], patch_size=5, iterations=3, seed=4)
        assert torch.equal(one[0], both[b])
        assert torch.equal(field.positions[0], fields.positions[b])


def test_a_small_budget_takes_patches_from_near_the_hole():
    image = noise(1, 3, 120, 160)
    mask = box(image, 50, 70, 12, 12)
    _, field = inpaint(image, mask, patch_size=5, iterations=2, memory=120 * 70 * 70)
    queries = grown(mask > 0, 2)[0, 0]
    y, x = (p[queries] for p in field.positions[0, 0])
    assert (y - 56).abs().max() <= 36 and (x - 76).abs().max() <= 36


def test_every_scale_is_reported_and_the_callback_can_stop_the_work():
    image, steps = noise(1, 3, 96, 96), []
    mask = box(image, 20, 20, 24, 24)
    inpaint(image, mask, patch_size=5, levels=3, iterations=2, callback=steps.append)
    assert sum(step.level_done for step in steps) == 3
    assert steps[-1].done == steps[-1].total

    def stop(step):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        inpaint(image, mask, patch_size=5, callback=stop)


def test_an_empty_mask_gives_the_picture_back():
    image = noise(1, 3, 20, 22)
    filled, field = inpaint(image, torch.zeros(1, 1, 20, 22))
    assert torch.equal(filled, image)
    assert (field.apply(image) - image).abs().max() < 1e-6


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (dict(mask=torch.ones(1, 1, 32, 32)), "nothing to copy from"),
        (dict(mask=torch.zeros(1, 1, 16, 32)), "16x32"),
        (dict(source_mask=torch.zeros(1, 1, 32, 32)), "nothing to copy from"),
        (dict(patch_size=6), "odd"),
        (dict(patch_size=25), "nowhere in 32x32 a whole 25-pixel patch"),
        (dict(levels=5), "use at most"),
        (dict(levels=0), "positive"),
        (dict(upsample="wild"), "field, image"),
        (dict(image=torch.full((1, 3, 32, 32), float("nan"))), "3072 values of image"),
    ],
)
def test_bad_input_is_named(change, words):
    image = noise(1, 3, 32, 32)
    arguments = dict(image=image, mask=box(image, 12, 12, 8, 8), patch_size=5) | change
    with pytest.raises(ValueError, match=words):
        inpaint(arguments.pop("image"), arguments.pop("mask"), **arguments)


def test_onion_peel_continues_a_periodic_picture():
    image = stripes(32, 32)
    known = (box(image, 12, 12, 7, 7) == 0).expand_as(image)
    centres = ~grown(~known[:, :1], 3)
    centres[..., :3, :] = centres[..., -3:, :] = centres[..., :3] = centres[..., -3:] = False
    filled = onion_peel(torch.where(known, image, 9.0), known, image, centres, 7)
    assert (filled - image).abs().max() < 1e-5


def test_depth_counts_pixels_from_the_edge_of_the_mask():
    mask = box(torch.empty(1, 1, 9, 9), 2, 2, 5, 5) > 0
    expected = torch.tensor([1.0, 2.0, 3.0, 2.0, 1.0])
    assert torch.equal(depths(mask, 9)[0, 0, 4, 2:7], expected)
    assert torch.equal(depths(mask, 2)[0, 0, 4, 2:7], expected.clamp(max=2))


def test_a_fill_is_no_darker_and_no_brighter_than_the_picture():
    """Although the border's correction pushes it, where the border is unlike the patches."""
    image = noise(1, 3, 64, 64).round()
    image[..., 20:24, :] = 0.5
    mask = box(image, 22, 20, 24, 24)
    filled, _ = inpaint(image, mask, patch_size=7)
    assert image.min() <= filled.min() and filled.max() <= image.max()
