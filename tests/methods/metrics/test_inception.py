"""The structure of FID's Inception; its weights are not at hand.

On random weights the network was compared with the package pytorch-fid once: 2e-5 on features
of about 7. Here stands what can be tested without that package.
"""

import pytest
import torch
from torch.nn.functional import avg_pool2d, max_pool2d

from internal_methods.methods.metrics.inception import (
    BLOCKS,
    FID_INCEPTION,
    FIRST,
    INCEPTION_STEM,
    Block,
    Conv,
    FidInception,
    InceptionStem,
    _built,
)
from internal_methods.methods.metrics.weights import MissingWeights
from internal_methods.storage.weights import WeightsFolder
from random_weights import random_weights


@pytest.fixture(scope="module")
def weights():
    return random_weights(FID_INCEPTION)


def test_the_published_file_has_these_tensors():
    """94 convolutions and 21.8 million numbers before the classes, as the file holds."""
    names = {name.removesuffix(".conv.weight") for name in FID_INCEPTION.shapes if "conv" in name}
    assert len(names) == 94
    sizes = {name: torch.Size(shape).numel() for name, shape in FID_INCEPTION.shapes.items()}
    learnt = sum(n for name, n in sizes.items() if name.endswith((".conv.weight", ".bn.weight")))
    learnt += sum(n for name, n in sizes.items() if name.endswith(".bn.bias"))
    assert learnt == 21_785_568  # torchvision's 23,834,568 without its classes and side branch
    for name, shape in {
        "Conv2d_1a_3x3.conv.weight": (32, 3, 3, 3),
        "Mixed_5b.branch_pool.conv.weight": (32, 192, 1, 1),
        "Mixed_6a.branch3x3.conv.weight": (384, 288, 3, 3),
        "Mixed_6c.branch7x7dbl_2.conv.weight": (160, 160, 7, 1),
        "Mixed_7a.branch7x7x3_4.conv.weight": (192, 192, 3, 3),
        "Mixed_7b.branch1x1.conv.weight": (320, 1280, 1, 1),
        "Mixed_7c.branch3x3dbl_3b.bn.running_var": (384,),
        "fc.bias": (1008,),
    }.items():
        assert FID_INCEPTION.shapes[name] == shape


def test_a_picture_of_any_size_gives_2048_numbers(weights):
    network = FidInception(weights)
    grey = torch.rand(1, 1, 64, 90)
    vectors = network(torch.cat([grey, 1 - grey]).expand(-1, 3, -1, -1))
    assert vectors.shape == (2, 2048) and torch.isfinite(vectors).all()
    assert (vectors[0] - vectors[1]).abs().max() > 0
    assert torch.allclose(network(grey), vectors[:1], rtol=1e-3)
    assert not list(network.parameters())


def test_sizes_inside_are_the_published_ones(weights):
    network, x, sizes = FidInception(weights), torch.rand(1, 3, 299, 299), []
    for block in network.blocks:
        x = block(x)
        sizes.append(tuple(x.shape[1:]))
    assert sizes == [
        (192, 35, 35), (256, 35, 35), (288, 35, 35), (288, 35, 35), (768, 17, 17), (768, 17, 17),
        (768, 17, 17), (768, 17, 17), (768, 17, 17), (1280, 8, 8), (2048, 8, 8), (2048, 8, 8),
    ]  # fmt: skip


def normalised(x, tensors, name, **settings):
    """A convolution, its normalisation and ReLU by torch's own functions."""
    x = torch.nn.functional.conv2d(x, tensors[f"{name}.conv.weight"], **settings)
    parts = ("running_mean", "running_var", "weight", "bias")
    parts = [tensors[f"{name}.bn.{part}"] for part in parts]
    return torch.nn.functional.batch_norm(x, *parts, eps=1e-3).relu()


def test_the_normalisation_is_taken_into_the_convolution(weights):
    image = torch.rand(1, 3, 40, 33)
    x = normalised(2 * image - 1, weights, "Conv2d_1a_3x3", stride=2)
    x = normalised(x, weights, "Conv2d_2a_3x3")
    x = normalised(x, weights, "Conv2d_2b_3x3", padding=1)
    assert torch.allclose(InceptionStem(weights)(image), x, atol=1e-4)


@pytest.mark.parametrize("place", [1, 10, 11])
def test_the_blocks_pool_as_tensorflow_did(weights, place):
    """Their last branch: an average that counts no padding, in the very last block a maximum."""
    block = BLOCKS[place]
    branch = block.branches[-1]
    assert isinstance(branch[-1], Conv)
    channels = weights[f"{block.name}.branch_pool.conv.weight"].shape[1]
    x = torch.randn(1, channels, 8, 8)
    if block.name == "Mixed_7c":
        pooled = max_pool2d(x, 3, 1, 1)
    else:
        pooled = avg_pool2d(x, 3, 1, 1) * 9 / avg_pool2d(torch.ones(1, 1, 8, 8), 3, 1, 1) / 9
    expected = normalised(pooled, weights, f"{block.name}.branch_pool")
    found = _built(Block(block.name, (branch,)), weights)(x)
    assert torch.allclose(found, expected, atol=1e-4)


def test_torchvisions_file_is_not_taken_for_fids(tmp_path, weights):
    torch.save({**weights, "fc.bias": torch.zeros(1000)}, tmp_path / "inception_v3_google.pth")
    source = WeightsFolder([tmp_path])
    with pytest.raises(MissingWeights, match="expected fc.bias of 1008, which has 1000"):
        source.find(FID_INCEPTION)
    assert source.find(INCEPTION_STEM).name == "inception_v3_google.pth"
    torch.save(weights, tmp_path / "fid.pth")
    assert source.find(FID_INCEPTION).name == "fid.pth"


def test_the_stem_is_the_start_of_the_whole():
    assert set(INCEPTION_STEM.shapes) < set(FID_INCEPTION.shapes)
    assert len(FIRST) == 3 and len(INCEPTION_STEM.shapes) == 15
    with pytest.raises(ValueError, match="at least 7"):
        InceptionStem(random_weights(INCEPTION_STEM))(torch.rand(1, 3, 6, 9))
