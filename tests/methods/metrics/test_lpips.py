import json
from collections import OrderedDict

import pytest
import torch
from torch import nn

from internal_methods.methods.metrics.backbones import ALEXNET, VGG16, AlexNet, Vgg16
from internal_methods.methods.metrics.lpips import (
    LPIPS_ALEX,
    LPIPS_ALEX_KINDS,
    LPIPS_VGG,
    LPIPS_VGG_KINDS,
    LpipsNetwork,
    lpips,
    lpips_map,
)
from internal_methods.storage.pictures import read
from internal_methods.storage.weights import WeightsFolder
from random_weights import random_weights
from shared import shared


def pictures(*shape, seed=1):
    return torch.rand(2, *shape, generator=torch.Generator().manual_seed(seed)).unbind()


@pytest.fixture(scope="module")
def alex():
    return LpipsNetwork.alex(random_weights(ALEXNET), random_weights(LPIPS_ALEX))


@pytest.fixture(scope="module")
def vgg():
    return LpipsNetwork.vgg(random_weights(VGG16), random_weights(LPIPS_VGG))


# torchvision's `features`, as its documentation prints them.
POOLS = {"alex": nn.MaxPool2d(3, 2), "vgg": nn.MaxPool2d(2)}
ALEX_LAYERS = [
    nn.Conv2d(3, 64, 11, 4, 2), nn.ReLU(), "pool", nn.Conv2d(64, 192, 5, 1, 2), nn.ReLU(), "pool",
    nn.Conv2d(192, 384, 3, 1, 1), nn.ReLU(), nn.Conv2d(384, 256, 3, 1, 1), nn.ReLU(),
    nn.Conv2d(256, 256, 3, 1, 1), nn.ReLU(),
]  # fmt: skip
VGG_WIDTHS = [3, 64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512]


def vgg_layers():
    layers, width = [], 3
    for wide in VGG_WIDTHS[1:]:
        layers += [nn.Conv2d(width, wide, 3, 1, 1), nn.ReLU()] if wide else ["pool"]
        width = wide or width
    return layers


@pytest.mark.parametrize(
    ("kind", "own", "layers", "pool", "taken"),
    [
        (ALEXNET, AlexNet, ALEX_LAYERS, POOLS["alex"], (1, 4, 7, 9, 11)),
        (VGG16, Vgg16, vgg_layers(), POOLS["vgg"], (3, 8, 15, 22, 29)),
    ],
    ids=["alexnet", "vgg16"],
)
def test_a_backbone_is_torchvisions(kind, own, layers, pool, taken):
    layers = [pool if layer == "pool" else layer for layer in layers]
    whole = nn.Sequential(OrderedDict(features=nn.Sequential(*layers)))
    weights = random_weights(kind)
    whole.load_state_dict(weights)
    assert {n: tuple(t.shape) for n, t in whole.state_dict().items()} == kind.shapes
    image = torch.randn(1, 3, 67, 45)
    found = list(own(weights).features(image))
    with torch.no_grad():
        for place, layer in enumerate(whole[0]):
            image = layer(image)
            if place in taken:
                assert torch.allclose(found.pop(0), image, atol=1e-5, rtol=1e-4)
    assert not found


def by_definition(result, reference, network) -> torch.Tensor:
    """The formula of the paper, (B,), layer by layer in float64."""
    total = 0
    for number, head in enumerate(network.buffers_of_heads):
        first, second = (
            list(network.backbone.features(network.standardised(2 * x - 1)))[number].double()
            for x in (result, reference)
        )
        first, second = (
            f / f.pow(2).sum(1, keepdim=True).sqrt().clamp(min=1e-10) for f in (first, second)
        )
        total = total + (head.double() * (first - second) ** 2).sum(1).mean((1, 2))
    return total


@pytest.mark.parametrize("which", ["alex", "vgg"])
def test_the_value_is_the_papers_formula(which, request):
    network = request.getfixturevalue(which)
    network.buffers_of_heads = [network.get_buffer(f"head{n}") for n in range(5)]
    result, reference = pictures(2, 3, 48, 37)
    expected = by_definition(result, reference, network)
    found = lpips(result, reference, network)
    assert found.dtype == torch.float64 and found.shape == (2,)
    assert torch.allclose(found, expected, rtol=1e-5)
    assert torch.allclose(lpips(reference, result, network), expected, rtol=1e-5)


