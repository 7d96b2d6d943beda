"""Removing things from clips: which engine fills what, and what must hold whichever it is."""

import pytest
import torch
import torch.nn.functional as F

from internal_methods.methods.video import flow_fill, in_chunks, inpaint_video, remove, router
from internal_methods.methods.video.router import COLOURS, ENGINES, KNOWN, POOR, _asked

SIZE = (48, 64)
FLOW, PATCH, DIFFUSION = range(3)


def texture(*shape: int, seed: int = 0) -> torch.Tensor:
    """(*shape, 3, H, W) pictures with detail at several sizes."""
    generator, made = torch.Generator().manual_seed(seed), torch.zeros(1)
    count = int(torch.tensor(shape).prod()) if shape else 1
    for cells in (4, 8, 16, 32):
        grains = torch.rand(count, 3, cells, cells, generator=generator)
        made = made + F.interpolate(grains, SIZE, mode="bicubic")
    return ((made - made.min()) / (made.max() - made.min())).view(*shape, 3, *SIZE)


def still(frames: int = 12) -> torch.Tensor:
    """A picture that nothing moves in, (1, 3, T, H, W)."""
    return texture(1)[:, :, None].expand(-1, -1, frames, -1, -1).contiguous()


def restless(frames: int = 8) -> torch.Tensor:
    """Every frame another picture of the same kind."""
    return texture(frames, seed=1).movedim(0, 1)[None].contiguous()


def passing(clip: torch.Tensor) -> torch.Tensor:
    """The mask of something that passes from left to right."""
    mask = torch.zeros(1, 1, *clip.shape[2:])
    for t in range(clip.shape[2]):
        mask[..., t, 18:30, 4 + 4 * t : 14 + 4 * t] = 1
    return mask


def standing(clip: torch.Tensor) -> torch.Tensor:
    mask = torch.zeros(1, 1, 1, *clip.shape[3:])
    mask[..., 18:28, 26:38] = 1
    return mask


