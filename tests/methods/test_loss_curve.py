"""A training as a picture and in words."""

import torch

from internal_methods.methods.loss_curve import LINE, loss_curve, loss_words


def line(picture: torch.Tensor) -> dict[int, float]:
    """Column -> mean row of the pixels in the line's colour."""
    colour = torch.tensor([int(LINE[i : i + 2], 16) / 255 for i in (1, 3, 5)]).view(3, 1, 1)
    rows, columns = ((picture[0] - colour).abs().amax(0) < 0.01).nonzero().unbind(1)
    return {int(x): rows[columns == x].float().mean().item() for x in columns.unique()}


def test_a_falling_error_is_a_straight_falling_line():
    found = line(loss_curve([10 ** -(i / 50) for i in range(200)]))
    columns = sorted(found)
    assert columns[-1] - columns[0] > 480
    left, middle, right = (found[columns[round(s * (len(columns) - 1))]] for s in (0.2, 0.6, 1))
    assert left < middle < right  # rows count downwards
    assert abs((left + right) / 2 - middle) < 4  # logarithmic


def test_nothing_and_one_and_zeros():
    assert not line(loss_curve([]))
    for losses in ([0.5], [0.0, 0.0], [0.0, 0.1, 0.2], [1.0] * 5):
        assert loss_curve(losses).shape == (1, 3, 360, 640)


def test_words():
    assert loss_words([]) == "no training"
    words = loss_words([4.0] * 10 + [2.0] * 80 + [1.0] * 10)
    assert words == "100 steps, squared error 4.00000 in the first 10, 1.00000 in the last"
