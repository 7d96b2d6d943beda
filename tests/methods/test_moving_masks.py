"""Moving shapes: they stand or move, stay whole, and take over what a given mask does."""

import math

import pytest
import torch

from internal_methods.methods.moving_masks import Motion, moving_masks

SIZE = (90, 120)
SMALL = Motion((20, 30), (24, 40), (2, 4))


def clips(count=8, frames=12, **changes):
    return moving_masks(SIZE, frames, count=count, **({"like": SMALL, "seed": 1} | changes))


def still(clip) -> bool:
    return bool((clip == clip[:, :1]).all())


def test_a_clip_depends_on_the_seed_and_its_number_alone():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    masks = clips()
    assert masks.shape == (8, 1, 12, *SIZE) and masks.dtype == torch.float32
    assert set(masks.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(clips(count=2, first=6), masks[6:])
    assert torch.equal(clips(frames=5), masks[:, :, :5])
    assert not torch.equal(clips(seed=2), masks)
    assert torch.equal(torch.get_rng_state(), before)


def test_it_stands_still_or_moves():
    assert all(still(clip) for clip in clips(motion="static"))
    assert not any(still(clip) for clip in clips(motion="moving"))
    share = sum(still(clip) for clip in clips(count=200, frames=2, motion="both")) / 200
    assert 0.4 < share < 0.6


def test_the_shape_stays_whole_while_it_bounces():
    fast = Motion((20, 30), (24, 40), (6, 9), 1.0, 0.25, 9.0)
    masks = clips(count=12, frames=80, motion="moving", like=fast)
    areas = masks.sum((1, 3, 4))
    assert ((areas - areas.mean(1, keepdim=True)).abs() < 0.05 * areas.mean(1, keepdim=True)).all()
    steps = centres(masks).diff(dim=1)
    headings = torch.atan2(steps[..., 0], steps[..., 1])
    assert (headings.diff(dim=1).abs() > 1).any(1).all()  # none goes straight on


def test_it_moves_away_from_a_side_that_it_has_met():
    steady = Motion((20, 30), (24, 40), (6, 9), 0.0, 0.0, 9.0)
    masks = clips(count=20, frames=60, motion="moving", like=steady)[:, 0] > 0
    sides = [masks[..., 0, :], masks[..., -1, :], masks[..., 0], masks[..., -1]]
    touches = torch.stack([side.any(-1) for side in sides])
    again = touches[..., 1:] & touches[..., :-1]
    assert touches.sum() > 100 and again.sum() < 0.5 * touches.sum()


def centres(masks):
    y, x = (torch.arange(side, dtype=torch.float32) for side in SIZE)
    area = masks.sum((1, 3, 4))
    return torch.stack(
        ((masks.sum((1, 4)) * y).sum(2) / area, (masks.sum((1, 3)) * x).sum(2) / area), 2
    )


def test_without_jitter_it_is_nearly_an_ellipse_of_the_size_asked_for():
    like = Motion((40, 40), (70, 70))
    masks = clips(like=like, jitter=(0, 0), edges=(8, 8), frames=1)
    assert (masks.amax(4).sum(3) - 40).abs().max() <= 1
    assert (masks.amax(3).sum(3) - 70).abs().max() <= 1
    wanted = math.pi / 4 * 40 * 70
    assert ((masks.sum((1, 2, 3, 4)) / wanted - 1).abs() < 0.06).all()


def disc(frames, step, radius=9):
    y, x = torch.meshgrid(*(torch.arange(side) for side in SIZE), indexing="ij")
    places = [(20 + step[0] * t, 20 + step[1] * t) for t in range(frames)]
    discs = [((y - a) ** 2 + (x - b) ** 2 <= radius**2).float() for a, b in places]
    return torch.stack(discs)[None, None]


def test_size_and_motion_of_a_mask_are_measured():
    motion = Motion.of(disc(10, (3, 4)))
    assert motion.height == motion.width == (19, 19)
    assert motion.speed == pytest.approx((5, 5)) and motion.bounce == pytest.approx(10)
    assert motion.acceleration == pytest.approx(0, abs=1e-9)
    assert motion.turn == pytest.approx(0, abs=1e-9)
    late = disc(10, (3, 4))
    late[:, :, [0, 4, 5]] = 0  # frames without hole tell nothing
    assert Motion.of(late).speed == pytest.approx((5, 5))
    assert Motion.of(disc(1, (0, 0))).speed == (0, 0)


def test_a_shape_takes_over_size_and_motion():
    like = Motion.of(disc(10, (3, 4)))
    masks = clips(count=20, frames=6, like=like, motion="moving", jitter=(0.2, 0.3))
    again = [Motion.of(mask[None]) for mask in masks]
    assert all(abs(motion.height[0] - 19) <= 1 for motion in again)
    assert all(abs(motion.width[0] - 19) <= 1 for motion in again)
    first = centres(masks)[:, :2].diff(dim=1).norm(dim=2)
    assert first.median() == pytest.approx(5, abs=0.4)
    assert still(clips(count=1, like=Motion.of(disc(4, (0, 0))), motion="moving")[0])


BAD = {
    "not one of static": dict(motion="jumping"),
    "all have to be positive": dict(frames=0),
    "height 20 to 91": dict(like=Motion((20, 91), (24, 40))),
    "edges 2 to 8": dict(edges=(2, 8)),
    "jitter": dict(jitter=(0.5, 1.5)),
    "speed 3 to 2": dict(like=Motion((20, 30), (24, 40), (3, 2))),
    "at least 0": dict(like=Motion((20, 30), (24, 40), (0, 2), -1.0)),
}


@pytest.mark.parametrize(("message", "changes"), BAD.items(), ids=list(BAD))
def test_what_cannot_be_drawn_is_refused_with_a_reason(message, changes):
    with pytest.raises(ValueError, match=message):
        clips(**changes)


def test_an_empty_or_misshapen_mask_has_no_motion():
    with pytest.raises(ValueError, match="empty"):
        Motion.of(torch.zeros(1, 1, 3, *SIZE))
    with pytest.raises(ValueError, match="expected"):
        Motion.of(torch.ones(1, 3, *SIZE))
