"""Tracks lead to where a place is seen, and say how far it can be relied on."""

import numpy as np
import pytest
import torch

from internal_methods.methods.video.frames import grey_of, mask_of
from internal_methods.methods.video.registration import register
from internal_methods.methods.video.tracks import BLOCK, UNKNOWN, Blocks, Sources, follow
from moving_views import SIZE, camera, moving_hole, views

FRAMES = 10
WAYS = camera(FRAMES, pan=(1.2, 0.3))


def sources(clip, mask, avoid=None, cuts=()) -> Sources:
    found = register(
        lambda t: grey_of(clip, 0, t), lambda t: mask_of(mask, 0, t, SIZE), FRAMES, "homography"
    )
    return Sources(clip, mask, avoid, 0, found, cuts, 0.7, 2 * FRAMES)


def points_of(mask, t) -> np.ndarray:
    y, x = (mask[0, 0, t].numpy() > 0).nonzero()
    return np.stack([x, y], 1).astype(np.float32)


def band(mask, t) -> np.ndarray:
    """Around the hole, 5 to 12 pixels away."""
    hole = mask[:, :, t].float()
    near, far = (torch.nn.functional.max_pool2d(hole, 2 * by + 1, 1, by) for by in (5, 12))
    return points_of((far - near)[:, :, None], 0)


def test_tracks_end_where_the_place_is_seen():
    clip, mask = views(WAYS), moving_hole(FRAMES)
    points = points_of(mask, 4)
    finds = follow(sources(clip, mask), 4, points, 1, 9, band(mask, 4), 0.0, lambda: None)
    found = np.isfinite(finds.error)
    true = clip[0, :, 4][:, points[:, 1].astype(int), points[:, 0].astype(int)].T.numpy()
    assert 0.3 < found.mean() <= 1
    assert np.sqrt(((finds.values - true)[found] ** 2).mean()) < 0.01
    assert np.sqrt(finds.error[found]).mean() < 0.02
    left_first = finds.age[found][points[found][:, 0] < points[:, 0].min() + 4]
    assert left_first.mean() < finds.age[found].mean()  # the hole moves to the right


def test_the_end_is_not_passed():
    clip, mask = views(WAYS), moving_hole(FRAMES)
    given, points = sources(clip, mask), points_of(mask, 4)
    near = follow(given, 4, points, 1, 5, band(mask, 4), 0.0, lambda: None)
    assert near.age.max() == 1
    back = follow(given, 0, points_of(mask, 0), -1, 0, band(mask, 0), 0.0, lambda: None)
    assert not np.isfinite(back.error).any()


def test_what_does_not_fit_around_the_hole_is_an_error():
    """All later frames show another scene, moving alike: nothing is known of this one."""
    other = views(WAYS, seed=8)
    clip, mask = views(WAYS), moving_hole(FRAMES)
    clip[:, :, 5:] = other[:, :, 5:]
    finds = follow(
        sources(clip, mask), 4, points_of(mask, 4), 1, 9, band(mask, 4), 0.0, lambda: None
    )
    assert np.sqrt(np.median(finds.error)) > 0.08


def test_without_anything_around_the_error_is_large():
    clip, mask = views(WAYS), moving_hole(FRAMES)
    finds = follow(
        sources(clip, mask), 4, points_of(mask, 4), 1, 9, band(mask, 4)[:5], 0.0, lambda: None
    )
    assert finds.error.min() >= np.float32(UNKNOWN**2)


def test_scenes_are_kept_apart():
    given = sources(views(WAYS), moving_hole(FRAMES), cuts=(3, 7))
    assert [given.scene(t) for t in (0, 2, 3, 6, 7, 9)] == [
        (0, 2), (0, 2), (3, 6), (3, 6), (7, 9), (7, 9)
    ]  # fmt: skip


def test_a_cut_is_no_change():
    clip = views(WAYS)
    clip[:, :, 5:] = views(WAYS, seed=8)[:, :, 5:]
    apart = sources(clip, moving_hole(FRAMES), cuts=(5,)).change(5)
    together = sources(clip, moving_hole(FRAMES)).change(5)
    assert np.median(apart) < 0.02 * np.median(together)


def test_nothing_is_read_near_what_is_hidden():
    mask, avoid = moving_hole(FRAMES), torch.zeros(1, 1, 1, *SIZE)
    avoid[..., 80:, :] = 1
    given = sources(views(WAYS), mask, avoid)
    top, left = 30, 16
    points = np.array(
        [[left - 3, top], [left - 4, top], [20, 76], [20, 77], [-1, 5], [0, 5], [143.6, 5]],
        np.float32,
    )
    assert given.can_be_read(points, 0).tolist() == [False, True, True, False, False, True, False]


def test_it_can_be_interrupted():
    class Enough(Exception):
        pass

    def stop() -> None:
        raise Enough

    clip, mask = views(WAYS), moving_hole(FRAMES)
    with pytest.raises(Enough):
        follow(sources(clip, mask), 4, points_of(mask, 4), 1, 9, band(mask, 4), 0.0, stop)


def test_contrast_is_compared_over_blocks():
    """A gain of all and an offset of each pixel's own grain."""
    draw = np.random.default_rng(0)
    y, x = np.mgrid[:48, :64]
    places = np.stack([x.ravel(), y.ravel()], 1).astype(np.float32)
    blocks = Blocks(places, places)
    there = np.sin(x / 9).ravel()[:, None] * 0.2 * np.array([1.0, 0.5]) + 0.5
    colours = 0.8 * there + 0.1 + draw.normal(0, 0.02, there.shape)
    seen = np.ones(len(places), bool)
    assert np.allclose(blocks.gain(colours, there, seen), 0.8, atol=0.06)
    assert np.array_equal(blocks.gain(there, there, seen), [1, 1])
    assert np.array_equal(blocks.gain(colours, there, seen & (x.ravel() < BLOCK)), [1, 1])


def test_blocks_carry_their_means_into_the_hole():
    y, x = np.mgrid[:40, :40]
    places = np.stack([x.ravel(), y.ravel()], 1).astype(np.float32)
    hole = ((places > 11) & (places < 28)).all(1)
    blocks = Blocks(places[hole], places[~hole])
    means = blocks.means(np.where(places[~hole, :1] < 20, 0.0, 1.0), np.ones((~hole).sum()))
    inside = blocks.read(means, np.arange(hole.sum()))[:, 0]
    assert inside[places[hole, 0] < 14].mean() < 0.3
    assert inside[places[hole, 0] > 25].mean() > 0.7
