"""Super-resolution: its resampling against Pillow, its promises, and what it gains."""

import numpy as np
import pytest
import torch
from PIL import Image

from internal_methods.methods.superresolve import (
    _mosaic,
    _views,
    back_project,
    resized,
    superresolve,
)
from shared import shared


def noise(*shape) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


def star(side: int, oversampled: int = 8) -> torch.Tensor:
    """Black and white spokes: every part of them looks the same at every scale."""
    axis = (torch.arange(side * oversampled) + 0.5) / (side * oversampled) - 0.5
    spokes = (torch.atan2(axis[:, None] + 0.6, axis + 0.6) * 20).sin() > 0
    fine = torch.where(spokes, 0.85, 0.15)[None, None]
    return torch.nn.functional.avg_pool2d(fine, oversampled)


def psnr(a: torch.Tensor, b: torch.Tensor, border: int = 4) -> float:
    inner = (a - b)[..., border:-border, border:-border].double()
    return float(-10 * inner.square().mean().log10())


def pillow(image: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    planes = [
        Image.fromarray(plane).resize(size[::-1], Image.Resampling.BICUBIC)
        for plane in image[0].numpy()
    ]
    return torch.from_numpy(np.stack([np.asarray(plane) for plane in planes]))[None]


@pytest.mark.parametrize("size", [(13, 11), (60, 70), (31, 90)])
def test_resized_is_the_bicubic_of_pillow(size):
    image = noise(1, 3, 37, 41)
    assert torch.allclose(resized(image, size), pillow(image, size), atol=1e-5)


def test_back_projection_comes_nearer_with_every_turn():
    image = resized(noise(1, 3, 46, 38), (23, 19))
    larger = resized(image, (57, 47))
    lacking = [
        float((resized(back_project(larger, image, n), (23, 19)) - image).abs().max())
        for n in (0, 2, 5, 10)
    ]
    assert lacking[0] > 0.05 and lacking[3] < 0.002
    assert lacking == sorted(lacking, reverse=True)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_what_repeats_across_scales_is_recovered_better_than_by_bicubic(scale):
    truth = star(96)
    small = resized(truth, (96 // scale, 96 // scale))
    plain = resized(small, (96, 96))
    found = psnr(superresolve(small, scale), truth)
    assert found > psnr(plain, truth) + 1.5
    assert found > psnr(back_project(plain, small, 10), truth) + 0.5


def test_search_is_as_good_as_exact_attention():
    truth = star(120)
    small = resized(truth, (60, 60))
    found, exact = (superresolve(small, 2, turned=False, exact=exact) for exact in (False, True))
    assert abs(psnr(found, truth) - psnr(exact, truth)) < 0.1
    assert psnr(found, exact) > 40


def test_a_photograph_gains_at_all_scales():
    path = shared("superres/set5/img_003_x2_HR.png")
    pixels = np.asarray(Image.open(path).convert("RGB"), np.float32) / 255
    truth = torch.from_numpy(pixels).permute(2, 0, 1)[None, :, 60:180, 60:180].contiguous()
    for scale, gain in ((2, 2.5), (3, 1.0), (4, 0.7)):
        small = resized(truth, (120 // scale, 120 // scale))
        found = psnr(superresolve(small, scale).clamp(0, 1), truth)
        assert found > psnr(resized(small, (120, 120)), truth) + gain


@pytest.mark.parametrize("quality", ["fast", "best"])
def test_reduced_again_it_is_the_given_image(quality):
    small = resized(star(63), (31, 29)) + 2  # beyond [0, 1]: nothing is clamped
    result = superresolve(small, 2.3, quality=quality)
    assert result.shape == (1, 1, 71, 67)
    assert (resized(result, (31, 29)) - small).abs().max() < 1 / 255
    loose = superresolve(small, 2.3, quality=quality, back_projection=0)
    assert (resized(loose, (31, 29)) - small).abs().max() > 4 / 255


def test_nothing_to_do_gives_the_same_bits():
    image = noise(1, 3, 9, 8)
    result = superresolve(image, 1)
    assert torch.equal(result, image) and result is not image


def test_an_even_image_stays_even():
    image = torch.full((1, 3, 12, 10), 0.3)
    assert torch.allclose(superresolve(image, 3), torch.full((1, 3, 36, 30), 0.3), atol=1e-5)


def test_brightness_and_contrast_do_not_matter():
    small = resized(noise(1, 1, 20, 22), (15, 17)) + 2  # without ties, which rounding would turn
    result = superresolve(small, 2, exact=True)
    other = superresolve(small * 40 - 90, 2, exact=True)
    assert float((result - resized(small, (30, 34))).abs().max()) > 0.05
    assert torch.allclose(other, result * 40 - 90, atol=0.02)


def test_alpha_goes_along_and_is_not_matched_on():
    colour = resized(star(48), (24, 24)).expand(1, 3, 24, 24)
    alpha = resized(star(48), (24, 24)).flip(3)
    both = superresolve(torch.cat((colour, alpha), 1), 2)
    assert torch.equal(both[:, :3], superresolve(colour, 2))
    copied = superresolve(torch.cat((colour, colour[:, :1]), 1), 2)
    assert torch.allclose(copied[:, 3], copied[:, 0], atol=1e-6)


def test_a_channel_within_0_and_1_stays_there_and_another_is_free():
    image = torch.cat(((star(24) > 0.5).float(), star(24) * 30 - 7), 1)
    result = superresolve(image, 2)
    assert result[:, 0].min() == 0 and result[:, 0].max() == 1
    assert result[:, 1].min() < image[:, 1].min()


def test_results_repeat_batches_are_loops_and_inputs_stay_as_they_were():
    images = noise(2, 3, 17, 13)
    before = images.clone()
    result = superresolve(images, 1.5, seed=3)
    assert result.shape == (2, 3, 26, 20)
    assert torch.equal(images, before)
    assert torch.equal(result, superresolve(images, 1.5, seed=3))
    assert torch.allclose(result[1:], superresolve(images[1:], 1.5, seed=3), atol=0.05)
    assert superresolve(images.half(), 1.5).dtype == torch.float16


def test_eight_views_are_those_of_the_square_and_pairs_stay_together():
    first = noise(1, 1, 4, 5)
    views = _views(first, first + 1, True)
    assert all(torch.equal(b, a + 1) for a, b in views)
    ours = {tuple(a.flatten().tolist()) for a, _ in views}
    assert len(ours) == 8
    turns = [torch.rot90(first, n, (2, 3)) for n in range(4)]
    assert ours == {tuple(t.flatten().tolist()) for t in [*turns, *(t.flip(3) for t in turns)]}


def test_no_patch_of_a_mosaic_sees_two_pictures():
    pictures = [torch.full((1, 1, h, w), float(n)) for n, (h, w) in enumerate([(5, 4), (3, 6)])]
    mosaic = _mosaic(pictures, 9.0)
    patches = mosaic.unfold(2, 2, 1).unfold(3, 2, 1).flatten(4)[0, 0].flatten(0, 1)
    whole = patches[(patches != 9).all(1)]
    assert len(whole) == 4 * 3 + 2 * 5
    assert (whole == whole[:, :1]).all()


@pytest.mark.parametrize(("scale", "steps"), [(1.25, 1), (2, 1), (3, 2), (4, 3), (8, 4)])
def test_every_step_is_reported_and_can_be_interrupted(scale, steps):
    said = []
    superresolve(noise(1, 1, 8, 8), scale, patch_size=3, callback=said.append)
    made = [step for step in said if step.done]
    assert {step.total for step in made} == {steps}
    assert sorted({step.done for step in made}) == list(range(1, steps + 1))
    assert made[-1].image.shape[2:] == (round(8 * scale), round(8 * scale))

    def stop(step):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        superresolve(noise(1, 1, 8, 8), scale, patch_size=3, callback=stop)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"scale": 0.5}, "scale 0.5 is not within 1 to 16"),
        ({"scale": 17}, "scale 17 is not within 1 to 16"),
        ({"scale": float("nan")}, "scale nan"),
        ({"patch_size": 4}, "patch_size 4 is not an odd number"),
        ({"patch_size": 11}, "8x9 is smaller than a patch of 11"),
        ({"back_projection": -1}, "back_projection -1 is negative"),
        ({"quality": "exact"}, "quality 'exact' is not one of fast, best"),
        ({"neighbours": 0}, "neighbours must be 1 or more"),
    ],
)
def test_wrong_settings_are_refused_in_words(changes, words):
    with pytest.raises(ValueError, match=words):
        superresolve(noise(1, 3, 8, 9), **changes)


def test_wrong_images_are_refused_in_words():
    with pytest.raises(ValueError, match="expected \\(B, C, H, W\\)"):
        superresolve(noise(3, 8, 8))
    with pytest.raises(ValueError, match="NaN or infinite"):
        superresolve(noise(1, 1, 8, 8) / 0)
