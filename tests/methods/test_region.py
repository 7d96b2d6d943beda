"""Remaking a part of a picture: harmonising what was pasted in, joining borders."""

import pytest
import torch

from internal_methods.methods import harmonise, make_tileable


def waves(height=48, width=56, channels=3):
    """Waves that fit neither side of the picture."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    wave = 0.5 + 0.3 * torch.sin(2 * torch.pi * x / 10 + 1) * torch.sin(2 * torch.pi * y / 9 + 2)
    return wave.expand(1, channels, -1, -1).clone()


def pasted(channels=3):
    """The waves with a flat bright square in them, and its mask."""
    image, mask = waves(channels=channels), torch.zeros(1, 1, 48, 56)
    mask[..., 16:32, 20:36] = 1
    return torch.where(mask > 0, torch.full_like(image, 0.75), image), mask


def change(image):
    return (image[..., 1:] - image[..., :-1]).abs().mean()


def test_the_object_takes_on_the_texture_around_it_and_keeps_its_shade():
    image, mask = pasted()
    result, field = harmonise(image, mask, scales=3, bands=2)
    assert torch.equal(result[mask.expand_as(result) == 0], image[mask.expand_as(image) == 0])
    inside, before = result[..., 16:32, 20:36], image[..., 16:32, 20:36]
    assert change(before) == 0 and change(inside) > 0.2 * change(image)
    assert (inside.mean() - 0.75).abs() < 0.05  # 0.5 around it
    found = field.validate().found[0, 0]
    assert found[16:32, 20:36].all() and not found[:8].any()


def test_without_bands_the_object_may_become_the_picture():
    image, mask = pasted()
    kept, _ = harmonise(image, mask, scales=2, start_scale=0, bands=2)
    free, _ = harmonise(image, mask, scales=2, start_scale=0, bands=0)
    wanted = waves()
    assert (free - wanted).abs().mean() < (kept - wanted).abs().mean()


def test_patches_come_from_outside_the_mask_or_from_the_reference():
    image, mask = pasted()
    _, field = harmonise(image, mask, scales=2)
    y, x = field.positions[0, 0, :, field.found[0, 0]].long()
    covered = torch.nn.functional.max_pool2d(mask, 7, stride=1, padding=3)[0, 0]
    assert not covered[y, x].any()
    other = waves(40, 30).flip(3)
    result, field = harmonise(image, mask, reference=other, scales=2)
    assert field.validate().source_size == (40, 30) and result.shape == image.shape


def test_a_soft_mask_blends():
    image, mask = pasted()
    hard, _ = harmonise(image, mask, scales=2)
    soft, _ = harmonise(image, mask * 0.5, scales=2)
    torch.testing.assert_close(soft, (image + hard) / 2)


def test_an_empty_mask_changes_nothing():
    image, mask = pasted()
    result, field = harmonise(image, mask * 0, scales=2)
    assert torch.equal(result, image) and not field.found.any()


@pytest.mark.parametrize("channels", [1, 4])
def test_grey_and_alpha(channels):
    image, mask = pasted(channels)
    result, _ = harmonise(image.double(), mask, scales=2)
    assert result.shape == image.shape and result.dtype == torch.float64


@pytest.mark.parametrize(
    ("words", "settings"),
    [
        ("covers the whole image", {"mask": torch.ones(1, 1, 48, 56), "scales": 2}),
        ("48x50.*48x56", {"mask": torch.ones(1, 1, 48, 50)}),
        ("start_scale 4", {"start_scale": 4}),
        ("bands 9", {"bands": 9}),
        ("at most 3 scales", {"scales": 5}),
        ("channels", {"reference": torch.rand(1, 1, 60, 60), "scales": 2}),
    ],
)
def test_what_cannot_be_harmonised_is_said_in_words(words, settings):
    image, mask = pasted()
    with pytest.raises(ValueError, match=words):
        harmonise(image, **{"mask": mask, **settings})


@pytest.mark.parametrize("axes", [(True, True), (True, False), (False, True)])
def test_borders_meet_and_the_middle_stays(axes):
    image = waves(96, 115)
    result, field = make_tileable(image, axes=axes, seed=2)
    rows = slice(12, 84) if axes[0] else slice(0, 96)
    columns = slice(14, 101) if axes[1] else slice(0, 115)
    assert torch.equal(result[..., rows, columns], image[..., rows, columns])
    assert field.validate().wrap == axes
    for axis, joined in enumerate(axes):
        if joined:
            assert seam(result, 2 + axis) < 1.1 < 1.3 < seam(image, 2 + axis)


def seam(image, dim):
    """The change across the border against the largest between two rows (columns) inside."""
    changes = (image - image.roll(1, dim)).abs().transpose(2, dim).mean(dim=(0, 1, 3))
    return changes[0] / changes[1:].max()


def test_the_band_is_made_of_whole_patches_from_outside_it():
    _, field = make_tileable(waves(), axes=(False, True))
    x = field.positions[0, 0, 1][field.found[0, 0]]
    assert x.min() >= 7 + 3 and x.max() < 49 - 3
    assert field.found[0, 0, 3:-3, :4].all() and field.found[0, 0, 3:-3, -4:].all()


def test_same_seed_same_bits():
    first, second = (make_tileable(waves(), seed=4)[0] for _ in range(2))
    assert torch.equal(first, second)


@pytest.mark.parametrize(
    ("words", "settings"),
    [
        ("no axis", {"axes": (False, False)}),
        ("share between 0 and 1", {"band": 1.5}),
        ("strip of 2 pixels", {"band": 0.05}),
        ("strip of 4 pixels", {"band": 0.92}),
    ],
)
def test_what_cannot_be_made_tileable_is_said_in_words(words, settings):
    with pytest.raises(ValueError, match=words):
        make_tileable(waves(), **settings)


def test_progress_reaches_its_total():
    steps = []
    make_tileable(waves(), callback=steps.append)
    assert steps[-1].done == steps[-1].total and steps[-1].level_done
