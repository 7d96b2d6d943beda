import json

import numpy as np
import pytest
import torch

from internal_methods.methods.metrics import i3d
from internal_methods.methods.metrics.i3d import I3D, I3D_TFHUB
from internal_methods.methods.metrics.video_frechet import (
    few_clips,
    few_positions,
    positions_inside,
    svfid,
    svfid_inside_outside,
    vfid,
)
from internal_methods.storage.clips import read
from internal_methods.storage.weights import WeightsFolder
from shared import shared

PAIRS = {
    "svfid_fish_vs_peer": ("tesfaldet/fish", "tesfaldet_peer_twostream/fish"),
    "svfid_fish_vs_escalator": ("tesfaldet/fish", "tesfaldet/escalator"),
    "svfid_water_3_vs_flag_2": ("tesfaldet/water_3", "tesfaldet/flag_2"),
}


@pytest.fixture(scope="module")
def network() -> I3D:
    folder = shared("weights/i3d_kinetics400_tfhub.safetensors").parent
    return I3D(WeightsFolder([folder]).load(I3D_TFHUB).tensors)


def texture(name: str) -> torch.Tensor:
    """(1, 3, 12, 256, 256)."""
    frames, _ = read(shared(f"dynamic_textures/{name}"))
    return torch.from_numpy(frames).movedim(-1, 0)[None]


def small(name: str) -> torch.Tensor:
    return texture(name)[..., :96, :96]


def hole() -> torch.Tensor:
    mask = torch.zeros(1, 1, 1, 96, 96)
    mask[..., 24:72, 24:72] = 1
    return mask


def distance(first: np.ndarray, second: np.ndarray) -> float:
    """Of two sets of vectors (N, D), however few.

    tr (S1 S2)^(1/2) is the sum of the singular values of X1 X2^T, X the centred vectors over
    (N - 1)^(1/2).
    """
    apart = first.mean(0) - second.mean(0)
    one, two = ((group - group.mean(0)) / (len(group) - 1) ** 0.5 for group in (first, second))
    common = np.linalg.svd(one @ two.T, compute_uv=False).sum()
    return float(apart @ apart + (one**2).sum() + (two**2).sum() - 2 * common)


def vectors(network: I3D, clip: torch.Tensor) -> np.ndarray:
    """(t, h, w, 480) float64."""
    features = torch.cat(list(network.low(clip)), dim=2)
    return features[0].movedim(0, -1).double().numpy()


@pytest.mark.parametrize("name", list(PAIRS))
def test_svfid_is_the_measured_value(network, name):
    expected = json.loads(shared("metrics/expected_values.json").read_text())
    value = svfid(*map(texture, PAIRS[name]), network)
    wanted = expected["svfid_i3d_mixed3c"]["values"][name]
    assert float(value) == pytest.approx(wanted, rel=1e-4)


def test_a_clip_is_at_no_distance_from_itself(network):
    assert float(svfid(small("tesfaldet/fish"), small("tesfaldet/fish"), network)) < 1e-6


def test_inside_against_outside_is_the_distance_of_the_two_sets(network):
    """The hole is a whole number of blocks, so that no position is in doubt."""
    clip = small("tesfaldet/water_3")
    inside = np.zeros((6, 12, 12), bool)
    inside[:, 3:9, 3:9] = True
    features = vectors(network, clip)
    expected = distance(features[inside], features[~inside])
    value = float(svfid_inside_outside(clip, hole(), network))
    assert value == pytest.approx(expected, rel=1e-6)


def test_a_mask_that_changes_keeps_its_time_in_a_long_clip(network, monkeypatch):
    clip = torch.cat([small("tesfaldet/fish"), small("tesfaldet/water_3")], dim=2)[..., :64, :64]
    mask = torch.zeros(1, 1, 24, 64, 64)
    mask[:, :, 16:] = 1
    whole = float(svfid_inside_outside(clip, mask, network))
    monkeypatch.setattr(i3d, "WORKING_BYTES", 0)
    assert float(svfid_inside_outside(clip, mask, network)) == pytest.approx(whole, rel=1e-4)


