"""Generation: where the pixels come from, what stays, what repeats, what is refused."""

import pytest
import torch

from internal_methods.methods import generate

SMALL = {"scales": 2, "patch_size": 5, "iterations": 3}


def picture(height=40, width=36, channels=3, seed=0):
    """Coloured blobs on a ramp."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand((1, channels, 6, 6), generator=generator)
    size = (height, width)
    return torch.nn.functional.interpolate(coarse, size, mode="bicubic").clamp(0, 1)


def test_the_result_is_rebuilt_by_its_field():
    reference = picture()
    image, field = generate(reference, size=(30, 50), with_field=True, **SMALL)
    assert image.shape == (1, 3, 30, 50) and image.dtype == torch.float32
    assert field.validate().size == (30, 50) and field.source_size == (40, 36)
    other = field.apply(reference * 2 - 1)  # another map of the same source
    torch.testing.assert_close(other, field.apply(reference) * 2 - 1, atol=1e-5, rtol=0)
    assert (other - (image * 2 - 1)).abs().mean() < 0.05  # seams are blended a little differently
    whole = field.found[0, 0]
    assert whole[2:-2, 2:-2].all() and whole.sum() == 26 * 46  # whole patches only


def test_patches_of_the_result_are_patches_of_the_reference():
    reference = picture()
    image, field = generate(reference, with_field=True, seed=3, **SMALL)
    mine = torch.nn.functional.unfold(image, 5)[0].T
    theirs = torch.nn.functional.unfold(reference, 5)[0].T
    nearest = torch.cdist(mine, theirs).square().min(dim=1).values
    shuffled = reference.flatten(2)[..., torch.randperm(40 * 36)].view_as(reference)
    other = torch.nn.functional.unfold(shuffled, 5)[0].T
    floor = torch.cdist(other, theirs).square().min(dim=1).values
    assert nearest.median() < 0.1 * floor.median()


@pytest.mark.parametrize("method", ["psin", "psinot"])
def test_same_seed_same_bits_and_variants_are_consecutive_seeds(method):
    reference = picture()
    both = generate(reference, method=method, count=2, seed=5, **SMALL)
    first = generate(reference, method=method, seed=5, **SMALL)
    second = generate(reference, method=method, seed=6, **SMALL)
    assert torch.equal(both[:1], first) and torch.equal(both[1:], second)
    assert not torch.equal(first, second)


def test_a_tileable_result_is_matched_across_its_borders():
    reference = picture()
    image, field = generate(reference, wrap=(False, True), with_field=True, size=(30, 32), **SMALL)
    assert field.wrap == (False, True) and field.found[0, 0, 2:-2].all()
    assert not field.found[0, 0, :2].any()
    step = (
        (image - image.roll(1, dims=3)).abs().mean(dim=(0, 1, 2))
    )  # column against the one before
    assert step[0] < 2 * step.mean()
    plain = generate(reference, size=(30, 32), **SMALL)
    seam = (plain - plain.roll(1, dims=3)).abs().mean(dim=(0, 1, 2))
    assert step[0] < 0.5 * seam[0]


def test_kept_pixels_stay_bit_for_bit_and_their_surroundings_fit():
    reference = picture()
    keep = torch.zeros_like(reference)
    keep[..., 12:28, 10:26] = reference[..., 12:28, 10:26]
    mask = torch.zeros(1, 1, 40, 36)
    mask[..., 12:28, 10:26] = 1
    image = generate(reference, keep=keep, keep_mask=mask, seed=1, **SMALL)
    inside = mask.bool().expand_as(image)
    assert torch.equal(image[inside], reference[inside])
    free = generate(reference, seed=1, **SMALL)
    pasted = torch.where(mask.bool(), keep, free)

    def seam(picture):
        return (picture[..., 11, 10:26] - picture[..., 12, 10:26]).abs().mean()

    assert seam(image) < 0.5 * seam(pasted)


def test_a_guide_gives_the_layout():
    """A guide that is the reference itself, begun at the finest scale, gives back the reference."""
    reference = picture()
    image = generate(reference, guide=reference, start_scale=1, **SMALL)
    assert (image - reference).abs().mean() < 0.01
    flipped = generate(reference, guide=reference.flip(3), **SMALL)
    from_noise = generate(reference, **SMALL)
    wanted = reference.flip(3)
    assert (flipped - wanted).abs().mean() < 0.7 * (from_noise - wanted).abs().mean()


def test_a_guide_of_any_size_and_channels_per_variant():
    reference = picture()
    guides = torch.cat([picture(20, 20, seed=1), picture(20, 20, seed=2)])
    both = generate(reference, guide=guides, count=2, **SMALL)
    assert not torch.equal(both[0], both[1])
    assert generate(reference, guide=guides[:1, :1], **SMALL).shape == reference.shape


def test_alpha_comes_along_and_is_not_compared():
    reference = picture()
    alpha = torch.linspace(0, 1, 36).expand(1, 1, 40, 36)
    opaque = generate(reference, **SMALL)
    image, field = generate(torch.cat([reference, alpha], dim=1), with_field=True, **SMALL)
    assert torch.equal(image[:, :3], opaque)
    assert 0 <= image[:, 3].min() and image[:, 3].max() <= 1
    assert image[:, 3].std() > 0.05


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16])
def test_any_range_and_type(dtype):
    reference = (picture() * 900 - 300).to(dtype)
    image = generate(reference, **SMALL)
    assert image.dtype == dtype and torch.isfinite(image).all()
    assert image.min() < 0 and image.max() > 300  # not clamped


def test_a_grey_picture():
    assert generate(picture(channels=1), **SMALL).shape == (1, 1, 40, 36)


def test_upsampling_the_image_differs_from_upsampling_the_field():
    reference = picture()
    field, image = (generate(reference, upsample=way, **SMALL) for way in ("field", "image"))
    assert image.shape == field.shape and not torch.equal(image, field)


def test_inputs_are_left_alone():
    reference, keep = picture(), picture(seed=1)
    mask = torch.ones(1, 1, 40, 36)
    before = reference.clone(), keep.clone()
    generate(reference, keep=keep, keep_mask=mask, **SMALL)
    assert torch.equal(reference, before[0]) and torch.equal(keep, before[1])


def test_progress_counts_up_to_the_end_and_shows_every_scale():
    steps = []
    generate(picture(), count=2, callback=steps.append, **SMALL)
    done = [step.done for step in steps]
    assert done[0] == 0 and done == sorted(done) and done[-1] == steps[0].total == 2 * 2 * 3
    scales = [tuple(step.image.shape) for step in steps if step.level_done]
    assert scales == [(1, 3, 20, 18), (1, 3, 40, 36)] * 2


def test_an_exception_of_the_callback_ends_the_work():
    class Stop(Exception):
        pass

    def callback(step):
        raise Stop

    with pytest.raises(Stop):
        generate(picture(), callback=callback, **SMALL)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"scales": 6}, r"40x36 is 2x2 at the coarsest of 6 scales.*at most 4 scales.*129"),
        ({"size": (8, 60), "scales": 3}, r"result of 8x60.*at most 1 scale"),
        ({"patch_size": 6}, "odd"),
        ({"method": "pisn"}, "psin, psinot"),
        ({"upsample": "both"}, "field, image"),
        ({"count": 0}, "count"),
        ({"size": (0, 10)}, "size"),
        ({"start_scale": 2}, "0 to 1"),
        ({"keep": torch.zeros(1, 3, 40, 36)}, "keep_mask"),
        ({"keep": torch.zeros(1, 3, 40, 30), "keep_mask": torch.zeros(1, 1, 40, 36)}, "40x30"),
        (
            {"keep": torch.zeros(1, 3, 40, 36), "keep_mask": torch.zeros(1, 1, 40, 30)},
            "40x30.*40x36",
        ),
        ({"guide": torch.full((1, 3, 9, 9), torch.nan)}, "243 values of guide"),
    ],
)
def test_what_cannot_work_is_said_in_words(change, words):
    with pytest.raises(ValueError, match=words):
        generate(picture(), **{**SMALL, **change})


def test_a_reference_that_is_not_one_finite_image_is_refused():
    with pytest.raises(ValueError, match="batch of 2"):
        generate(picture().expand(2, -1, -1, -1))
    broken = picture()
    broken[0, 0, :2, 0] = torch.inf
    with pytest.raises(ValueError, match="2 values of reference"):
        generate(broken)
