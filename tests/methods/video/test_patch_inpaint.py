"""Filling holes of clips: what must hold for every clip, and the one right answer for some."""

import pytest
import torch

from internal_methods.methods.morphology import depths, extent, grown
from internal_methods.methods.onion_peel import onion_peel
from internal_methods.methods.video import inpaint_video


def noise(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def wave(frames=11, height=32, width=40):
    """A periodic pattern that moves down and to the left: filling it right means continuing it."""
    t, y, x = (torch.arange(n) * (2 * torch.pi / 8) for n in (frames, height, width))
    red = 0.5 + 0.4 * torch.sin(x[None, None] + t[:, None, None]) * torch.cos(y)[None, :, None]
    green = 0.5 + 0.3 * torch.cos(y[None, :, None] - t[:, None, None]).expand(-1, -1, width)
    blue = 0.5 + 0.3 * torch.sin(x).expand(frames, height, -1)
    return torch.stack((red, green, blue))[None]


def box(clip, top, left, height, width, frames=slice(None)):
    mask = torch.zeros(1, 1, *clip.shape[2:])
    mask[:, :, frames, top : top + height, left : left + width] = 1
    return mask


@pytest.mark.parametrize("backend", ["cpu", "eager"])
def test_a_moving_pattern_is_continued_in_every_frame(backend):
    clip = wave(11 if backend == "cpu" else 7)
    mask = box(clip, 10, 12, 10, 11)
    broken = torch.where(mask > 0, 0.0, clip)
    filled, _ = inpaint_video(broken, mask, iterations=5, backend=backend)
    assert (filled - clip).abs().max() < 0.05


def test_what_an_object_hides_comes_from_where_it_is_seen():
    clip = noise(1, 3, 1, 40, 48).expand(-1, -1, 20, -1, -1).contiguous()  # nothing moves
    mask = torch.zeros(1, 1, *clip.shape[2:])
    for t in range(10):
        mask[..., t, 14 : 14 + 10, 3 + 3 * t : 12 + 3 * t] = 1
    filled, _ = inpaint_video(torch.where(mask > 0, 0.5, clip), mask)
    assert (filled - clip).abs().max() < 1e-3


def test_known_pixels_come_back_bit_for_bit_at_any_range_and_type():
    for scale, dtype in ((1, torch.float32), (900, torch.float32), (1, torch.float16)):
        clip = (noise(2, 3, 6, 28, 30) * scale - scale / 4).to(dtype)
        before, mask = clip.clone(), box(clip, 10, 12, 6, 7, slice(1, 5))
        filled, field = inpaint_video(clip, mask, iterations=1)
        assert torch.equal(clip, before) and filled.dtype == dtype
        known = (mask == 0).expand_as(clip)
        assert torch.equal(filled[known], clip[known])
        assert filled.isfinite().all() and not torch.equal(filled, clip)
        assert field.validate().positions.shape == (2, 1, 3, 6, 28, 30)


def test_what_is_under_the_mask_does_not_matter():
    clip = noise(1, 3, 6, 28, 30)
    mask = box(clip, 10, 9, 8, 9)
    other = torch.where(mask > 0, 1 - clip, clip)
    one, two = (inpaint_video(each, mask, iterations=2)[0] for each in (clip, other))
    assert torch.equal(one, two)


def test_a_soft_mask_mixes_and_one_frame_of_it_serves_for_all():
    clip = noise(1, 3, 6, 28, 30)
    mask = box(clip, 10, 9, 6, 7)
    hard, _ = inpaint_video(clip, mask, iterations=1)
    mixed, _ = inpaint_video(clip, 0.25 * mask[:, :, :1], iterations=1)
    torch.testing.assert_close(mixed, clip + 0.25 * (hard - clip))


def test_nothing_is_copied_from_where_it_is_not_allowed():
    clip, right = noise(1, 3, 7, 28, 48), torch.zeros(1, 1, 1, 28, 48)
    right[..., 24:] = 1
    mask = box(clip, 10, 6, 8, 8)
    _, field = inpaint_video(clip, mask, source_mask=right, iterations=2)
    x = field.positions[0, 0, 2][grown(mask > 0, 2)[0, 0]]
    assert (x[x >= 0] >= 26).all() and (x >= 0).any()


def test_patches_lie_within_the_clip_in_time_and_still_reach_its_ends():
    clip = noise(1, 3, 9, 28, 30)
    mask = box(clip, 10, 9, 6, 7)
    filled, field = inpaint_video(clip, mask, iterations=1)
    over = grown(mask > 0, 2)
    assert (field.positions[0, 0, 0, :2][over[0, 0, :2]] == -1).all()
    assert (field.positions[0, 0, 0, 2:-2][over[0, 0, 2:-2]] >= 0).all()
    hole = (mask > 0).expand_as(clip)
    assert (filled[hole] != clip[hole]).all(), "a pixel of the hole has been left"


def test_alpha_is_carried_along_and_the_field_fills_other_maps():
    clip = wave(7)
    depth = clip[:, :1] * 3 - 1
    mask = box(clip, 10, 12, 9, 8)
    filled, field = inpaint_video(torch.cat((clip, depth), 1), mask, iterations=4)
    alone, _ = inpaint_video(clip, mask, iterations=4)
    assert torch.equal(filled[:, :3], alone)  # what is carried along is not matched on
    assert (filled[:, 3:] - depth).abs().max() < 0.2
    assert (field.apply(depth) - depth).abs().max() < 0.2


def test_the_same_seed_gives_the_same_bits_and_a_batch_is_a_loop():
    clips = noise(2, 3, 6, 28, 30)
    mask = torch.cat((box(clips, 8, 9, 6, 7), box(clips, 14, 12, 7, 6)))
    both, fields = inpaint_video(clips, mask, iterations=2, seed=4)
    for b in range(2):
        one, field = inpaint_video(clips[b : b + 1], mask[b : b + 1], iterations=2, seed=4)
        assert torch.equal(one[0], both[b])
        assert torch.equal(field.positions[0], fields.positions[b])
    other, _ = inpaint_video(clips, mask, iterations=2, seed=5)
    assert not torch.equal(other, both)


def test_a_small_budget_takes_patches_from_near_the_hole_in_space_and_time():
    clip = noise(1, 1, 70, 60, 64)
    mask = box(clip, 26, 28, 6, 6, slice(33, 36))
    _, field = inpaint_video(clip, mask, iterations=1, memory=1)
    over = grown(mask > 0, 2)[0, 0]
    for place, middle in zip(field.positions[0, 0], (34, 29, 31), strict=True):
        assert (place[over] - middle).abs().max() <= 20 + 3


def test_every_scale_is_reported_and_the_callback_can_stop_the_work():
    clip, steps = noise(1, 3, 6, 60, 64), []
    mask = box(clip, 20, 20, 16, 16)
    inpaint_video(clip, mask, levels=2, iterations=2, callback=steps.append)
    assert sum(step.level_done for step in steps) == 2
    assert steps[-1].done == steps[-1].total and steps[-1].image.dim() == 4

    def stop(step):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        inpaint_video(clip, mask, callback=stop)


def test_an_empty_mask_gives_the_clip_back():
    clip = noise(1, 3, 6, 20, 22)
    filled, field = inpaint_video(clip, torch.zeros(1, 1, 1, 20, 22))
    assert torch.equal(filled, clip)
    assert (field.apply(clip, "best") - clip).abs().max() < 1e-6


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (dict(mask=torch.ones(1, 1, 1, 24, 24)), "nothing to copy from"),
        (dict(mask=torch.zeros(1, 1, 1, 12, 24)), "12x24"),
        (dict(mask=torch.zeros(1, 1, 4, 24, 24)), "4 frames"),
        (dict(source_mask=torch.zeros(1, 1, 1, 24, 24)), "nothing to copy from"),
        (dict(patch_size=7), "the clip has 6 frames.*7 frames deep.*at most 5"),
        (dict(patch_size=4), "odd"),
        (dict(mask=box(noise(1, 1, 6, 24, 24), 3, 3, 18, 18)), "nowhere in 6x24x24"),
        (dict(levels=5), "use at most"),
        (dict(iterations=0), "positive"),
        (dict(clip=torch.full((1, 3, 6, 24, 24), float("nan"))), "values of clip"),
    ],
)
def test_bad_input_is_named(change, words):
    clip = noise(1, 3, 6, 24, 24)
    arguments = dict(clip=clip, mask=box(clip, 9, 9, 6, 6)) | change
    with pytest.raises(ValueError, match=words):
        inpaint_video(arguments.pop("clip"), arguments.pop("mask"), **arguments)


