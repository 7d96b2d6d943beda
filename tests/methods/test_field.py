"""The field: what it refuses, what it rebuilds, how it grows, how it looks."""

from dataclasses import replace

import pytest
import torch

from internal_methods.methods import Field, distances_picture, offsets_picture


def identity(height=9, width=11, patch_size=3, batch=1):
    """The field of an image to itself: whole patches map to themselves, the border to none."""
    half = patch_size // 2
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    inner = (y >= half) & (y < height - half) & (x >= half) & (x < width - half)
    positions = torch.where(inner, torch.stack([y, x]), -1).int()
    distances = torch.where(inner, 0.0, torch.inf)
    return Field(
        positions.expand(batch, 1, 2, height, width).clone(),
        distances.expand(batch, 1, height, width).clone(),
        patch_size,
        (height, width),
    )


def random_field(size, source_size, patch_size=3, k=2, seed=0, **flags):
    generator = torch.Generator().manual_seed(seed)
    half = patch_size // 2
    axes = [
        torch.randint(half, n - half, (1, k, *size), generator=generator, dtype=torch.int32)
        for n in source_size
    ]
    distances = torch.rand((1, k, *size), generator=generator)
    return Field(torch.stack(axes, dim=2), distances, patch_size, tuple(source_size), **flags)


def test_a_field_names_the_count_and_the_first_of_its_wild_positions():
    field = random_field((5, 6), (9, 8))
    assert field.validate() is field
    wild = field.positions.clone()
    wild[0, 1, :, 2, 3] = torch.tensor([0, 4], dtype=torch.int32)  # its patch leaves the source
    wild[0, 1, :, 4, 5] = 1000
    with pytest.raises(ValueError, match=r"2 positions.*\[0, 4\].*\[0, 1, 2, 3\]"):
        replace(field, positions=wild).validate()


@pytest.mark.parametrize("half_none", [(-1, 3), (3, -1), (-2, -2)])
def test_none_is_minus_one_in_all_coordinates(half_none):
    field = random_field((5, 6), (9, 8))
    positions = field.positions.clone()
    positions[0, 0, :, 0, 0] = torch.tensor(half_none, dtype=torch.int32)
    with pytest.raises(ValueError, match="1 positions"):
        replace(field, positions=positions).validate()
    positions[0, 0, :, 0, 0] = -1
    replace(field, positions=positions).validate()


def test_on_a_torus_patches_may_cross_the_border_of_the_source():
    field = random_field((5, 6), (9, 8))
    positions = field.positions.clone()
    positions[0, 0, :, 0, 0] = torch.tensor([0, 7], dtype=torch.int32)
    edited = replace(field, positions=positions)
    with pytest.raises(ValueError):
        edited.validate()
    with pytest.raises(ValueError):
        replace(edited, source_wrap=(True, False)).validate()
    replace(edited, source_wrap=(True, True)).validate()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"positions": torch.zeros(1, 1, 2, 9, 11)}, "int32"),
        ({"positions": torch.zeros(1, 2, 9, 11, dtype=torch.int32)}, "shape"),
        ({"distances": torch.zeros(1, 1, 9, 10)}, "distances"),
        ({"distances": torch.zeros(1, 1, 9, 11, dtype=torch.float64)}, "float32"),
        ({"distances": torch.full((1, 1, 9, 11), torch.nan)}, "99 distances"),
        ({"patch_size": 4}, "odd"),
        ({"wrap": (False,)}, "wrap"),
    ],
)
def test_tensors_that_do_not_fit_together_are_refused(change, words):
    with pytest.raises(ValueError, match=words):
        replace(identity(), **change).validate()


def test_a_wild_position_is_an_error_when_applied_never_a_crash():
    field = identity()
    positions = field.positions.clone()
    positions[0, 0, :, 4, 4] = 2**31 - 1
    with pytest.raises(ValueError, match="1 positions"):
        replace(field, positions=positions).apply(torch.rand(1, 3, 9, 11))


@pytest.mark.parametrize("method", ["average", "best"])
def test_the_field_of_an_image_to_itself_gives_the_image(method):
    image = torch.rand(2, 4, 9, 11) * 100
    result = identity(batch=2).apply(image, method)
    assert result.dtype == image.dtype
    if method == "best":
        assert torch.equal(result, image)
    else:
        torch.testing.assert_close(result, image, rtol=1e-6, atol=0)


def test_nearest_takes_the_value_at_the_match():
    field = random_field((5, 6), (9, 8))
    image = torch.rand(1, 3, 9, 8)
    result = field.apply(image, "nearest")
    for y in range(5):
        for x in range(6):
            at = field.positions[0, 0, :, y, x].tolist()
            assert torch.equal(result[0, :, y, x], image[0, :, at[0], at[1]])


def test_nearest_serves_clips_and_leaves_unmatched_pixels_zero():
    field = random_field((3, 4, 5), (4, 6, 7), wrap=(False,) * 3, source_wrap=(False,) * 3)
    positions = field.positions.clone()
    positions[0, :, :, 1, 2, 3] = -1
    field = replace(field, positions=positions)
    clip = torch.rand(1, 2, 4, 6, 7) + 1
    result = field.apply(clip, "nearest")
    at = positions[0, 0, :, 2, 3, 4].tolist()
    assert torch.equal(result[0, :, 2, 3, 4], clip[0, :, at[0], at[1], at[2]])
    assert (result[0, :, 1, 2, 3] == 0).all() and (result != 0).sum() == result.numel() - 2


