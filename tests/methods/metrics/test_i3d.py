import math

import pytest
import torch

from internal_methods.methods.metrics import i3d
from internal_methods.methods.metrics.i3d import I3D, I3D_IMAGENET, I3D_KINDS, I3D_TFHUB
from internal_methods.storage.clips import read
from internal_methods.storage.weights import WeightsFolder
from reference import i3d as reference
from shared import shared

TENNIS = 246  # "playing tennis", of the 400 actions in alphabetical order


def tensors_of(kind) -> dict[str, torch.Tensor]:
    """Random weights of a kind, so scaled that the features neither vanish nor explode."""
    random = torch.Generator().manual_seed(0)
    made = {}
    for name, shape in kind.shapes.items():
        values = torch.randn(shape, generator=random)
        if name.endswith("conv3d.weight"):
            values *= math.sqrt(2 / values[0].numel())
        elif name.endswith(("running_var", "bn.weight")):
            values = 1 + 0.3 * values.tanh()
        else:
            values *= 0.1
        made[name] = values
    return made


@pytest.fixture(scope="module", params=I3D_KINDS, ids=lambda kind: kind.name)
def tensors(request):
    return tensors_of(request.param)


@pytest.fixture(scope="module")
def published() -> I3D:
    """With the weights of TF-Hub."""
    folder = shared("weights/i3d_kinetics400_tfhub.safetensors").parent
    return I3D(WeightsFolder([folder]).load(I3D_TFHUB).tensors)


def clip(frames: int, height: int, width: int, batch: int = 1, channels: int = 3) -> torch.Tensor:
    size = (batch, channels, frames, height, width)
    return torch.rand(size, generator=torch.Generator().manual_seed(frames))


def low(network: I3D, given: torch.Tensor) -> torch.Tensor:
    return torch.cat(list(network.low(given)), dim=2)


@pytest.mark.parametrize(("size", "batch"), [((9, 33, 35), 1), ((10, 32, 32), 2)])
def test_both_layouts_give_what_the_layers_one_by_one_give(tensors, size, batch):
    given, network = clip(*size, batch=batch), I3D(tensors)
    expected_low, expected_high = reference.features(tensors, given)
    got = low(network, given)
    assert got.shape == (batch, 480, *(-(-n // s) for n, s in zip(size, i3d.STRIDE, strict=True)))
    assert (got - expected_low).abs().max() < 1e-5 * expected_low.abs().max()
    assert (network.high(given) - expected_high).abs().max() < 1e-5 * expected_high.abs().max()


@pytest.mark.parametrize("frames", [33, 26])
def test_a_long_clip_in_stretches_is_the_whole(frames, monkeypatch):
    network, given = I3D(tensors_of(I3D_TFHUB)), clip(frames, 32, 48)
    whole = list(network.low(given))
    monkeypatch.setattr(i3d, "WORKING_BYTES", 0)
    stretches = list(network.low(given))
    assert len(whole) == 1 and len(stretches) == math.ceil(frames / 2 / 6)
    assert torch.allclose(torch.cat(stretches, dim=2), whole[0], rtol=1e-5, atol=1e-5)


def test_a_grey_clip_is_the_same_in_three_channels():
    network, grey = I3D(tensors_of(I3D_IMAGENET)), clip(8, 32, 32, channels=1)
    assert torch.allclose(low(network, grey), low(network, grey.expand(-1, 3, -1, -1, -1)))


def test_clips_that_do_not_suit_are_refused():
    network = I3D(tensors_of(I3D_TFHUB))
    with pytest.raises(ValueError, match="6 frames, but at least 7 are needed; give a longer clip"):
        low(network, clip(6, 32, 32))
    with pytest.raises(ValueError, match="8 frames, but at least 9 are needed"):
        network.high(clip(8, 32, 32))
    with pytest.raises(ValueError, match="are 32x31, but sides of at least 32 are needed"):
        low(network, clip(8, 32, 31))
    with pytest.raises(ValueError, match="has 4 channels, the network takes 1 or 3"):
        low(network, clip(8, 32, 32, channels=4))


def test_the_published_network_recognises_tennis(published):
    """Its own last layer, put on the averaged vector: the weights are where they belong."""
    from safetensors.torch import load_file

    file = shared("weights/i3d_kinetics400_tfhub.safetensors")
    last = {k: v for k, v in load_file(file).items() if k.startswith("Logits")}
    frames, _ = read(shared("video/tennis/frames"))
    frames = torch.from_numpy(frames).movedim(-1, 0)[None]
    frames = torch.nn.functional.interpolate(frames, (frames.shape[2], 128, 128))
    weight = last["Logits.Conv3d_0c_1x1.conv3d.weight"][:, :, 0, 0, 0]
    scores = published.high(frames) @ weight.T + last["Logits.Conv3d_0c_1x1.conv3d.bias"]
    assert int(scores.argmax()) == TENNIS