def test_onion_peel_continues_a_moving_pattern():
    clip = wave(9, 24, 24)
    known = (box(clip, 9, 9, 5, 5) == 0).expand_as(clip)
    centres = ~grown(~known[:, :1], 2)
    for axis in (2, 3, 4):
        centres.narrow(axis, 0, 2).fill_(False)
        centres.narrow(axis, clip.shape[axis] - 2, 2).fill_(False)
    filled = onion_peel(torch.where(known, clip, 9.0), known, clip, centres, 5)
    assert (filled - clip).abs().max() < 1e-5


def test_onion_peel_takes_a_likely_patch_where_it_fits_better(monkeypatch):
    monkeypatch.setattr("internal_methods.methods.onion_peel.MOST_SOURCES_OF_CLIPS", 1)
    clip = noise(1, 1, 1, 12, 12).expand(-1, -1, 10, -1, -1).contiguous()  # nothing moves
    known = box(clip, 4, 4, 4, 4, slice(0, 3)) == 0
    centres = torch.zeros_like(known)
    centres[..., 6:8, 2:10, 2:10] = True
    likely = torch.full((1, 1, 3, *clip.shape[2:]), -1, dtype=torch.int32)
    broken = torch.where(known, clip, 9.0)
    without = onion_peel(broken, known, clip, centres, 5, likely=likely)
    assert (without - clip).abs().max() > 0.1
    places = torch.meshgrid(*(torch.arange(n) for n in clip.shape[2:]), indexing="ij")
    likely[0, 0] = torch.stack((torch.full_like(places[0], 7), *places[1:]))
    assert torch.equal(onion_peel(broken, known, clip, centres, 5, likely=likely), clip)


def test_regions_of_clips_grow_and_are_measured_in_space_and_time():
    mask = torch.zeros(1, 1, 9, 11, 13, dtype=torch.bool)
    mask[..., 4, 5, 6] = True
    assert extent(grown(mask, 2), 0) == [slice(2, 7), slice(3, 8), slice(4, 9)]
    assert extent(grown(mask, (0, 1, 2)), 0) == [slice(4, 5), slice(4, 7), slice(4, 9)]
    assert extent(mask, 5) == [slice(0, 9), slice(0, 11), slice(1, 12)]
    assert int(grown(mask, 2).sum()) == 5**3
    depth = depths(grown(mask, 2), 9)[0, 0]
    assert depth[4, 5, 6] == 3 and depth[3, 5, 6] == 2 and depth[2, 5, 6] == 1


def test_the_coarsest_scale_has_a_hole_that_two_patches_cover():
    steps, clip = [], noise(1, 3, 5, 64, 72)
    for side, levels in ((10, 1), (18, 2), (24, 3)):
        mask = box(clip, 20, 20, side, side)
        inpaint_video(clip, mask, iterations=1, callback=steps.append)
        assert steps[-1].levels == levels, side
