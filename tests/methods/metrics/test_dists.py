import json

import numpy as np
import pytest
import torch

from internal_methods.methods.metrics.backbones import VGG16
from internal_methods.methods.metrics.dists import (
    CHANNELS,
    DISTS,
    DISTS_KINDS,
    DistsNetwork,
    L2Pooling,
    dists,
)
from internal_methods.storage.pictures import read
from internal_methods.storage.weights import WeightsFolder
from random_weights import random_weights
from shared import shared


def pictures(*shape, seed=1):
    return torch.rand(2, *shape, generator=torch.Generator().manual_seed(seed)).unbind()


@pytest.fixture(scope="module")
def network():
    return DistsNetwork(random_weights(VGG16), random_weights(DISTS))


def test_pooling_is_the_root_of_smoothed_squares():
    image = pictures(1, 2, 5, 6)[0]
    window = np.outer(np.hanning(5)[1:-1], np.hanning(5)[1:-1])
    window /= window.sum()
    padded = np.pad(image[0].numpy(), ((0, 0), (1, 1), (1, 1)))
    expected = np.zeros((2, 3, 3))
    for y in range(3):
        for x in range(3):
            block = padded[:, 2 * y : 2 * y + 3, 2 * x : 2 * x + 3]
            expected[:, y, x] = np.sqrt((block**2 * window).sum((1, 2)) + 1e-12)
    assert np.allclose(L2Pooling()(image)[0].numpy(), expected, atol=1e-6)


def by_definition(result, reference, network, region=None) -> float:
    """The formula of the paper on weighted samples, in float64 numpy."""
    total = 0.0
    alpha, beta = (network.get_buffer(n).double().numpy() for n in ("alpha", "beta"))
    start = 0
    for first, second in zip(network._layers(result), network._layers(reference), strict=True):
        count = first.shape[1]
        weights = np.ones(first[0, 0].numel())
        if region is not None:
            size = first.shape[2:]
            weights = torch.nn.functional.interpolate(region.double(), size=size, mode="area")
            weights = weights.flatten().numpy()
        for channel in range(count):
            x, y = (f[0, channel].flatten().double().numpy() for f in (first, second))
            covariances = np.cov(np.stack([x, y]), aweights=weights, ddof=0)
            mx, my = np.average(x, weights=weights), np.average(y, weights=weights)
            texture = (2 * mx * my + 1e-6) / (mx**2 + my**2 + 1e-6)
            both = covariances[0, 0] + covariances[1, 1] + 1e-6
            structure = (2 * covariances[0, 1] + 1e-6) / both
            total += alpha[start + channel] * texture + beta[start + channel] * structure
        start += count
    return 1 - total


@pytest.mark.parametrize("with_region", [False, True])
def test_the_value_is_the_papers_formula(network, with_region):
    result, reference = pictures(1, 3, 40, 33)
    region = torch.rand(1, 1, 40, 33, generator=torch.Generator().manual_seed(3))
    region = region.round() if with_region else None
    found = dists(result, reference, network, region=region)
    assert found.dtype == torch.float64 and found.shape == (1,)
    assert found.item() == pytest.approx(by_definition(result, reference, network, region), 1e-4)


def test_alike_is_exactly_0_for_any_picture(network):
    for picture in (torch.zeros(1, 3, 20, 20), torch.ones(1, 3, 9, 7), torch.rand(1, 1, 17, 5)):
        assert dists(picture, picture, network).item() == 0
        region = torch.zeros(1, 1, *picture.shape[2:])
        region[..., 2, 3] = 1
        assert dists(picture, picture, network, region=region).item() == 0


def test_the_weights_sum_to_1(network):
    assert sum(CHANNELS) == 1475
    assert (network.alpha.sum() + network.beta.sum()).item() == pytest.approx(1, abs=1e-6)


def test_a_batch_is_its_pictures(network):
    result, reference = pictures(2, 3, 24, 24)
    region = torch.rand(2, 1, 24, 24)
    pairs = [(result[i][None], reference[i][None], region[i][None]) for i in range(2)]
    expected = torch.cat([dists(a, b, network, region=where) for a, b, where in pairs])
    assert torch.equal(dists(result, reference, network, region=region), expected)


def test_what_does_not_fit_is_refused(network):
    with pytest.raises(ValueError, match="2 channels"):
        dists(*pictures(1, 2, 20, 20), network)
    with pytest.raises(ValueError, match="region of picture 0 is empty"):
        dists(*pictures(1, 3, 20, 20), network, region=torch.zeros(1, 1, 20, 20))


def test_the_published_values_come_out():
    source = WeightsFolder([shared("weights")])
    network = DistsNetwork(*(source.load(kind).tensors for kind in DISTS_KINDS))
    expected = json.loads(shared("metrics/expected_values.json").read_text())["values"]
    for pair in expected.values():
        result, reference = (
            torch.from_numpy(read(shared(name)))[None, ..., :3].movedim(-1, 1)
            for name in pair["pair"]
        )
        assert abs(dists(result, reference, network).item() - pair["dists"]) < 1e-4
