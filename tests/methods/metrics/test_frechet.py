from itertools import permutations

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm

from internal_methods.methods.metrics import frechet
from internal_methods.methods.metrics.backbones import ALEXNET, VGG16
from internal_methods.methods.metrics.frechet import (
    Gaussian,
    few_places,
    few_samples,
    folder_statistics,
    frechet_distance,
    single_image_frechet,
)
from internal_methods.methods.metrics.inception import INCEPTION_STEM, InceptionStem
from internal_methods.methods.metrics.layers import AlexFirst, AlexLast, VggFirst, VggLast
from internal_methods.storage.weights import WeightsFolder
from random_weights import random_weights
from shared import shared


def gaussian(mean, covariance) -> Gaussian:
    """As of two samples' worth of weight, so that the covariance is the scatter."""
    made = Gaussian(len(mean))
    made.weight = made.squared_weight = 2.0
    made.mean = torch.as_tensor(mean, dtype=torch.float64)
    made.scatter = torch.as_tensor(covariance, dtype=torch.float64)
    return made


def of(samples, weights=None) -> Gaussian:
    made = Gaussian(samples.shape[1])
    made.update(samples, weights)
    return made


def draw(count, dimensions, seed=0):
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(dimensions, dimensions, generator=generator, dtype=torch.float64)
    return torch.randn(count, dimensions, generator=generator, dtype=torch.float64) @ mixing + seed


def test_the_statistics_are_numpys():
    samples = draw(70, 5)
    made = of(samples)
    assert made.count == pytest.approx(70)
    assert np.allclose(made.mean, samples.mean(0), atol=1e-12)
    assert np.allclose(made.covariance, np.cov(samples.T.numpy()), atol=1e-12)
    weights = torch.rand(70, dtype=torch.float64)
    made = of(samples, weights)
    assert np.allclose(made.mean, np.average(samples, axis=0, weights=weights), atol=1e-12)
    assert np.allclose(made.covariance, np.cov(samples.T, aweights=weights), atol=1e-12)


def test_weights_of_0_and_1_choose_samples():
    samples, chosen = draw(50, 4), torch.arange(50) % 3 == 0
    made, expected = of(samples, chosen.double()), of(samples[chosen])
    assert torch.allclose(made.covariance, expected.covariance, atol=1e-12)
    assert made.count == pytest.approx(17) == expected.count


def test_shards_give_what_the_whole_gives_in_any_order():
    samples = draw(1000, 6) + 1e3
    whole = of(samples)
    shards = [of(part) for part in samples.split([1, 0, 299, 700])]
    for order in permutations(shards):
        merged = Gaussian(6)
        for shard in order:
            merged = merged.merged(shard)
        assert merged.count == pytest.approx(1000, abs=1e-9)
        assert torch.allclose(merged.mean, whole.mean, rtol=1e-13)
        scale = whole.covariance.abs().max()
        assert (merged.covariance - whole.covariance).abs().max() < 1e-10 * scale


def test_merging_leaves_the_shards_as_they_are():
    first, second = of(draw(5, 3)), of(draw(7, 3, seed=1))
    kept = first.mean.clone(), first.scatter.clone(), second.scatter.clone()
    both = first.merged(second)
    both.update(draw(3, 3, seed=2))
    assert torch.equal(first.mean, kept[0]) and torch.equal(first.scatter, kept[1])
    assert torch.equal(second.scatter, kept[2]) and first.count == 5


def test_more_samples_than_fit_at_once(monkeypatch):
    samples, weights = draw(100, 4), torch.rand(100)
    expected = of(samples, weights)
    monkeypatch.setattr(frechet, "CHUNK", 7)
    found = of(samples, weights)
    assert torch.allclose(found.covariance, expected.covariance, rtol=1e-12)


def test_one_sample_and_none_have_no_spread():
    assert of(draw(1, 3)).covariance.abs().max() == 0
    assert of(draw(0, 3)).covariance.abs().max() == 0
    assert of(draw(4, 3), torch.tensor([0.0, 0.3, 0, 0])).covariance.abs().max() == 0


def test_diagonal_covariances():
    first, second = torch.rand(2, 9, dtype=torch.float64).unbind()
    first[3] = second[3] = second[4] = 0
    means = torch.randn(2, 9, dtype=torch.float64)
    expected = (means[0] - means[1]).square().sum() + (first.sqrt() - second.sqrt()).square().sum()
    found = frechet_distance(gaussian(means[0], first.diag()), gaussian(means[1], second.diag()))
    assert found == pytest.approx(expected.item(), rel=1e-12)


def test_commuting_covariances_of_low_rank():
    turn, _ = torch.linalg.qr(torch.randn(40, 40, dtype=torch.float64))
    first, second = torch.rand(2, 40, dtype=torch.float64).unbind()
    first[10:], second[5:30] = 0, 0
    expected = (first.sqrt() - second.sqrt()).square().sum().item()
    zero = torch.zeros(40)
    covariances = [turn @ values.diag() @ turn.T for values in (first, second)]
    found = frechet_distance(*(gaussian(zero, covariance) for covariance in covariances))
    assert found == pytest.approx(expected, rel=1e-9)


def by_scipy(first, second) -> float:
    """From samples, as the usual code has it."""
    (m1, s1), (m2, s2) = ((x.mean(0), np.cov(x.T)) for x in (first, second))
    return float(((m1 - m2) ** 2).sum() + np.trace(s1 + s2 - 2 * np.real(sqrtm(s1 @ s2))))


def test_the_distance_is_scipys():
    first, second = draw(200, 12), draw(150, 12, seed=1)
    found = frechet_distance(of(first), of(second))
    assert found == pytest.approx(by_scipy(first.numpy(), second.numpy()), rel=1e-9)
    assert found == pytest.approx(frechet_distance(of(second), of(first)), rel=1e-9)


