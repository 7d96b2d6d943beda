"""What training hides of clips. Of pictures: test_windows.py."""

import torch

from internal_methods.methods.diffusion import hidden
from internal_methods.methods.diffusion.hidden import shares, training_masks
from internal_methods.methods.diffusion.settings import TrainingSettings

SIZE = (6, 24, 32)


def moving_box(frames: int = 10, side: int = 8, speed: int = 2) -> torch.Tensor:
    mask = torch.zeros(1, 1, frames, 48, 64)
    for frame in range(frames):
        mask[..., frame, 20 : 20 + side, 10 + speed * frame : 10 + speed * frame + side] = 1
    return mask


def boxes(masks: torch.Tensor, axis: int) -> torch.Tensor:
    """(M, T) the extent of every frame of masks (M, 1, T, h, w) along h, 3, or w, 4."""
    there = masks[:, 0].any(6 - axis)
    return there.sum(2)


def test_shares_are_means_over_windows():
    mask = torch.rand(2, 1, 5, 7, 8, generator=torch.Generator().manual_seed(0))
    made = shares(mask, (2, 3, 4))
    assert made.shape == (2, 4, 5, 5)
    assert torch.isclose(made[1, 2, 3, 1], mask[1, 0, 2:4, 3:6, 1:5].double().mean())


def test_shapes_of_a_moving_hole_have_its_size_and_move(monkeypatch):
    monkeypatch.setattr(hidden, "CLIPS", 40)
    masks = training_masks(moving_box(), SIZE, TrainingSettings(masks="hole"))
    assert masks.dtype == torch.bool and masks.shape == (80, 1, *SIZE)
    pieces, shapes = masks[:40], masks[40:]
    heights, widths = (boxes(shapes, axis).float() for axis in (3, 4))
    assert 6 <= float(heights.mean()) <= 9 and 6 <= float(widths.mean()) <= 9
    still = (shapes[:, :, 1:] == shapes[:, :, :-1]).flatten(1).all(1).float().mean()
    assert 0.2 < float(still) < 0.8  # half of them, by chance
    assert int(boxes(pieces, 3).max()) == int(boxes(pieces, 4).max()) == 8
    assert float(pieces.float().mean((1, 2, 3, 4)).min()) > 0


def test_without_a_hole_shapes_are_large_and_a_large_hole_fits_the_window(monkeypatch):
    monkeypatch.setattr(hidden, "CLIPS", 20)
    nothing = torch.zeros(1, 1, 6, 48, 64)
    masks = training_masks(nothing, SIZE, TrainingSettings(masks="hole"))
    assert masks.shape == (20, 1, *SIZE) and int(boxes(masks, 3).min()) >= 11
    large = torch.zeros(1, 1, 6, 48, 64)
    large[..., 4:44, 4:60] = 1
    masks = training_masks(large, SIZE, TrainingSettings(masks="mixed"))
    assert masks.shape == (60, 1, *SIZE)
    assert float(masks[20:40].float().mean((1, 2, 3, 4)).max()) == 1  # the middle of the hole


def test_there_are_fewer_masks_of_large_windows():
    assert hidden._count((12, 64, 64)) == 256
    assert hidden._count((24, 240, 432)) == 53
    assert hidden._count((100, 512, 512)) == 16
