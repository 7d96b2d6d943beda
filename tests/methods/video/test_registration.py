"""The camera's motion against the one that the clip was made with."""

import numpy as np
import pytest
import torch

from internal_methods.methods.video.frames import grey_of, mask_of
from internal_methods.methods.video.registration import register
from internal_methods.methods.video.transforms import corners, moved_points
from moving_views import SIZE, camera, moving_hole, views

FRAMES = 10
MOTIONS = {
    "translation": {"pan": (3.1, -1.3)},
    "similarity": {"pan": (2.2, 0.6), "turn": 0.8, "zoom": 0.006},
    "homography": {"pan": (1.7, 0.4), "turn": -0.5, "zoom": 0.004, "tilt": 4e-5},
}


def found(clip, mask, model, **more):
    return register(
        lambda t: grey_of(clip, 0, t),
        lambda t: mask_of(mask, 0, t, SIZE),
        clip.shape[2],
        model,
        **more,
    )


def misses(matrices: np.ndarray, ways: np.ndarray, reference: int) -> list[float]:
    """How far each frame's corners are from where they should be, pixels."""
    places = corners(SIZE)
    true = [np.linalg.inv(ways[reference]) @ way for way in ways]
    return [
        float(np.abs(moved_points(a, places) - moved_points(b, places)).max())
        for a, b in zip(matrices, true, strict=True)
    ]


@pytest.mark.parametrize("model", [*MOTIONS, "affine"])
def test_the_motion_is_found(model):
    ways = camera(FRAMES, **MOTIONS.get(model, MOTIONS["similarity"]))
    result = found(views(ways), None, model)
    assert result.reference == FRAMES // 2 and not result.fallback
    assert np.array_equal(result.matrices[result.reference], np.eye(3))
    assert max(misses(result.matrices, ways, result.reference)) < 0.2


def test_what_is_masked_does_not_take_part():
    """A box with a texture of its own covers a third of the frame and goes the other way."""
    ways, mask = camera(FRAMES), moving_hole(FRAMES, box=(60, 70))
    clip = torch.where(mask > 0, views(camera(FRAMES, pan=(-6, 2)), seed=5), views(ways))
    masked = misses(found(clip, mask, "homography").matrices, ways, FRAMES // 2)
    assert max(masked) < 0.5


def test_a_large_jump_is_bridged():
    """Further than corners can be followed: then features are matched."""
    ways = camera(2, pan=(62, 20))
    result = found(views(ways), None, "similarity")
    assert not result.fallback
    assert misses(result.matrices, ways, 1)[0] < 0.5


def test_errors_do_not_add_up():
    """Forth and back by the same way: the last frame lies where the first one does."""
    ways = camera(12, turn=0.4)
    clip = views(np.concatenate([ways, ways[::-1]]))
    result = found(clip, None, "homography", reference=0)
    assert max(misses(result.matrices, np.concatenate([ways, ways[::-1]]), 0)) < 0.2


def test_brightness_may_change():
    """Points are followed by what they look like; a fade must not push them."""
    ways = camera(FRAMES, turn=0.3)
    fading = views(ways) * torch.linspace(1.0, 0.5, FRAMES).view(1, 1, -1, 1, 1)
    result = found(fading, None, "homography", reference=0)
    assert max(misses(result.matrices, ways, 0)) < 0.2


def test_frames_without_anything_to_see_go_on_as_before():
    ways = camera(FRAMES, pan=(3.0, 1.0))
    clip = views(ways)
    clip[:, :, 7:9] = 0.5
    result = found(clip, None, "translation", reference=0)
    assert result.fallback == [7, 8, 9]  # nor is there anything to compare the next with
    errors = misses(result.matrices, ways, 0)
    assert max(errors[:9]) < 0.5


def test_it_can_be_interrupted():
    class Enough(Exception):
        pass

    def each(done: int) -> None:
        if done == 3:
            raise Enough

    with pytest.raises(Enough):
        found(views(camera(5)), None, "affine", each=each)