def test_one_map_serves_a_batch_of_fields():
    one = torch.rand(1, 3, 9, 11)
    result = identity(batch=2).apply(one, "best")
    assert torch.equal(result, one.expand(2, -1, -1, -1))


def test_a_map_of_another_size_is_refused_with_both_sizes():
    with pytest.raises(ValueError, match="9x12.*9x11"):
        identity().apply(torch.rand(1, 3, 9, 12))
    with pytest.raises(ValueError, match="sharpest"):
        identity().apply(torch.rand(1, 3, 9, 11), "sharpest")


def test_better_patches_weigh_more_whatever_the_range_of_the_distances():
    values = torch.zeros(1, 1, 9, 11)
    values[0, 0, 4, 5] = 1
    results = []
    for unit in (1e-4, 1.0, 1e4):
        field = identity()
        distances = torch.full_like(field.distances, unit)
        distances[0, 0, 4, 5] = 0
        results.append(replace(field, distances=distances).apply(values)[0, 0, 4, 5])
    torch.testing.assert_close(torch.stack(results), torch.ones(3))
    shifted = identity().positions.roll(1, dims=4)  # all but one patch say what lies to the left
    shifted[0, 0, :, 4, 5] = torch.tensor([4, 5], dtype=torch.int32)
    shifted[0, 0, :, :, :2] = -1
    for unit in (1e-4, 1.0, 1e4):
        distances = torch.full((1, 1, 9, 11), 2 * unit)
        distances[0, 0, 4, 5] = unit
        field = replace(identity(), positions=shifted, distances=distances)
        wanted = 1 / (1 + 8 * torch.tensor(-0.5).exp())  # 8 patches of weight exp(-1/2) against 1
        torch.testing.assert_close(field.apply(values)[0, 0, 4, 5], wanted)


def test_doubling_follows_the_formula():
    field = random_field((6, 7), (8, 9))
    fine = field.upscale((12, 14), (16, 18))
    fine.validate()
    offsets = field.offsets()
    for y in range(12):
        for x in range(14):
            match = torch.tensor([y, x]) + 2 * offsets[0, 0, :, y // 2, x // 2]
            wanted = match.clamp(min=1).minimum(torch.tensor([14, 16]))
            assert fine.positions[0, 0, :, y, x].tolist() == wanted.tolist()
            assert fine.distances[0, 0, y, x] == field.distances[0, 0, y // 2, x // 2]


@pytest.mark.parametrize("source_wrap", [(False, False), (True, True), (False, True)])
@pytest.mark.parametrize(
    ("size", "source"), [((13, 7), (15, 31)), ((3, 5), (5, 5)), ((6, 40), (17, 9))]
)
def test_any_factor_gives_a_usable_field(size, source, source_wrap):
    field = random_field((6, 7), (8, 9), source_wrap=source_wrap)
    positions = field.positions.clone()
    positions[:, :, :, :2, :2] = -1
    fine = replace(field, positions=positions).upscale(size, source)
    assert fine.validate().size == size
    assert (fine.positions[0, 0, :, 0, 0] == -1).all()


def test_an_uneven_factor_keeps_the_remainder():
    """A plain shift stays one: no pixel is off by more than rounding."""
    y, x = torch.meshgrid(torch.arange(20), torch.arange(20), indexing="ij")
    positions = torch.stack([y + 10, x + 4]).int()[None, None]
    field = Field(positions, torch.zeros(1, 1, 20, 20), 1, (40, 40))
    fine = field.upscale((30, 30), (60, 60))
    assert (fine.offsets()[0, 0, 0] == 15).all() and (fine.offsets()[0, 0, 1] == 6).all()


def test_a_side_halved_and_rounded_up_counts_as_a_half():
    y, x = torch.meshgrid(torch.arange(10), torch.arange(10), indexing="ij")
    positions = torch.stack([y + 5, x]).int()[None, None]
    field = Field(positions, torch.zeros(1, 1, 10, 10), 1, (20, 10))
    assert (field.upscale((19, 19), (39, 19)).offsets()[0, 0, 0] == 10).all()


def test_clips_are_upscaled_along_space_alone_when_asked():
    field = random_field((3, 4, 5), (4, 6, 7), wrap=(False,) * 3, source_wrap=(False,) * 3)
    fine = field.upscale((3, 8, 10), (4, 12, 14))
    fine.validate()
    assert torch.equal(fine.positions[0, 0, 0, :, ::2, ::2], field.positions[0, 0, 0])


def test_pictures_show_direction_strength_and_what_is_missing():
    field = identity()
    positions = field.positions.clone()
    positions[0, 0, 1, 4, 2] += 5  # to the right
    positions[0, 0, 1, 4, 8] -= 5  # to the left
    picture = offsets_picture(replace(field, positions=positions))
    assert picture.shape == (1, 3, 9, 11) and 0 <= picture.min() and picture.max() <= 1
    assert (picture[0, :, 0, 0] == 0).all()  # no match: black
    assert (picture[0, :, 5, 5] == 1).all()  # not moved: white
    torch.testing.assert_close(picture[0, :, 4, 2], torch.tensor([1.0, 0.0, 0.0]))
    torch.testing.assert_close(picture[0, :, 4, 8], torch.tensor([0.0, 1.0, 1.0]))

    distances = field.distances.clone()
    distances[0, 0, 4, 4] = 9.0
    heat = distances_picture(replace(field, distances=distances))
    assert heat.shape == (1, 3, 9, 11) and 0 <= heat.min() and heat.max() <= 1
    assert heat[0, :, 0, 0].tolist() == [0, 0, 1] and heat[0, :, 5, 5].sum() == 0
    assert heat[0, :, 4, 4].sum() > 0
