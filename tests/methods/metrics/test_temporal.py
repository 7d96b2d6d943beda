"""Clips whose motion, flicker and grain are known, because they were made so."""

import sys

import numpy as np
import pytest
import torch
from scipy.ndimage import convolve
from torch.nn.functional import interpolate

from internal_methods.methods.metrics.temporal import (
    flicker,
    noise,
    noise_variation,
    ratio,
    warp_error,
)
from internal_methods.methods.motion import motions

HEIGHT, WIDTH = 80, 96


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def smooth(height: int, width: int, seed: int = 0) -> torch.Tensor:
    """(3, height, width) hills of about 8 pixels, in [0.2, 0.8]."""
    size = (1, 3, height // 8, width // 8)
    picture = interpolate(torch.rand(size, generator=generator(seed)), (height, width), mode="area")
    kernel = torch.ones(3, 1, 7, 7) / 49
    padded = torch.nn.functional.pad(picture, (3, 3, 3, 3), mode="replicate")
    return 0.2 + 0.6 * torch.nn.functional.conv2d(padded, kernel, groups=3)[0]


def still(frames: int) -> torch.Tensor:
    return smooth(HEIGHT, WIDTH)[None, :, None].repeat(1, 1, frames, 1, 1)


def sliding(frames: int, dy: int = -1, dx: int = 2) -> torch.Tensor:
    """A window that moves over a picture: pixel p of a frame is at p + (dy, dx) in the next."""
    picture = smooth(HEIGHT + 40, WIDTH + 40)
    parts = []
    for t in range(frames):
        y, x = 20 - dy * t, 20 - dx * t
        parts.append(picture[:, y : y + HEIGHT, x : x + WIDTH])
    return torch.stack(parts, 1)[None]


def grain(clip: torch.Tensor, sigma: float, seed: int = 1) -> torch.Tensor:
    return clip + sigma * torch.randn(clip.shape, generator=generator(seed))


def hole() -> torch.Tensor:
    mask = torch.zeros(1, 1, 1, HEIGHT, WIDTH)
    mask[..., 24:64, 24:72] = 1
    return mask


def second_difference(values: torch.Tensor) -> float:
    """Mean |v_t - (v_t-1 + v_t+1) / 2|."""
    return float((values[1:-1] - (values[:-2] + values[2:]) / 2).abs().mean())


def test_the_flow_of_a_sliding_picture_is_its_slide():
    for motion in motions(sliding(3)[0].movedim(1, 0)):
        expected = torch.tensor([-1.0, 2.0])[:, None, None]
        assert (motion.forward[0] - expected).abs()[:, 8:-8, 8:-8].max() < 0.1
        assert (motion.backward[0] + expected).abs()[:, 8:-8, 8:-8].max() < 0.1
        assert motion.seen[0, 0, 8:-8, 8:-8].all()
        assert not motion.seen[0, 0, :, -1].any()  # they leave the frame


def test_pixels_that_get_covered_are_not_seen():
    frames = smooth(HEIGHT, WIDTH).repeat(2, 1, 1, 1)
    square = smooth(32, 32, seed=9)
    frames[0, :, 24:56, 20:52] = square
    frames[1, :, 24:56, 26:58] = square
    [motion] = motions(frames)
    covered, square_at = motion.seen[0, 0, 28:52, 53:57], motion.seen[0, 0, 28:52, 24:48]
    assert covered.float().mean() < 0.2 and square_at.float().mean() > 0.95


def test_motion_alone_is_no_warp_error():
    clip = sliding(5)
    unaligned = float((clip[:, :, 1:] - clip[:, :, :-1]).square().mean())
    assert float(warp_error(clip, None)) < 0.002 * unaligned


def test_the_warp_error_of_a_change_is_its_square():
    steps = torch.tensor([0.0, 0.1, 0.1, -0.1])
    clip = still(4) + steps[:, None, None]
    expected = float((steps[1:] - steps[:-1]).square().mean())
    assert float(warp_error(clip, None, reference=still(4))) == pytest.approx(expected, rel=1e-5)


def test_the_warp_error_counts_only_the_region():
    clip, mask = still(3), hole()
    clip[:, :, 1] += 0.1 * mask[:, :, 0]
    inside, outside = warp_error(clip, mask, 1 - mask, reference=still(3))[0]
    assert float(inside) == pytest.approx(0.01, rel=1e-5) and float(outside) < 1e-9


def test_the_warp_error_follows_the_references_motion():
    """A frozen picture is steady by itself, and unsteady on a moving reference."""
    frozen, reference = sliding(1).repeat(1, 1, 4, 1, 1), sliding(4)
    assert float(warp_error(frozen, None)) < 1e-9
    moved = float((frozen[:, :, 0, :, 2:] - frozen[:, :, 0, :, :-2]).square().mean())
    assert float(warp_error(frozen, None, reference=reference)) > 0.5 * moved


def test_flicker_is_the_second_difference_of_brightness():
    everywhere = 0.02 * torch.randn(12, generator=generator(2))
    added = 0.03 * torch.randn(12, generator=generator(3))
    mask = hole()
    clip = still(12) + everywhere[:, None, None] + added[:, None, None] * mask
    levels = flicker(clip, mask, 1 - mask)
    inside, around = second_difference(everywhere + added), second_difference(everywhere)
    assert levels[0].tolist() == pytest.approx([inside, around], rel=0.05)
    assert float(ratio(levels)) == pytest.approx(inside / around, rel=0.05)


def test_neither_a_fade_nor_motion_flickers():
    fade = still(6) + 0.02 * torch.arange(6)[:, None, None]
    assert float(flicker(fade, None)) < 1e-3
    assert float(flicker(sliding(6), None)) < 1e-3


@pytest.mark.parametrize("sigma", [0.01, 0.05, 0.1])
def test_the_noise_that_was_added_is_found(sigma):
    clip = grain(still(4), sigma)
    assert float(noise(clip, None)) == pytest.approx(sigma, rel=0.03)
    assert float(noise_variation(clip, None)) == pytest.approx(sigma**2, rel=0.05)


def test_noise_is_the_median_of_immerkaers_operator():
    operator = np.outer([1, -2, 1], [1, -2, 1])
    frame, region = grain(still(1), 0.04)[0, :, 0], hole()[0, 0, 0]
    response = [abs(convolve(c, operator))[25:63, 25:71] for c in frame.double().numpy()]
    expected = np.median(response) / (6 * 0.6744898)
    given = frame[None, :, None]
    assert float(noise(given, region[None, None, None])) == pytest.approx(expected, rel=1e-3)


def test_noise_is_found_along_the_motion():
    clip = grain(sliding(4), 0.05)
    assert float(noise_variation(clip, None)) == pytest.approx(0.05**2, rel=0.1)


def test_a_smooth_fill_in_a_grainy_clip_has_neither_noise_nor_variation():
    mask = hole()
    clip = torch.where(mask > 0, still(5), grain(still(5), 0.03))
    assert float(ratio(noise(clip, mask, 1 - mask))) < 0.05
    assert float(ratio(noise_variation(clip, mask, 1 - mask))) < 0.01


def test_frozen_grain_has_noise_but_no_variation():
    mask, clip = hole(), grain(still(5), 0.03)
    frozen = torch.where(mask > 0, clip[:, :, :1], clip)
    assert float(ratio(noise(frozen, mask, 1 - mask))) == pytest.approx(1, rel=0.1)
    assert float(ratio(noise_variation(frozen, mask, 1 - mask))) < 0.01


def test_equal_grain_is_a_ratio_of_one():
    mask, clip = hole(), grain(still(8), 0.03)
    for measure in (noise, noise_variation, flicker):
        assert float(ratio(measure(clip, mask, 1 - mask))) == pytest.approx(1, rel=0.1), measure


def test_a_clip_of_one_colour_has_a_ratio_of_one():
    clip, mask = torch.full((1, 1, 4, HEIGHT, WIDTH), 0.5), hole()
    for measure in (noise, noise_variation, flicker):
        assert ratio(measure(clip, mask, 1 - mask)).tolist() == [1.0]
    assert warp_error(clip, None).tolist() == [[0.0]]


def test_a_batch_is_measured_clip_by_clip_and_left_as_it_was():
    one, two = grain(still(4), 0.02), grain(sliding(4), 0.04)
    both, mask = torch.cat([one, two]), hole()
    before = both.clone()
    with torch.inference_mode():
        for measure in (warp_error, noise, noise_variation, flicker):
            each = [measure(clip, mask, None) for clip in (one, two)]
            assert torch.equal(measure(both, mask, None), torch.cat(each))
    assert torch.equal(both, before)


def test_bad_clips_are_refused_with_what_to_do():
    with pytest.raises(ValueError, match="1 frames, but at least 2 are needed"):
        warp_error(still(1), None)
    with pytest.raises(ValueError, match="2 frames, but at least 3 are needed"):
        flicker(still(2), None)
    with pytest.raises(ValueError, match="sides of at least 16 pixels, not 12x30"):
        warp_error(torch.rand(1, 3, 2, 12, 30), None)
    with pytest.raises(ValueError, match="the region has no pixels"):
        noise(still(2), torch.zeros(1, 1, 1, HEIGHT, WIDTH))
    with pytest.raises(ValueError, match="NaN"):
        noise(torch.full((1, 3, 2, 20, 20), float("nan")), None)


def test_without_opencv_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(ImportError, match="pip install opencv-python-headless"):
        warp_error(still(2), None)
