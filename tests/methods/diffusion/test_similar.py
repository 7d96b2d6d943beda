"""Pieces of one texture are nearer to each other than to pieces of others."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from internal_methods.methods.diffusion.similar import (
    LENGTH,
    LEVELS,
    _cosines,
    descriptor,
    distance,
    nearest,
)

INPUTS = Path(__file__).resolve().parents[3] / "workflows" / "inputs"
SHIPPED = ("grass.png", "cobbles_albedo.png", "cobbles_normal.png", "hills.png", "coffee.png")


def picture(name: str) -> torch.Tensor:
    with Image.open(INPUTS / name) as opened:
        pixels = np.asarray(opened.convert("RGB"), np.float32) / 255
    return torch.from_numpy(pixels).movedim(-1, 0)[None]


def noise(seed: int, blur: int = 1, size: int = 256) -> torch.Tensor:
    """Grey noise of the same mean and deviation, whatever its grain."""
    made = torch.randn(1, 1, size, size, generator=torch.Generator().manual_seed(seed))
    made = torch.nn.functional.avg_pool2d(made, blur, 1, blur // 2) if blur > 1 else made
    made = (made - made.mean()) / made.std()
    return 0.5 + 0.1 * made.expand(-1, 3, -1, -1)


def stripes(angle: float, seed: int) -> torch.Tensor:
    y, x = torch.meshgrid(torch.arange(256.0), torch.arange(256.0), indexing="ij")
    wave = torch.sin((np.cos(angle) * y + np.sin(angle) * x) * 0.7 + seed)
    return 0.5 + 0.2 * wave.expand(1, 3, -1, -1)


def pieces() -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """Two pieces of each that share no pixel."""
    made = {name: picture(name) for name in SHIPPED}
    halves = {name: tuple(whole.chunk(2, dim=3)) for name, whole in made.items()}
    for blur in (1, 3, 9):
        halves[f"noise {blur}"] = (noise(1, blur), noise(2, blur))
    for degrees in (0, 45, 90):
        angle = np.deg2rad(degrees)
        halves[f"stripes {degrees}"] = (stripes(angle, 0), stripes(angle, 1))
    return halves


def test_the_other_half_is_the_nearest_of_all():
    halves = pieces()
    saved = [(name, descriptor(first)) for name, (first, _) in halves.items()]
    for name, (_, second) in halves.items():
        told = descriptor(second)
        found, apart = nearest(told, saved)
        others = [distance(told, values) for other, values in saved if other != name]
        assert found == name
        assert apart < 0.8 * min(others)


def test_a_small_piece_finds_its_picture_too():
    saved = [(name, descriptor(picture(name)[..., :200])) for name in SHIPPED]
    for name in SHIPPED[:3]:
        piece = picture(name)[..., -96:, -96:]
        assert nearest(descriptor(piece), saved)[0] == name


def test_the_hole_is_not_looked_at():
    whole = picture("grass.png")
    spoilt, mask = whole.clone(), torch.zeros(1, 1, *whole.shape[2:])
    spoilt[..., 101:199, 103:206], mask[..., 101:199, 103:206] = 5.0, 1.0
    assert descriptor(spoilt, mask) == descriptor(whole, mask)
    known, all_of_it = descriptor(whole, mask), descriptor(whole)
    assert distance(known, all_of_it) < 0.4 * distance(descriptor(spoilt), all_of_it)


def test_the_cosines_are_those_of_the_library():
    fft = pytest.importorskip("scipy.fft")
    patch = torch.rand(4, 4, generator=torch.Generator().manual_seed(0))
    ours = (_cosines()[:, 0] * patch).sum((1, 2))
    theirs = torch.from_numpy(fft.dctn(patch.numpy(), norm="ortho"))
    assert torch.allclose(ours.sort().values, theirs.flatten().sort().values, atol=1e-6)
    assert torch.allclose(ours[:1], theirs[0, 0], atol=1e-6)


def test_the_numbers_are_quantiles_of_the_projections():
    """Of the mean brightness: four times the mean over each patch, by numpy's percentiles."""
    image = noise(3, 3, size=64)
    told = torch.tensor(descriptor(image)[:LEVELS])
    sums = torch.nn.functional.avg_pool2d(image[:, :1], 4, 1).flatten() * 4
    levels = (np.arange(LEVELS) + 0.5) / LEVELS
    assert np.allclose(told, np.quantile(sums.numpy(), levels), atol=2e-3)


def test_the_distance_is_a_share_of_the_wasserstein_distance():
    stats = pytest.importorskip("scipy.stats")
    random = np.random.default_rng(4)
    for move, widen in ((0, 1), (0.3, 1), (0, 2), (1, 3)):
        a, b = random.normal(size=4000), move + widen * random.normal(size=4000)
        levels = (np.arange(LEVELS) + 0.5) / LEVELS
        told = [np.quantile(each, levels) for each in (a, b)]
        spread = sum(np.abs(each - np.median(each)).mean() for each in told)
        expected = stats.wasserstein_distance(*told)
        expected = expected / (expected + spread + 1 / 255)
        assert distance(*(each.tolist() for each in told)) == pytest.approx(expected, rel=1e-4)


def test_it_is_a_distance():
    a, b = descriptor(noise(1)), descriptor(picture("hills.png"))
    assert distance(a, a) == 0 and 0 < distance(a, b) < 1
    assert distance(a, b) == distance(b, a)


def test_grey_pictures_and_other_channels():
    grey = noise(1)[:, :1]
    assert descriptor(grey) == descriptor(grey.expand(-1, 3, -1, -1))
    assert len(descriptor(grey)) == LENGTH
    four = torch.cat([noise(1), torch.rand(1, 1, 256, 256)], 1)
    assert descriptor(four) == descriptor(noise(1))


def test_several_pictures_are_told_together():
    one, other = noise(1, 3), noise(2, 1)
    both = descriptor(torch.cat([one, other]))
    assert distance(both, descriptor(one)) < distance(descriptor(one), descriptor(other))


def test_small_pictures_and_large_holes():
    assert len(descriptor(noise(1, size=256)[..., :4, :5])) == LENGTH
    with pytest.raises(ValueError, match="no whole patch of 4x4"):
        descriptor(noise(1)[..., :3, :])
    with pytest.raises(ValueError, match="a smaller hole"):
        descriptor(noise(1), torch.ones(1, 1, 256, 256))


def test_descriptors_of_another_version_are_left_out():
    told = descriptor(noise(1))
    assert nearest(told, []) is None
    assert nearest(told, [("old", told[:-1])]) is None
    assert nearest(told, [("old", told[:-1]), ("far", [9.0] * LENGTH)])[0] == "far"
