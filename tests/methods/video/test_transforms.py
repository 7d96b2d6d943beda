"""Matrices and what is read through them."""

import json

import numpy as np
import pytest
import torch

from internal_methods.methods.video.transforms import (
    Transforms,
    corners,
    inside,
    moved_points,
    read_through,
)
from moving_views import SIZE, camera, views


def some() -> Transforms:
    matrices = torch.from_numpy(camera(3, turn=1.0, tilt=1e-4))
    return Transforms(matrices, SIZE, (120, 160), 1, (2,))


def test_they_survive_json_exactly():
    given = some()
    back = Transforms.from_dict(json.loads(json.dumps(given.to_dict())))
    assert torch.equal(back.matrices, given.matrices)
    assert back.matrices.dtype == torch.float64
    assert (back.frame_size, back.canvas_size) == (given.frame_size, given.canvas_size)
    assert (back.reference, back.fallback) == (given.reference, given.fallback)


def test_matrices_that_lead_nowhere_are_refused():
    values = some().to_dict()
    with pytest.raises(ValueError, match="not invertible"):
        Transforms.from_dict(values | {"matrices": [[[1.0, 0, 0], [2, 0, 0], [0, 0, 1]]] * 3})
    with pytest.raises(ValueError, match=r"expected \(T, 3, 3\)"):
        Transforms.from_dict(values | {"matrices": [[1.0, 0.0], [0.0, 1.0]]})


def test_they_are_for_one_clip():
    some().check(3, SIZE, "the clip")
    with pytest.raises(ValueError, match="2 frames of 96x144.*3 frames of 96x144"):
        some().check(2, SIZE, "the clip")
    with pytest.raises(ValueError, match="the clip that was stabilised"):
        some().check(3, (96, 96), "the clip")


def test_points_move_as_the_matrix_says():
    matrix = np.array([[2.0, 1.0, 3.0], [0.0, 1.0, -1.0], [0.5, 0.0, 1.0]])
    points = np.array([[2.0, 4.0], [0.0, 0.0]])
    assert np.allclose(moved_points(matrix, points), [[11 / 2, 3 / 2], [3.0, -1.0]])
    assert moved_points(matrix, np.zeros((0, 2))).shape == (0, 2)


def test_the_corners_are_pixels():
    assert corners((3, 5)).tolist() == [[0, 0], [4, 0], [4, 2], [0, 2]]


def test_what_is_read_is_what_lies_there():
    """Against the scene itself, which is known between the pixels."""
    ways = camera(2, pan=(0.37, 0.61), turn=1.5, zoom=0.01)
    frames = views(ways)[0].permute(1, 2, 3, 0).numpy()
    matrix = np.linalg.inv(ways[1]) @ ways[0]  # from frame 0 to frame 1
    read = read_through(frames[1], matrix, SIZE)
    seen = inside(matrix, SIZE, SIZE)
    seen[:6], seen[-6:], seen[:, :6], seen[:, -6:] = 0, 0, 0, 0
    error = (read - frames[0])[seen]
    assert np.sqrt((error**2).mean()) < 0.002


def test_many_channels_are_read_alike():
    values = np.random.default_rng(0).random((20, 30, 6), np.float32)
    matrix = np.array([[1.0, 0.1, 0.4], [0.0, 1.0, 0.2], [0.0, 0.0, 1.0]])
    together = read_through(values, matrix, (20, 30))
    apart = [read_through(values[..., c : c + 1], matrix, (20, 30)) for c in range(6)]
    assert np.array_equal(together, np.concatenate(apart, axis=2))


def test_nothing_rings_beyond_what_there_is():
    values = np.zeros((24, 24, 1), np.float32)
    values[:, 12:] = 1
    shift = np.array([[1.0, 0.0, 0.5], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    read = read_through(values, shift, (24, 24))
    assert read.min() == 0 and read.max() == 1


def test_inside_ends_half_a_pixel_beyond_the_last():
    shift = np.array([[1.0, 0.0, 2.6], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    assert inside(shift, (2, 5), (2, 5)).sum(1).tolist() == [2, 2]