def test_a_fill_of_the_same_texture_is_nearer_than_another_one(network):
    clip, mask = small("tesfaldet/water_3"), hole()
    same = torch.where(mask > 0, texture("tesfaldet/water_3")[..., 96:192, 96:192], clip)
    grey = torch.where(mask > 0, clip.mean(dim=(2, 3, 4), keepdim=True), clip)
    other = torch.where(mask > 0, small("tesfaldet/escalator"), clip)
    values = [float(svfid_inside_outside(each, mask, network)) for each in (same, other, grey)]
    assert 1.5 * values[0] < min(values[1:])


def test_a_batch_is_measured_clip_by_clip(network):
    both = torch.cat([small("tesfaldet/fish"), small("tesfaldet/flag_2")])
    mask, one = hole(), small("tesfaldet/water_3")
    before = both.clone()
    with torch.inference_mode():
        expected = float(svfid(both[1:], one, network))
        assert float(svfid(both, one, network)[1]) == pytest.approx(expected, rel=1e-6)
        expected = float(svfid_inside_outside(both[1:], mask, network))
        assert float(svfid_inside_outside(both, mask, network)[1]) == pytest.approx(expected)
    assert torch.equal(both, before)


def test_vfid_is_the_distance_of_averaged_vectors(network):
    names = ("tesfaldet/fish", "tesfaldet/flag_2", "tesfaldet/water_3")
    clips = [small(name)[..., :64, :64] for name in names]
    others = [clip.flip(-1) * 0.8 for clip in clips]
    with torch.inference_mode():
        first, second = (
            torch.cat([network.high(clip) for clip in group]).double().numpy()
            for group in (clips, others)
        )
    value = vfid(clips, iter(others), network)
    assert value == pytest.approx(distance(first, second), rel=1e-6)


def test_references_that_are_neither_one_nor_as_many_are_refused():
    network, clips = None, torch.rand(3, 3, 8, 32, 32)
    with pytest.raises(ValueError, match="2 references for 3 clips; give one or as many"):
        svfid(clips, clips[:2], network)


def test_vfid_of_nothing_is_refused(network):
    with pytest.raises(ValueError, match="no clips among the references"):
        vfid([small("tesfaldet/fish")], [], network)


def test_a_position_stands_for_a_block_of_the_mask():
    clip, mask = torch.zeros(1, 3, 7, 20, 33), torch.zeros(1, 1, 7, 20, 33)
    mask[..., :3, 8:16, 8:16] = 1  # two frames of one block, and one of the next two
    mask[..., 6, 16:, 32] = 1  # the last block is of 1 frame and 4x1 pixels
    mask[..., 0:2, 0:8, 0:4] = 1  # exactly half
    inside = positions_inside(clip, mask)
    assert inside.shape == (1, 1, 4, 3, 5)
    assert inside[0, 0].nonzero().tolist() == [[0, 1, 1], [3, 2, 4]]


def test_few_positions_and_clips_are_told():
    clip = torch.zeros(1, 3, 12, 96, 96)
    assert few_positions(clip) == ""
    assert "216 samples for 480" in few_positions(clip, hole())
    assert "3 samples for 1024" in few_clips(3) and few_clips(2000) == ""


@pytest.mark.parametrize(("value", "remedy"), [(0.0, "enlarge the mask"), (1.0, "shrink the mask")])
def test_a_mask_with_nothing_on_one_side_is_refused(network, value, remedy):
    mask = torch.full((1, 1, 1, 96, 96), value)
    with pytest.raises(ValueError, match=f"0 positions of Mixed_3c .* {remedy}"):
        svfid_inside_outside(torch.rand(1, 3, 12, 96, 96), mask, network)
