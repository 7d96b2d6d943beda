"""What engines miss on the rim of a hole, and what that says of the hole."""

import pytest
import torch

from internal_methods.methods.video.trial import BOXES, GRAIN, RIM, box_mean, missed, rim_of

SIZE = (4, 60, 90)


def hole(*columns: slice) -> torch.Tensor:
    made = torch.zeros(1, 1, *SIZE, dtype=torch.bool)
    for each in columns:
        made[..., 20:40, each] = True
    return made


def test_a_rim_is_known_and_lies_around_the_hole_of_each_frame():
    where = hole(slice(30, 50))
    where[:, :, 1] = False
    rim = rim_of(where)
    assert not (rim & where).any() and not rim[:, :, 1].any()
    assert int(rim[0, 0, 0].sum()) == (20 + 2 * RIM) ** 2 - 20**2


def test_a_fill_that_misses_everywhere_alike_misses_so_much_in_the_hole():
    where = hole(slice(30, 50))
    clip = torch.rand(1, 3, *SIZE, generator=torch.Generator().manual_seed(0))
    told = missed(clip, clip + 0.1, rim_of(where))
    torch.testing.assert_close(told, torch.full_like(told, 0.1**2 + GRAIN**2))
    perfect = missed(clip, clip, rim_of(where))
    torch.testing.assert_close(perfect, torch.full_like(perfect, GRAIN**2))


def test_what_is_missed_beside_one_hole_counts_less_for_another():
    where = hole(slice(5, 20), slice(70, 85))
    clip = torch.zeros(1, 3, *SIZE)
    filled = clip.clone()
    filled[..., 45:] = 0.2
    told = missed(clip, filled, rim_of(where))
    left, right = told[..., 30, 12], told[..., 30, 77]
    assert (right > 10 * left).all() and (right <= 0.2**2 + GRAIN**2 + 1e-6).all()


def test_of_frames_without_a_rim_the_others_tell():
    where = hole(slice(30, 50))
    where[:, :, 2] = True
    clip = torch.zeros(1, 3, *SIZE)
    told = missed(clip, clip + 0.1, rim_of(where))
    torch.testing.assert_close(told, torch.full_like(told, 0.1**2 + GRAIN**2))


def test_weights_of_the_neighbourhoods_make_a_mean():
    assert sum(BOXES.values()) == pytest.approx(1)


def test_boxes_end_at_the_borders_and_fit_into_the_clip():
    values = torch.arange(5.0).view(1, 1, 5, 1, 1).expand(1, 1, 5, 3, 3)
    made = box_mean(values, (3, 1, 1))[0, 0, :, 1, 1]
    torch.testing.assert_close(made, torch.tensor([0.5, 1.0, 2.0, 3.0, 3.5]))
    torch.testing.assert_close(box_mean(values, (19, 61, 61)), box_mean(values, (5, 3, 3)))
