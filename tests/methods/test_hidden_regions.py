"""Known regions to hide: the hole's exact shape, away from it, the same every time."""

import pytest
import torch
from scipy.ndimage import label

from internal_methods.methods.hidden_regions import _parts, hidden_regions
from internal_methods.methods.morphology import grown

SIZE = (60, 80)


def l_shape(top=20, left=30):
    mask = torch.zeros(1, 1, *SIZE)
    mask[..., top : top + 12, left : left + 4] = 1
    mask[..., top + 8 : top + 12, left : left + 10] = 1
    return mask


def cut(hole):
    """What is within the box around it."""
    rows, columns = hole.any(1).nonzero()[:, 0], hole.any(0).nonzero()[:, 0]
    return hole[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def test_the_shape_is_kept_and_the_hole_is_left_alone():
    mask = l_shape()
    mask[0, 0, 19, 30:34] = 0.3  # a soft edge: not part of the shape, but kept away from
    hidden = hidden_regions(mask, trials=5, margin=6, seed=1)
    assert hidden.shape == (5, 1, 1, *SIZE) and hidden.dtype == torch.bool
    near = grown(mask > 0, 6)
    for one in hidden:
        assert torch.equal(cut(one[0, 0]), cut(l_shape()[0, 0] > 0))
        assert not (one & near).any()
    assert len({one.numpy().tobytes() for one in hidden}) == 5


def test_the_same_seed_gives_the_same_places():
    places = [hidden_regions(l_shape(), seed=seed) for seed in (3, 3, 4)]
    assert torch.equal(places[0], places[1]) and not torch.equal(places[0], places[2])


def test_places_are_spread_apart():
    def nearest(trials, seed):
        hidden = hidden_regions(l_shape(), trials=trials, margin=2, seed=seed)
        centres = torch.stack([one[0, 0].nonzero().double().mean(0) for one in hidden])
        return torch.cdist(centres, centres).fill_diagonal_(999).min()

    assert min(nearest(4, seed) for seed in range(10)) > 15


def test_it_keeps_off_the_sides_as_the_hole_does():
    for seed in range(8):
        hidden = hidden_regions(l_shape(), trials=4, margin=5, seed=seed)
        assert not hidden[..., :5, :].any() and not hidden[..., -5:].any()
    at_the_side = hidden_regions(l_shape(top=0), trials=40, margin=5)
    assert at_the_side[..., 0, :].any()


def test_a_hole_that_fits_only_mirrored_is_mirrored():
    mask = torch.zeros(1, 1, 20, 20, dtype=torch.float32)
    mask[0, 0] = torch.ones(20, 20).triu(3)
    hidden = hidden_regions(mask, trials=3, margin=1)
    assert torch.equal(cut(hidden[0, 0, 0]), cut(mask[0, 0] > 0).flip(0, 1))


def test_parts_are_moved_one_by_one_where_the_whole_does_not_fit():
    mask = torch.zeros(1, 1, 40, 40)
    mask[..., 2:8, 2:8] = mask[..., 30:38, 30:36] = 1
    mask[..., 18:22, 4:36] = 1  # whole, it spans the picture
    mask[..., 2:10, 33:38] = 1
    hidden = hidden_regions(mask, trials=2, margin=1, seed=2)
    for one in hidden:
        assert not (one & grown(mask > 0, 1)).any()
        assert int(one.sum()) == int(mask.sum())
        assert label(one[0, 0].numpy())[1] == 4


def test_connected_parts_are_those_of_scipy():
    hole = torch.rand(1, 1, 50, 70, generator=torch.Generator().manual_seed(0)) < 0.3
    labels, count = label(hole[0, 0].numpy(), [[1] * 3] * 3)
    parts = _parts(hole)
    assert len(parts) == count
    for part in parts:
        [number] = set(labels[part[0, 0].numpy()].tolist())
        assert int(part.sum()) == int((labels == number).sum())


def test_a_clip_moves_as_the_hole_does():
    frames = torch.cat([l_shape(10 + t, 10 + 3 * t) for t in range(6)])
    frames[2] = 0
    [hidden] = hidden_regions(frames, trials=1, margin=3)
    assert hidden.shape == (6, 1, *SIZE) and not hidden[2].any()
    corners = [one.nonzero()[0] for one, there in zip(hidden[:, 0], frames, strict=True)
               if there.any()]  # fmt: skip
    wanted = [one.nonzero()[0] for one in frames[:, 0] if one.any()]
    shifts = torch.stack(corners) - torch.stack(wanted)
    assert (shifts == shifts[0]).all() and shifts[0].any()
    assert not (hidden & grown(frames > 0, 3)).any()


def test_fewer_places_than_trials():
    mask = torch.zeros(1, 1, 20, 40)
    mask[..., 20:] = 1
    assert len(hidden_regions(mask, trials=5, margin=0)) == 1


def test_bad_input():
    with pytest.raises(ValueError, match="empty"):
        hidden_regions(torch.zeros(1, 1, *SIZE))
    mask = torch.zeros(1, 1, *SIZE)
    mask[..., 10:50, 10:70] = 1
    with pytest.raises(ValueError, match="covers 50 %.*smaller"):
        hidden_regions(mask)
    with pytest.raises(ValueError, match="expected"):
        hidden_regions(torch.zeros(1, *SIZE))
    with pytest.raises(ValueError, match="trials 0"):
        hidden_regions(l_shape(), trials=0)