def test_alike_is_exactly_0_for_any_picture(alex):
    for picture in (torch.zeros(1, 3, 40, 40), torch.ones(1, 3, 40, 40), torch.rand(1, 1, 31, 33)):
        assert lpips(picture, picture, alex).item() == 0
        assert lpips_map(picture, picture, alex).abs().max() == 0


def test_a_region_looks_only_there(alex):
    reference = pictures(1, 3, 160, 160)[0]
    result = reference.clone()
    result[..., :40, :40] = 1 - result[..., :40, :40]
    near, far = torch.zeros(2, 1, 1, 160, 160)
    near[..., :40, :40] = 1
    far[..., 120:, 120:] = 1
    everywhere = lpips(result, reference, alex)
    assert lpips(result, reference, alex, region=near) > 3 * everywhere
    assert lpips(result, reference, alex, region=far) < 0.1 * everywhere
    ones = torch.ones(1, 1, 160, 160)
    assert torch.allclose(lpips(result, reference, alex, region=ones), everywhere, rtol=1e-9)
    half = lpips(result, reference, alex, region=near * 0.5)
    assert torch.allclose(half, lpips(result, reference, alex, region=near), rtol=1e-9)


def test_a_region_of_one_pixel_has_a_value(alex):
    result, reference = pictures(1, 3, 97, 64)
    region = torch.zeros(1, 1, 97, 64, dtype=torch.bool)
    region[..., 96, 63] = True
    assert torch.isfinite(lpips(result, reference, alex, region=region)).all()


def test_a_batch_is_its_pictures(alex):
    result, reference = pictures(3, 3, 40, 40)
    region = torch.rand(3, 1, 40, 40)
    expected = [
        lpips(result[i : i + 1], reference[i : i + 1], alex, region=region[i : i + 1])
        for i in range(3)
    ]
    assert torch.equal(lpips(result, reference, alex, region=region), torch.cat(expected))
    one = lpips(result, reference[:1], alex)
    assert torch.equal(one[:1], lpips(result[:1], reference[:1], alex))


def test_the_map_shows_where(alex):
    reference = pictures(1, 3, 128, 128)[0]
    result = reference.clone()
    result[..., 80:110, 10:40] = 0.5
    shown = lpips_map(result, reference, alex)
    assert shown.shape == (1, 1, 128, 128) and shown.dtype == torch.float32
    assert shown[..., 80:110, 10:40].mean() > 10 * shown[..., :40, 60:].mean()
    assert torch.allclose(shown.mean().double(), lpips(result, reference, alex)[0], rtol=0.15)


def test_inputs_are_left_as_they_are_under_inference_mode(alex):
    result, reference = pictures(1, 3, 40, 40)
    kept = result.clone(), reference.clone()
    with torch.inference_mode():
        lpips(result, reference, alex, region=torch.ones(1, 1, 40, 40))
    assert torch.equal(result, kept[0]) and torch.equal(reference, kept[1])
    assert not list(alex.parameters())  # nothing to train


def test_what_does_not_fit_is_refused(alex, vgg):
    with pytest.raises(ValueError, match="30x64.*at least 31"):
        lpips(*pictures(1, 3, 30, 64), alex)
    lpips(*pictures(1, 3, 31, 31), alex)
    with pytest.raises(ValueError, match="at least 16"):
        lpips(*pictures(1, 3, 16, 15), vgg)
    lpips(*pictures(1, 3, 16, 16), vgg)
    with pytest.raises(ValueError, match="4 channels"):
        lpips(*pictures(1, 4, 40, 40), alex)
    with pytest.raises(ValueError, match="region of picture 0 is empty"):
        lpips(*pictures(1, 3, 40, 40), alex, region=torch.zeros(1, 1, 40, 40))


@pytest.mark.parametrize(
    ("value", "kinds", "build"),
    [
        ("lpips_alex_v01", LPIPS_ALEX_KINDS, LpipsNetwork.alex),
        ("lpips_vgg_v01", LPIPS_VGG_KINDS, LpipsNetwork.vgg),
    ],
    ids=["alex", "vgg"],
)
def test_the_published_values_come_out(value, kinds, build):
    source = WeightsFolder([shared("weights")])
    network = build(*(source.load(kind).tensors for kind in kinds))
    expected = json.loads(shared("metrics/expected_values.json").read_text())["values"]
    for pair in expected.values():
        result, reference = (
            torch.from_numpy(read(shared(name)))[None, ..., :3].movedim(-1, 1)
            for name in pair["pair"]
        )
        assert abs(lpips(result, reference, network).item() - pair[value]) < 1e-4
