"""Pyramids and features against scipy and numbers worked out by hand."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from internal_methods.methods.features import MatchingSpace, features, luma
from internal_methods.methods.pyramid import halved, level_sizes, masked_pyramid, pyramid


@pytest.mark.parametrize("wrap", [(False, False), (True, False), (False, True), (True, True)])
@pytest.mark.parametrize("size", [(7, 10), (1, 5), (2, 2), (8, 3)])
def test_halving_is_scipys_gaussian_of_three_taps_and_every_second_pixel(size, wrap):
    image = torch.rand(2, 3, *size, dtype=torch.float64)
    modes = ["grid-wrap" if w else "mirror" for w in wrap]
    wanted = image.numpy()
    for axis, mode in enumerate(modes):
        wanted = ndimage.gaussian_filter1d(wanted, 1.5, axis=2 + axis, mode=mode, radius=1)
    np.testing.assert_allclose(halved(image, wrap).numpy(), wanted[..., ::2, ::2], rtol=1e-12)


def test_levels_halve_and_round_up():
    assert level_sizes((256, 187), 4) == [(256, 187), (128, 94), (64, 47), (32, 24)]
    levels = pyramid(torch.rand(1, 2, 21, 10), 3)
    assert [tuple(level.shape[2:]) for level in levels] == level_sizes((21, 10), 3)
    assert torch.equal(levels[1], halved(levels[0]))


def test_a_clip_is_halved_and_described_frame_by_frame():
    clip = torch.rand(1, 3, 4, 11, 14)
    frames = clip[0].movedim(1, 0)
    known = torch.rand(1, 3, 4, 11, 14) > 0.2
    for values, alike in (
        (pyramid(clip, 3)[2], pyramid(frames, 3)[2]),
        (features(clip), features(frames)),
        (
            masked_pyramid(clip, known, 2)[1][0],
            masked_pyramid(frames, known[0].movedim(1, 0), 2)[1][0],
        ),
    ):
        torch.testing.assert_close(values[0].movedim(1, 0), alike)


def test_a_torus_stays_one():
    image = torch.rand(1, 1, 8, 8)
    moved = pyramid(image.roll((2, 4), (2, 3)), 2, (True, True))[1]
    torch.testing.assert_close(moved, pyramid(image, 2, (True, True))[1].roll((1, 2), (2, 3)))


def test_what_is_not_known_leaves_no_trace_in_a_masked_pyramid():
    image, known = torch.rand(1, 2, 17, 12), torch.ones(1, 2, 17, 12, dtype=torch.bool)
    known[:, :, 5:11, 4:9] = False
    other = torch.where(known, image, 1e3)
    for (a, there), (b, _) in zip(
        masked_pyramid(image, known, 3), masked_pyramid(other, known, 3), strict=True
    ):
        assert torch.equal(a[there], b[there])
    flat = masked_pyramid(torch.full_like(image, 0.7), known, 3)
    for values, there in flat:
        torch.testing.assert_close(values[there], torch.full_like(values[there], 0.7))
    assert not flat[1][1].all()


def test_features_are_colour_and_weighted_gradients_of_luma():
    image = torch.rand(2, 3, 6, 9, dtype=torch.float64)
    light = (0.299 * image[:, 0] + 0.587 * image[:, 1] + 0.114 * image[:, 2]).numpy()
    result = features(image, texture=5.0)
    assert torch.equal(result[:, :3], image)
    for channel, axis in ((3, 1), (4, 2)):
        wanted = 5 * np.abs(np.gradient(light, axis=axis))
        np.testing.assert_allclose(result[:, channel].numpy(), wanted, atol=1e-12)


def test_gradients_on_a_torus_know_the_other_side():
    image = torch.rand(1, 1, 6, 9)
    tiled = features(image.repeat(1, 1, 3, 3))[..., 6:12, 9:18]
    torch.testing.assert_close(features(image, wrap=(True, True)), tiled)
    assert torch.equal(luma(image), image)


def test_ordinary_pictures_are_compared_as_they_are_and_others_by_their_percentiles():
    image = torch.rand(1, 3, 20, 20)
    assert torch.equal(MatchingSpace.of(image, 5.0).colour(image), image)
    wide = image * 4000 - 1000
    wide[0, :, 3, 3] = 1e6  # a lamp
    seen = MatchingSpace.of(wide, 5.0).colour(wide)
    usual = seen.flatten(2)[..., torch.arange(400) != 63]
    assert -0.1 < usual.min() and usual.max() < 1.1
    assert 2 < seen[0, 0, 3, 3] < 10
    order = wide.flatten().argsort()
    assert (seen.flatten()[order].diff() >= 0).all()
