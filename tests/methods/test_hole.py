"""The scales of a hole in a clip, one query after the other."""

from dataclasses import replace

import pytest
import torch

from internal_methods.backends import patches
from internal_methods.methods.hole import Setting, hole_scales, same_place, upscaled_field

SETTING = Setting(3, 2, 1, False, (False,) * 3, 1 << 30, 0, "auto")
SIZE = (7, 26, 31)


def moving_hole():
    hole = torch.zeros(1, 1, *SIZE, dtype=torch.bool)
    for t in range(4):
        hole[..., t, 9:17, 4 + 4 * t : 12 + 4 * t] = True
    return hole


def scales():
    clip = torch.rand(1, 3, *SIZE, generator=torch.Generator().manual_seed(0))
    return hole_scales(clip, moving_hole(), torch.ones(1, 1, *SIZE) > 0, None, SETTING)


def test_a_field_of_a_clip_is_upscaled_in_space_and_stays_in_its_frames():
    coarse, fine = scales()
    assert coarse.source.shape[2:] == (7, 13, 16) and fine.source.shape[2:] == SIZE
    size = coarse.target.shape[2:]
    draw = torch.Generator().manual_seed(1)
    axes = [torch.randint(1, n - 1, (1, 1, *size), generator=draw) for n in (7, 13, 16)]
    positions = torch.where(coarse.queries[:, :, None], torch.stack(axes, 2), -1).int()
    distances = torch.where(coarse.queries, 1.0, torch.inf)
    field = SETTING.field(positions, distances, coarse.source.shape[2:])
    found = upscaled_field(field, coarse, fine, SETTING).validate()
    seen = 0
    for t, y, x in fine.queries[0, 0].nonzero().tolist():
        now, row, column = (i + o for i, o in zip((t, y, x), fine.origin, strict=True))
        parent = [i - o for i, o in zip((now, row // 2, column // 2), coarse.origin, strict=True)]
        theirs = positions[(0, 0, slice(None), *parent)].tolist()
        if min(theirs) < 0:
            assert found.positions[0, 0, :, t, y, x].tolist() == [-1, -1, -1]
            continue
        moved = [theirs[0], 2 * theirs[1] + row % 2, 2 * theirs[2] + column % 2]
        within = [min(max(i, 1), n - 2) for i, n in zip(moved, SIZE, strict=True)]
        assert found.positions[0, 0, :, t, y, x].tolist() == within
        seen += 1
    assert seen > 100


def test_the_same_place_is_looked_for_in_the_nearest_frame_that_shows_it():
    scale = scales()[-1]
    centres = patches.source_centres(scale.source, scale.usable, 3, (False,) * 3)[:, None]
    likely = same_place(centres, scale)
    shown = 0
    for t, y, x in torch.ones(scale.unknown.shape[2:]).nonzero().tolist():
        now, row, column = (i + o for i, o in zip((t, y, x), scale.origin, strict=True))
        there = centres[0, 0, :, row, column].nonzero()[:, 0].tolist()
        found = likely[0, 0, :, t, y, x].tolist()
        if not there:
            assert found == [-1, -1, -1]
            continue
        assert found[1:] == [row, column] and found[0] in there
        assert abs(found[0] - now) == min(abs(other - now) for other in there)
        shown += 1
    assert 0 < shown < scale.unknown.numel()


@pytest.mark.parametrize("levels", [None, 3])
def test_a_scale_at_which_the_hole_has_vanished_is_left_out(levels):
    """A coarse pixel counts as known where more than half of what it is made of is."""
    clip, hole = torch.rand(1, 3, *SIZE), torch.zeros(1, 1, *SIZE, dtype=torch.bool)
    hole[..., 12, 12] = True
    setting = replace(SETTING, patch_size=1, levels=levels)
    found = hole_scales(clip, hole, torch.ones(1, 1, *SIZE) > 0, None, setting)
    assert all(scale.unknown.any() for scale in found)
    assert found[-1].source.shape[2:] == SIZE and len(found) < 3