def broken(clip: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return torch.where(mask > 0, 0.0, clip)


def test_a_still_background_comes_back_from_the_frames_that_show_it():
    clip = still()
    mask = passing(clip)
    removal = remove(broken(clip, mask), mask)
    assert (removal.clip - clip).abs().max() < 0.02
    hole = mask > 0
    assert (removal.engines[hole] == FLOW).float().mean() > 0.9
    assert (removal.engines[~hole] == KNOWN).all()
    assert "flow" in removal.words() and removal.cuts == []


def test_what_changes_from_frame_to_frame_is_filled_by_patches_alone():
    clip = restless()
    mask = standing(clip)
    given = broken(clip, mask)
    removal = remove(given, mask, scenes=False)
    assert removal.words() == "filled by patch 100%"
    assert torch.equal(removal.clip, inpaint_video(given, mask)[0])
    assert torch.equal(removal.clip, remove(given, mask, engine="patch", scenes=False).clip)


def test_what_no_frame_shows_falls_to_patches_and_only_that():
    clip = still()
    mask = torch.maximum(passing(clip), standing(clip))
    removal = remove(broken(clip, mask), mask)
    never = (standing(clip) > 0).expand_as(mask)
    assert (removal.engines[never] != FLOW).float().mean() > 0.9
    assert (removal.engines[(mask > 0) & ~never] == FLOW).float().mean() > 0.6


def test_a_threshold_above_all_confidence_leaves_nothing_to_the_motion():
    clip = still()
    mask = passing(clip)
    removal = remove(broken(clip, mask), mask, trust=1.1)
    assert not (removal.engines == FLOW).any()


@pytest.mark.parametrize("engine", ["auto", "flow", "patch"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_known_pixels_come_back_bit_for_bit(engine, dtype):
    clip = restless(6).to(dtype).contiguous(memory_format=torch.channels_last_3d)  # as ComfyUI's
    mask, before = standing(clip), clip.clone()
    removal = remove(clip, mask, engine=engine)
    known = (mask == 0).expand_as(clip)
    assert torch.equal(clip, before) and removal.clip.dtype == dtype
    assert torch.equal(removal.clip[known], clip[known])
    assert removal.clip.isfinite().all() and not torch.equal(removal.clip, clip)


def test_a_soft_mask_mixes():
    clip = still()
    mask = passing(clip)
    hard = remove(clip, mask).clip
    soft = remove(clip, 0.25 * mask).clip
    torch.testing.assert_close(soft, clip + 0.25 * (hard - clip))


def test_scenes_are_filled_one_by_one():
    first, second = still(8), 1 - 0.9 * restless(1).expand(-1, -1, 8, -1, -1)
    clip = torch.cat([first, second], 2)
    mask = torch.cat([passing(first), passing(second)], 2)
    given = broken(clip, mask)
    removal = remove(given, mask)
    assert removal.cuts == [8] and "2 scenes, cut at 8" in removal.words()
    alone = remove(given[:, :, :8], mask[:, :, :8]).clip
    assert torch.equal(removal.clip[:, :, :8], alone)


@pytest.mark.parametrize("frames", [1, 3])
def test_a_scene_shorter_than_a_patch_is_filled_frame_by_frame(frames):
    clip = restless(frames)
    mask = standing(clip)
    removal = remove(broken(clip, mask), mask, scenes=False)
    assert (removal.clip - broken(clip, mask)).abs().max() > 0.1
    assert removal.words() == "filled by patch 100%"


def test_a_frame_of_a_short_scene_that_is_hidden_altogether_repeats_the_one_beside_it():
    clip = restless(2)
    mask = standing(clip).repeat(1, 1, 2, 1, 1)
    mask[:, :, 1] = 1
    filled = remove(broken(clip, mask), mask, engine="patch", scenes=False).clip
    assert torch.equal(filled[:, :, 1], filled[:, :, 0])


def test_where_patches_fit_badly_the_motion_needs_less_confidence():
    fine, poor, poorer = _asked(0.1, torch.tensor([0.01, POOR, 2 * POOR])).tolist()
    assert fine > 0.5 > 0.2 > poor > 0.05 > poorer > 0
    assert (_asked(0.0, torch.tensor([0.0, POOR])) == 0).all()


def unsure(*arguments, **options):
    moved, left, confidence = flow_fill(*arguments, **options)
    return moved, left, torch.zeros_like(confidence)


@pytest.mark.parametrize("clip, engine", [(still(), FLOW), (restless(), PATCH)])
def test_motion_that_is_not_sure_is_taken_if_it_does_better_around_the_hole(
    monkeypatch, clip, engine
):
    monkeypatch.setattr(router, "flow_fill", unsure)
    mask = passing(clip)
    engines = remove(broken(clip, mask), mask, scenes=False).engines
    assert (engines[mask > 0] == engine).float().mean() > 0.9


@pytest.mark.parametrize("clip, trust", [(still(), 1.0), (still(2), 0.1)])
def test_no_motion_is_taken_unsure_at_full_trust_nor_in_clips_too_short_for_a_trial(
    monkeypatch, clip, trust
):
    monkeypatch.setattr(router, "flow_fill", unsure)
    mask = passing(clip)
    engines = remove(broken(clip, mask), mask, trust=trust, scenes=False).engines
    assert (engines[mask > 0] == PATCH).all()


def test_a_still_place_that_is_never_seen_stays_as_it_was_made_over_many_windows():
    frame = texture() + 0.01 * torch.randn(56, 3, *SIZE, generator=torch.Generator().manual_seed(0))
    hole = standing(still(1))[0, :, 0]
    made = torch.stack(
        list(
            in_chunks(
                ((each * (1 - hole), hole) for each in frame),
                lambda clip, mask, _: (remove(clip, mask, scenes=False).clip, None),
                length=20,
                overlap=6,
            )
        )
    )
    inside = made[..., hole[0] > 0]
    grain = (frame[1:] - frame[0]).abs().mean()
    assert (inside[1:] - inside[0]).abs().mean((1, 2)).max() < grain
    assert (inside[0] - inside[0].mean(1, keepdim=True)).abs().mean() > 5 * grain


def test_what_no_frame_shows_moves_along_with_a_moving_camera():
    pan, frames = 2, 10
    picture = F.interpolate(texture(1), (72, 96), mode="bicubic")[:, :, :48]
    clip = torch.stack([picture[..., pan * t : pan * t + 64] for t in range(frames)], 2)
    mask = torch.zeros(1, 1, 1, *SIZE)
    mask[..., 12:36, 16:48] = 1  # wider than the camera goes: a strip of the scene is never seen
    made = remove(broken(clip, mask), mask, scenes=False).clip
    apart = torch.stack(
        [
            (made[:, :, 0, 14:34, 36:46] - made[:, :, t, 14:34, 36 - pan * t : 46 - pan * t]).abs()
            for t in range(1, frames)
        ]
    )
    assert apart.mean() < 0.01 < 0.3 * (clip - clip.mean()).abs().mean()


def test_diffusion_makes_anew_what_patches_filled_and_nothing_else():
    clip = still(6)[..., 12:36, 8:40].contiguous()
    mask = torch.zeros(1, 1, *clip.shape[2:])
    mask[..., :4, 8:14, 4:12] = mask[..., 6:12, 20:26] = 1  # the second is there all the time
    given = broken(clip, mask)
    auto = remove(given, mask)
    made = remove(given, mask, engine="diffusion", diffusion_steps=2)
    moved = auto.engines == FLOW
    assert torch.equal(made.engines == FLOW, moved)
    assert torch.equal(made.engines == DIFFUSION, auto.engines == PATCH)
    kept = (made.engines != DIFFUSION).expand_as(clip)
    assert torch.equal(made.clip[kept], auto.clip[kept])
    assert not torch.equal(made.clip, auto.clip)


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_the_map_is_in_colours_whatever_the_channels(channels):
    clip = restless(5)[:, :1].repeat(1, channels, 1, 1, 1)
    removal = remove(clip, standing(clip), engine="patch")
    assert removal.clip.shape == clip.shape and removal.map().shape == (1, 3, *clip.shape[2:])


def test_the_map_has_a_colour_for_every_engine():
    clip = still()
    mask = torch.maximum(passing(clip), standing(clip))
    removal = remove(broken(clip, mask), mask)
    shown = removal.map()
    assert shown.shape == (1, 3, *clip.shape[2:])
    for number, name in enumerate(ENGINES[:2]):
        mean = shown.movedim(1, -1)[(removal.engines == number)[:, 0]].mean(0)
        assert int(mean.argmax()) == COLOURS[name].index(max(COLOURS[name]))
    grey = shown.movedim(1, -1)[(removal.engines == KNOWN)[:, 0]]
    assert torch.equal(grey[:, 0], grey[:, 1])


def test_progress_rises_and_the_work_can_be_ended():
    clip = still(8)
    mask, steps = passing(clip), []
    remove(clip, mask, callback=steps.append)
    done = [step.done for step in steps]
    assert len(done) > 5 and done == sorted(done) and done[-1] <= steps[-1].total

    def stop(step):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        remove(clip, mask, callback=stop)


def test_an_empty_mask_and_what_does_not_fit_are_named():
    clip = still(6)
    empty = remove(clip, torch.zeros(1, 1, 1, *SIZE))
    assert torch.equal(empty.clip, clip) and "empty" in empty.words()
    with pytest.raises(ValueError, match="mask has 5 frames, the clip 6"):
        remove(clip, torch.ones(1, 1, 5, *SIZE))
    with pytest.raises(ValueError, match="engine is 'magic'"):
        remove(clip, passing(clip), engine="magic")
    with pytest.raises(ValueError, match="all of frames 0 to 5: nothing is left to copy from"):
        remove(clip, torch.ones(1, 1, 1, *SIZE))