@pytest.mark.parametrize("count", [1, 5, 30, 300])
def test_alike_is_0_of_any_rank(count):
    samples = draw(count, 60)
    spread = of(samples).covariance.trace().item() + of(samples).mean.square().sum().item()
    assert 0 <= frechet_distance(of(samples), of(samples)) < 1e-12 * spread


def test_a_shift_costs_its_square_of_any_rank():
    samples = draw(5, 60)
    found = frechet_distance(of(samples), of(samples + 3))
    assert found == pytest.approx(9 * 60, rel=1e-9)


def test_other_dimensions_are_refused():
    with pytest.raises(ValueError, match="3 and 4 dimensions"):
        frechet_distance(Gaussian(3), Gaussian(4))


def test_few_samples_are_told():
    assert few_samples(2049, 2048) == ""
    assert few_samples(2048, 2048).startswith("2048 samples for 2048 dimensions")


LAYERS = [(VGG16, VggFirst), (ALEXNET, AlexFirst), (INCEPTION_STEM, InceptionStem)]
IDS = ["vgg16", "alexnet", "inception"]


@pytest.mark.parametrize(("kind", "build"), LAYERS, ids=IDS)
def test_of_one_picture_every_place_is_a_sample(kind, build):
    network = build(random_weights(kind))
    result, reference = torch.rand(2, 3, 50, 47), torch.rand(1, 3, 61, 40)
    found = single_image_frechet(result, reference, network)
    assert found.shape == (2,) and found.dtype == torch.float64
    for index, value in enumerate(found):
        samples = [
            network(image[None])[0].flatten(1).T.double().numpy()
            for image in (result[index], reference[0])
        ]
        if min(map(len, samples)) > 200:  # sqrtm is not for singular products
            assert value.item() == pytest.approx(by_scipy(*samples), rel=1e-6)
    same = single_image_frechet(result, result + 1e-7, network)
    assert (same < 1e-6 * found).all()
    assert single_image_frechet(result, result, network).tolist() == [0, 0]


@pytest.mark.parametrize(("kind", "build"), LAYERS, ids=IDS)
def test_the_grid_is_told_beforehand(kind, build):
    network = build(random_weights(kind))
    assert network.dimensions == 64
    for size in ((31, 64), (40, 33), (53, 42)):
        features = network(torch.rand(1, 3, *size))
        assert tuple(features.shape) == (1, 64, *build.grid(size))


def test_a_region_takes_its_places_only():
    network = VggFirst(random_weights(VGG16))
    result = torch.rand(1, 3, 40, 40)
    reference = result.clone()
    reference[..., 20:] = 0.5
    region = torch.zeros(1, 1, 40, 40)
    region[..., :20] = 1
    assert single_image_frechet(result, reference, network, region=region) == 0
    changed = single_image_frechet(result, reference, network, region=1 - region)
    assert changed > single_image_frechet(result, reference, network) > 0
    ones = single_image_frechet(result, reference, network, region=torch.ones_like(region))
    assert torch.allclose(ones, single_image_frechet(result, reference, network), rtol=1e-9)


def test_few_places_are_told():
    picture, larger = torch.rand(1, 3, 32, 32), torch.rand(1, 3, 64, 64)
    assert few_places(VggFirst, picture, picture) == ""
    assert few_places(AlexFirst, picture, larger).startswith("49 samples for 64 dimensions")
    region = torch.zeros(1, 1, 32, 32)
    region[..., :4, :4] = 1
    assert few_places(VggFirst, picture, picture, region=region).startswith("16 samples")


def test_what_does_not_fit_is_refused():
    network = AlexFirst(random_weights(ALEXNET))
    picture, region = torch.rand(1, 3, 40, 40), torch.ones(1, 1, 40, 40)
    with pytest.raises(ValueError, match="40x40.*50x40"):
        single_image_frechet(picture, torch.rand(1, 3, 50, 40), network, region=region)
    with pytest.raises(ValueError, match="empty"):
        single_image_frechet(picture, picture, network, region=0 * region)
    with pytest.raises(ValueError, match="at least 31"):
        single_image_frechet(picture[..., :30], picture, network)


@pytest.mark.parametrize(("kind", "build"), [(VGG16, VggLast), (ALEXNET, AlexLast)])
def test_a_folder_is_its_pictures_of_any_size(kind, build):
    network = build(random_weights(kind))
    pictures = [torch.rand(1, 3, 40, 33 + 5 * n) for n in range(4)]
    found = folder_statistics(iter(pictures), network)
    vectors = torch.cat([network(picture) for picture in pictures]).double()
    assert vectors.shape == (4, build.dimensions) and found.count == pytest.approx(4)
    assert np.allclose(found.covariance, np.cov(vectors.T.numpy()), atol=1e-9)


def test_a_stationary_crop_is_nearer_than_another_texture():
    """With the real weights: what the number is for."""
    source = WeightsFolder([shared("weights")])
    from internal_methods.storage.pictures import read

    def picture(name, rows, columns):
        pixels = torch.from_numpy(read(shared(name)))[rows, columns, :3]
        return pixels.movedim(-1, 0)[None]

    top, low = slice(0, 128), slice(-128, None)
    grass = picture("textures/skimage/grass.png", top, top)
    other_grass = picture("textures/skimage/grass.png", low, low)
    bricks = picture("textures/skimage/brick.png", top, top)
    for kind, build in LAYERS[:2]:
        network = build(source.load(kind).tensors)
        near = single_image_frechet(other_grass, grass, network)
        assert near < 0.5 * single_image_frechet(bricks, grass, network)
