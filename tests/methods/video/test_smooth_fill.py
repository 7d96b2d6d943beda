"""Smooth continuation of what is known."""

import numpy as np
import pytest

from internal_methods.methods.video.smooth_fill import smooth_fill


@pytest.mark.parametrize("size", [(1, 1), (7, 12), (33, 20)])
def test_what_is_known_stays_and_a_constant_goes_on(size):
    draw = np.random.default_rng(0)
    weights = (draw.random(size) > 0.7).astype(np.float32)
    weights[0, 0] = 1
    flat = np.full((*size, 2), 0.3, np.float32)
    assert np.allclose(smooth_fill(flat * weights[..., None], weights), flat, atol=1e-6)
    values = draw.random((*size, 2), np.float32)
    known = weights > 0
    assert np.array_equal(smooth_fill(values, weights)[known], values[known])


def test_what_is_unknown_lies_between_what_is_around():
    values = np.zeros((40, 40, 1), np.float32)
    values[:, 20:] = 1
    weights = np.ones((40, 40), np.float32)
    weights[10:30, 10:30] = 0
    filled = smooth_fill(values, weights)[10:30, 10:30, 0]
    assert filled.min() >= 0 and filled.max() <= 1
    row = filled[10]
    assert row[0] < 0.2 < 0.8 < row[-1] and (np.diff(row) > -0.05).all()


def test_hidden_values_do_not_show():
    values = np.random.default_rng(1).random((16, 16, 3), np.float32)
    weights = np.ones((16, 16), np.float32)
    weights[4:9, 3:12] = 0
    other = np.where(weights[..., None] > 0, values, 100)
    assert np.allclose(smooth_fill(values, weights), smooth_fill(other, weights))


def test_of_nothing_comes_nothing():
    filled = smooth_fill(np.ones((9, 9, 1), np.float32), np.zeros((9, 9), np.float32))
    assert not filled.any()
