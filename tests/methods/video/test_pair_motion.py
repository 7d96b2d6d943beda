"""The motion between two frames, in the hole as well, against the one that is true."""

import numpy as np
import pytest
import torch

from internal_methods.methods.motion import flow_search
from internal_methods.methods.video.frames import grey_of
from internal_methods.methods.video.pair_motion import (
    CELL,
    Frame,
    PairMotion,
    cell_means,
    pair_motion,
    read,
    read_cells,
)
from internal_methods.methods.video.transforms import moved_points
from moving_views import SIZE, camera, moving_hole, views

HOLES = np.where(moving_hole(2)[0, 0].numpy() > 0, 255, 0).astype(np.uint8)


def pair(clip, matrix=None) -> PairMotion:
    now, then = (
        Frame(clip[0, :, t].numpy(), grey_of(clip, 0, t), holes) for t, holes in enumerate(HOLES)
    )
    search = flow_search(*SIZE)
    return pair_motion(search, now, then, np.eye(3) if matrix is None else matrix, 0.7)


def with_objects(clip):
    """Under the holes something else, that does not move with the scene."""
    return torch.where(moving_hole(2) > 0, views(camera(2, pan=(-5.0, 3.0)), seed=9), clip)


def in_the_hole() -> np.ndarray:
    y, x = (HOLES[0] > 0).nonzero()
    return np.stack([x, y], 1).astype(np.float32)


@pytest.mark.parametrize("known", [True, False])
def test_what_is_behind_the_hole_moves_as_what_is_around(known):
    """Whether the camera's matrix was measured, or is left to the flow."""
    ways = camera(2, pan=(2.6, -1.4), turn=0.8)
    true = np.linalg.inv(ways[1]) @ ways[0]
    found = pair(with_objects(views(ways)), true if known else None)
    points = in_the_hole()
    there = moved_points(true, points.astype(np.float64))
    allowed = 0.1 if known else 0.35
    assert np.abs(found.onward(points) - there).max() < allowed
    assert np.abs(found.back(there.astype(np.float32)) - points).max() < allowed


def test_it_does_not_matter_what_is_in_the_hole():
    clip = views(camera(2, pan=(2.6, -1.4), turn=0.8))
    one, two = (pair(c) for c in (with_objects(clip), clip * (moving_hole(2) == 0)))
    for name in ("forward", "backward", "spread", "trust", "change", "change_after"):
        assert np.array_equal(getattr(one, name), getattr(two, name)), name


def test_a_still_scene_can_be_trusted_and_does_not_change():
    found = pair(with_objects(views(camera(2, pan=(1.0, 0.5)))))
    assert np.median(found.trust) > 0.99
    seen = found.weight > 0.5
    assert np.sqrt(found.change[seen].mean()) < 0.02
    after = found.weight_after > 0.5
    assert np.sqrt(found.change_after[after].mean()) < 0.02


def test_what_is_new_in_every_frame_changes():
    clip = views(camera(2))
    clip[:, :, 1] = views(camera(2), seed=4)[:, :, 1]
    found = pair(clip)
    assert np.sqrt(found.change[found.weight > 0.5].mean()) > 0.05


def test_flow_that_does_not_lead_home_is_not_trusted():
    """One half of the scene moves on its own, and is new in every frame."""
    clip = views(camera(2))
    clip[..., 70:] = views(camera(2, pan=(7.0, -6.0)), seed=4)[..., 70:]
    clip[:, :, 1, :, 100:] = views(camera(1), seed=5)[:, :, 0, :, 100:]
    trust = pair(clip, np.linalg.inv(camera(2)[1]) @ camera(2)[0]).trust
    assert trust[:, :14].mean() > 0.95 and trust[:, 27:].mean() < 0.9


def test_a_hole_between_near_and_far_is_in_doubt():
    """The scene moves by one matrix on the left of the hole, and by another on its right."""
    ways = camera(2, pan=(1.0, 0.0)), camera(2, pan=(5.0, 0.0))
    clip = views(ways[0])
    one = pair(clip, np.linalg.inv(ways[0][1]) @ ways[0][0]).spread
    clip[..., 30:] = views(ways[1])[..., 30:]
    two = pair(clip, np.linalg.inv(ways[0][1]) @ ways[0][0]).spread
    inside = cell_means((HOLES[0] > 0).astype(np.float32)[..., None])[..., 0] == 1
    assert np.sqrt(two[inside].mean()) > 0.5 > 0.05 > np.sqrt(one[inside].mean())


def test_the_means_of_cells():
    values = np.random.default_rng(0).random((10, 13, 2), np.float32)
    where = np.random.default_rng(1).random((10, 13)) > 0.4
    means = cell_means(values, where)
    assert means.shape == (3, 4, 2)
    for row in range(3):
        for column in range(4):
            part = np.s_[row * CELL : (row + 1) * CELL, column * CELL : (column + 1) * CELL]
            chosen = values[part][where[part]]
            expected = chosen.mean(0) if len(chosen) else 0
            assert np.allclose(means[row, column], expected, atol=1e-5)


def test_cells_are_read_at_pixels():
    """A map that grows along x by 1 per pixel, at the middles of the cells and between."""
    cells = np.tile(np.arange(5) * CELL + (CELL - 1) / 2, (3, 1))[..., None].astype(np.float32)
    points = np.array([[1.5, 4], [5.5, 0], [7.0, 6], [10.25, 9]], np.float32)
    assert np.allclose(read_cells(cells, points)[:, 0], points[:, 0], atol=0.1)


def test_any_number_of_points_is_read():
    plane = np.arange(40 * 50, dtype=np.float32).reshape(1, 40, 50)
    draw = np.random.default_rng(0)
    for count in (0, 1, 1024, 2500):
        points = draw.integers(0, 40, (count, 2)).astype(np.float32)
        expected = plane[0, points[:, 1].astype(int), points[:, 0].astype(int)]
        for lanczos in (False, True):
            assert np.allclose(read(plane, points, lanczos=lanczos)[:, 0], expected, atol=1e-2)
