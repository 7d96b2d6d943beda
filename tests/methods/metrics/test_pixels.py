"""Against scikit-image, pytorch-msssim and NVIDIA's FLIP, and against plain numpy."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import metrics as skimage
from skimage.filters import gaussian

from internal_methods.methods.metrics import flip, pixels, structure
from shared import shared


def pair(height=48, width=61, channels=3, batch=1, seed=0):
    """Two blurred random pictures, not far apart, so that all terms of a metric matter."""
    numbers = np.random.default_rng(seed)
    made = []
    for _ in range(batch):
        one = gaussian(numbers.random((height, width, channels)), 1.5, channel_axis=-1)
        one = (one - one.min()) / (one.max() - one.min())
        two = np.clip(one + 0.08 * numbers.standard_normal(one.shape), 0, 1)
        made.append([torch.from_numpy(i).movedim(-1, 0).float() for i in (one, two)])
    return torch.stack([m[1] for m in made]), torch.stack([m[0] for m in made])


def array(image):
    return image[0].movedim(0, -1).double().numpy()


def some(size=(48, 61)):
    """A region with weights between 0 and 1."""
    region = torch.zeros(1, 1, *size)
    region[..., 14:30, 20:41] = 1
    region[..., 30:32, 20:41] = 0.25
    return region


def read(name):
    with Image.open(shared(name)) as file:
        values = np.asarray(file.convert("RGB"), np.float32) / 255
    return torch.from_numpy(values).movedim(-1, 0)[None]


def test_published_pairs():
    values = json.loads(shared("metrics/expected_values.json").read_text())["values"]
    for value in values.values():
        reference, result = (read(name) for name in value["pair"])
        assert pixels.psnr(result, reference).item() == pytest.approx(value["psnr_db"], abs=1e-5)
        ssim = structure.ssim(result, reference).item()
        assert ssim == pytest.approx(value["ssim_gauss11_rgb"], abs=1e-6)
        seen = flip.flip(result, reference).item()
        assert seen == pytest.approx(value["flip_ldr_mean_ppd67"], abs=3e-4)


def test_psnr_and_ssim_are_those_of_scikit_image():
    result, reference = pair()
    x, y = array(result), array(reference)
    theirs = skimage.peak_signal_noise_ratio(y, x, data_range=1)
    assert pixels.psnr(result, reference).item() == pytest.approx(theirs)
    theirs = skimage.structural_similarity(
        y,
        x,
        data_range=1,
        channel_axis=-1,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )
    assert structure.ssim(result, reference).item() == pytest.approx(theirs, abs=1e-9)


def windows8(x, y):
    """SSIM of every whole 8 x 8 window, by loops: (h, w, C)."""
    height, width, channels = x.shape
    values = np.empty((height - 7, width - 7, channels))
    for i, j, c in np.ndindex(values.shape):
        a, b = x[i : i + 8, j : j + 8, c], y[i : i + 8, j : j + 8, c]
        light = (2 * a.mean() * b.mean() + 1e-4) / (a.mean() ** 2 + b.mean() ** 2 + 1e-4)
        both = ((a - a.mean()) * (b - b.mean())).mean()
        values[i, j, c] = light * (2 * both + 9e-4) / (a.var() + b.var() + 9e-4)
    return values


def test_ssim_uniform8_is_that_of_a_plain_loop():
    result, reference = pair(24, 19)
    values = windows8(array(result), array(reference))
    ours = structure.ssim_uniform8(result, reference).item()
    assert ours == pytest.approx(values.mean(), abs=1e-9)
    region = torch.zeros(1, 1, 24, 19)
    region[..., 10:14, 9:12] = 1  # windows start four pixels before their centre
    ours = structure.ssim_uniform8(result, reference, region=region).item()
    assert ours == pytest.approx(values[6:10, 5:8].mean(), abs=1e-9)


@pytest.mark.parametrize("size", [(161, 180), (177, 203)])
def test_ms_ssim_is_that_of_an_independent_library(size):
    theirs = pytest.importorskip("pytorch_msssim").ms_ssim
    result, reference = (image.double() for image in pair(*size, batch=2))
    ours = structure.ms_ssim(result, reference)
    wanted = theirs(result, reference, data_range=1, size_average=False)
    torch.testing.assert_close(ours, wanted, atol=1e-5, rtol=0)
    everywhere = torch.ones(1, 1, *size)
    torch.testing.assert_close(structure.ms_ssim(result, reference, region=everywhere), ours)


def test_flip_is_that_of_its_authors():
    evaluate = pytest.importorskip("flip_evaluator").evaluate
    result, reference = pair(96, 83)
    given = [array(image).astype(np.float32).copy() for image in (reference, result)]
    theirs, mean, _ = evaluate(*given, "LDR", applyMagma=False)
    ours = flip.flip_map(result, reference)
    assert ours.mean().item() == pytest.approx(mean, abs=1e-4)
    assert np.abs(ours[0, 0].numpy() - theirs[..., 0]).max() < 0.02
    region = some((96, 83))
    wanted = (theirs[..., 0] * region[0, 0].numpy()).sum() / region.sum().item()
    seen = flip.flip(result, reference, region=region).item()
    assert seen == pytest.approx(wanted, abs=1e-3)


def test_grey_is_seen_as_three_equal_channels():
    result, reference = pair(channels=1)
    ours = flip.flip(result, reference)
    assert ours == flip.flip(*(i.expand(-1, 3, -1, -1) for i in (result, reference)))


def test_differences_and_total_variation_in_a_region():
    result, reference = pair()
    weights, step = some(), array(result) - array(reference)
    w = weights[0, 0].double().numpy()[..., None] * np.ones(3)
    ours = pixels.l1(result, reference, region=weights).item()
    assert ours == pytest.approx((np.abs(step) * w).sum() / w.sum())
    mse = (step**2 * w).sum() / w.sum()
    assert pixels.l2(result, reference, region=weights).item() == pytest.approx(mse)
    ours = pixels.psnr(result, reference, region=weights).item()
    assert ours == pytest.approx(-10 * np.log10(mse))
    x = array(result)
    down, right = np.abs(np.diff(x, axis=0)), np.abs(np.diff(x, axis=1))
    assert pixels.tv(result).item() == pytest.approx(down.sum() + right.sum())
    inside = (down * w[1:] * w[:-1]).sum() + (right * w[:, 1:] * w[:, :-1]).sum()
    assert pixels.tv(result, region=weights).item() == pytest.approx(inside)


FULL_REFERENCE = [
    pixels.l1,
    pixels.l2,
    pixels.psnr,
    structure.ssim,
    structure.ssim_uniform8,
    structure.ms_ssim,
    flip.flip,
]
PERFECT = {pixels.psnr: float("inf")} | {
    f: 1.0 for f in (structure.ssim, structure.ssim_uniform8, structure.ms_ssim)
}


@pytest.mark.parametrize("metric", FULL_REFERENCE, ids=lambda m: m.__name__)
def test_the_same_picture_is_perfect_even_if_of_one_colour(metric):
    for image in (torch.zeros(1, 3, 161, 161), torch.full((1, 3, 161, 161), 0.3)):
        assert metric(image, image.clone()).item() == PERFECT.get(metric, 0.0)


@pytest.mark.parametrize("metric", FULL_REFERENCE, ids=lambda m: m.__name__)
def test_a_batch_is_its_pictures_and_inputs_stay(metric):
    result, reference = pair(170, 165, batch=2)
    region = torch.zeros(2, 1, 170, 165)
    region[0, :, 40:90, 50:80] = region[1, :, 20:130, 30:99] = 1
    before = [t.clone() for t in (result, reference, region)]
    together = metric(result, reference, region=region)
    alone = [
        metric(result[i : i + 1], reference[i : i + 1], region=region[i : i + 1]).item()
        for i in range(2)
    ]
    assert together.tolist() == pytest.approx(alone, rel=1e-5)
    assert together.dtype == torch.float64
    assert all(torch.equal(*both) for both in zip(before, (result, reference, region), strict=True))


@pytest.mark.parametrize("metric", FULL_REFERENCE, ids=lambda m: m.__name__)
def test_an_empty_region_is_refused(metric):
    result, reference = pair(161, 161)
    with pytest.raises(ValueError, match="no pixels"):
        metric(result, reference, region=torch.zeros(1, 1, 161, 161))


def test_small_pictures_are_refused_with_their_size():
    result, reference = pair(10, 40)
    with pytest.raises(ValueError, match="window of 11 pixels does not fit images of 10x40"):
        structure.ssim(result, reference)
    with pytest.raises(ValueError, match="over 160 pixels.*10x40"):
        structure.ms_ssim(result, reference)


def test_maps_average_to_their_metric():
    result, reference = pair(batch=2)
    error = structure.ssim_map(result, reference)
    assert error.shape == (2, 1, 48, 61)
    whole = 1 - error[..., 5:-5, 5:-5].flatten(1).mean(dim=1)
    torch.testing.assert_close(whole, structure.ssim(result, reference))
    l1 = pixels.l1_map(result, reference)
    torch.testing.assert_close(l1.flatten(1).mean(dim=1).double(), pixels.l1(result, reference))
