import math

import numpy as np
import pytest
import torch

from internal_methods.methods.metrics.backbones import ALEXNET, VGG16
from internal_methods.methods.metrics.folders import FEATURES, compare_sets
from internal_methods.methods.metrics.inception import FID_INCEPTION
from internal_methods.methods.metrics.layers import AlexLast
from internal_methods.methods.metrics.weights import load_first
from internal_methods.storage.pictures import read
from internal_methods.storage.weights import WeightsFolder
from random_weights import random_weights
from shared import shared


@pytest.fixture
def folder(tmp_path):
    """Of weights: AlexNet's, drawn at random."""
    torch.save(random_weights(ALEXNET), tmp_path / "alex.pth")
    return tmp_path


def pictures(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.rand(1, 3, 40, 33 + n % 7, generator=generator) ** 2 for n in range(count)]


def test_the_value_is_the_formula(folder):
    """With the root's trace from the samples: the singular values of X1 X2^T, both centred."""
    sets = pictures(9), [1 - picture for picture in pictures(6, seed=1)]
    score = compare_sets(*map(iter, sets), weights=WeightsFolder([folder]), features="alexnet")
    network = AlexLast(random_weights(ALEXNET))
    first, second = (torch.cat(list(map(network, s))).double().numpy() for s in sets)
    x1, x2 = ((v - v.mean(0)) / np.sqrt(len(v) - 1) for v in (first, second))
    spread = (x1**2).sum() + (x2**2).sum() - 2 * np.linalg.svd(x1 @ x2.T)[1].sum()
    expected = ((first.mean(0) - second.mean(0)) ** 2).sum() + spread
    assert score.value == pytest.approx(expected, rel=1e-6)
    assert (score.metric, score.region, score.better) == ("frechet_alexnet", "all", "lower")
    assert score.weights.startswith("alex.pth ") and score.seconds > 0


def test_alike_sets_are_0_in_any_order(folder):
    few = pictures(5)
    score = compare_sets(few, few[::-1], weights=WeightsFolder([folder]), method="m", image="i")
    other = compare_sets(few, pictures(5, seed=1), weights=WeightsFolder([folder]))
    assert 0 <= score.value < 1e-9 * other.value
    assert (score.method, score.image) == ("m", "i")


def test_few_pictures_give_a_number_and_a_warning(folder):
    score = compare_sets(pictures(5), pictures(1, seed=1), weights=WeightsFolder([folder]))
    assert score.value > 0 and "1 samples for 256 dimensions" in score.note


def test_auto_takes_the_first_whose_weights_are_there(folder):
    def metric():
        metrics = {features.kind: features.metric for features in FEATURES.values()}
        return metrics[load_first(WeightsFolder([folder]), list(metrics))[0]]

    assert list(FEATURES) == ["inception", "vgg16", "alexnet"]
    assert metric() == "frechet_alexnet"
    torch.save(random_weights(VGG16), folder / "vgg.pth")
    assert metric() == "frechet_vgg16"
    torch.save(random_weights(FID_INCEPTION), folder / "inception.pth")
    assert metric() == "fid"


def test_missing_weights_are_a_row_that_says_so(tmp_path):
    few = pictures(2)
    for features, metric in (("auto", "fid"), ("vgg16", "frechet_vgg16")):
        score = compare_sets(few, few, weights=WeightsFolder([tmp_path]), features=features)
        assert math.isnan(score.value) and score.metric == metric and score.weights == ""
        assert VGG16.file in score.note and str(tmp_path) in score.note
        assert (ALEXNET.file in score.note) == (features == "auto")


def test_what_cannot_be_is_refused(folder):
    source = WeightsFolder([folder])
    with pytest.raises(ValueError, match="none of auto, inception"):
        compare_sets([], [], weights=source, features="resnet")
    with pytest.raises(ValueError, match="reference set holds no pictures"):
        compare_sets(pictures(1), [], weights=source)


def test_lost_detail_is_farther_away():
    """With the real weights, on the pictures of our own workflow."""
    from internal_methods.nodes.examples import SHIPPED

    def all_of(folder):
        for path in sorted((SHIPPED / folder).iterdir()):
            yield torch.from_numpy(read(path)).movedim(-1, 0)[None]

    source = WeightsFolder([shared("weights")])
    for features in ("vgg16", "alexnet"):
        sharp, smooth = (
            compare_sets(all_of(f), all_of("flights"), weights=source, features=features).value
            for f in ("flights_sharp", "flights_smooth")
        )
        assert sharp < 0.8 * smooth, (features, sharp, smooth)
