"""Patches brought into the distribution of another clip's: what comes near, and what must hold."""

import pytest
import torch
import torch.nn.functional as F
from torch import Generator

from internal_methods.methods.video import match_patches


def stripes(frames: int = 6, height: int = 32, width: int = 40, shift: int = 0) -> torch.Tensor:
    """Sharp slanted stripes that move."""
    t, y, x = torch.meshgrid(*(torch.arange(n) for n in (frames, height, width)), indexing="ij")
    stripe = ((x + y + 2 * t + shift) % 8 < 4).float()
    return torch.stack([stripe, 0.5 * stripe, 1 - stripe])[None]


def blurred(clip: torch.Tensor) -> torch.Tensor:
    return F.avg_pool3d(clip, (1, 5, 5), 1, (0, 2, 2), count_include_pad=False)


def contrast(clip: torch.Tensor) -> float:
    """Mean step from each pixel to the next."""
    return float(clip.diff(dim=4).abs().mean())


def test_what_is_blurred_becomes_as_sharp_as_the_source_and_keeps_its_layout():
    source, soft = stripes(), blurred(stripes(shift=3))
    made = match_patches(soft, source, steps=80)
    assert contrast(soft) < 0.6 * contrast(source) < contrast(made) < 1.2 * contrast(source)
    truth = stripes(shift=3)
    assert (made - truth).abs().mean() < 0.7 * (soft - truth).abs().mean()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_other_sizes_several_clips_and_the_same_again(dtype):
    soft = blurred(stripes(4, 24, 20)).repeat(2, 1, 1, 1, 1).to(dtype)
    soft[1] = soft[1].flip(3)
    source = 3 * stripes() - 1
    made = match_patches(soft, source, steps=4)
    assert made.shape == soft.shape and made.dtype == dtype
    assert float(made.min()) >= -1 and float(made.max()) <= 2
    assert torch.equal(match_patches(soft, source, steps=4), made)
    assert torch.equal(match_patches(soft[1:], source, steps=4)[0], made[1])
    assert not torch.equal(match_patches(soft, source, steps=4, seed=1), made)


def test_a_clip_smaller_than_a_patch():
    made = match_patches(torch.rand(1, 3, 1, 5, 6), stripes(2, 16, 16), steps=2)
    assert made.shape == (1, 3, 1, 5, 6)
    assert match_patches(made, torch.rand(1, 3, 1, 1, 1), steps=1).shape == made.shape


def test_a_loop_has_no_first_frame():
    source = stripes(8)
    soft = torch.rand(1, 3, 8, 16, 20, generator=Generator().manual_seed(0))  # no two patches alike
    made = match_patches(soft, source, steps=3, loop=True)
    turned = match_patches(soft.roll(3, 2), source, steps=3, loop=True)
    straight = match_patches(soft, source, steps=3)
    assert (turned - made.roll(3, 2)).abs().mean() < 1e-4
    assert (straight - made).abs().mean() > 1e-3


def test_what_the_mask_hides_is_left_out():
    source, mask = stripes(), torch.zeros(1, 1, 1, 32, 40)
    mask[..., 10:14, 5:9] = 0.2
    other = torch.where(mask > 0, 0.5, source)
    soft = blurred(stripes(shift=1))
    made = match_patches(soft, source, mask=mask, steps=3)
    assert torch.equal(match_patches(soft, other, mask=mask, steps=3), made)
    assert not torch.equal(match_patches(soft, other, steps=3), made)


def test_it_works_without_gradients_and_can_be_ended():
    soft = torch.rand(1, 3, 4, 16, 16, generator=Generator().manual_seed(0))
    told = []
    with torch.inference_mode():
        match_patches(soft, stripes(), steps=3, callback=told.append)
    assert [step.done for step in told] == [1, 2, 3] and told[-1].level_done

    def stop(step):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        match_patches(soft, stripes(), steps=3, callback=stop)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (dict(source=torch.rand(1, 1, 6, 32, 40)), "3 channels"),
        (dict(source=stripes().repeat(2, 1, 1, 1, 1)), "one clip"),
        (dict(mask=torch.ones(1, 1, 1, 32, 40)), "covers everything"),
        (dict(mask=(torch.arange(40) % 5 == 0).float().expand(1, 1, 1, 32, 40)), "no whole patch"),
        (dict(steps=0), "steps"),
    ],
)
def test_bad_input_is_said_in_words(change, words):
    given = dict(clips=stripes(), source=stripes(), steps=2) | change
    with pytest.raises(ValueError, match=words):
        match_patches(given.pop("clips"), given.pop("source"), **given)
