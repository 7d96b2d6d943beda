"""Reconstruct and Super-Resolve as nodes: shapes, what is measured, and bad inputs."""

import pytest
import torch

from internal_methods.methods import superresolve
from internal_methods.nodes.attention_uses import Reconstruct, SuperResolve
from internal_methods.nodes.metrics import ScoreTable
from internal_methods.nodes.patches import ApplyField


def noise(*shape, seed=0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def defaults(node, changes: dict) -> dict:
    sockets = node.GET_SCHEMA().inputs
    given = {s.id: s.default for s in sockets if getattr(s, "default", None) is not None}
    return given | changes


def rebuild(target, source, **changes):
    return Reconstruct.execute(target, source, **defaults(Reconstruct, changes)).args


def enlarge(image, **changes):
    return SuperResolve.execute(image, **defaults(SuperResolve, changes)).args[0]


def test_one_neighbour_copies_what_is_there_and_the_error_is_nothing():
    source = noise(1, 40, 44, 3)
    target = source[:, 5:35, 8:38].contiguous()
    image, shown, scores, words, field = rebuild(
        target, source, patch_size=3, neighbours=1, quality="best", iterations=10
    )
    inner = (slice(None), slice(1, -1), slice(1, -1))
    assert torch.equal(image[inner], target[inner])
    assert shown.shape == target.shape
    assert field.size == (30, 30) and field.source_size == (40, 44)
    copied = ApplyField.execute(field, source, "nearest").args[0]
    assert torch.equal(image, copied)
    assert [row.metric for row in scores] == ["psnr", "l2", "flip"]


def test_the_error_is_the_mean_squared_error_in_words_and_rows():
    target, source = noise(2, 16, 18, 3), noise(1, 20, 14, 3, seed=1)
    image, _, scores, words, _ = rebuild(target, source, patch_size=3, method="mine")
    true = (image - target).square().mean(dim=(1, 2, 3)).double()
    rows = [row for row in scores if row.metric == "l2"]
    assert [row.method for row in rows] == ["mine", "mine"]
    assert torch.allclose(torch.tensor([row.value for row in rows]).double(), true, rtol=1e-4)
    lines = words.splitlines()
    assert len(lines) == 2 and f"mean squared error {float(true[1]):.6f}" in lines[1]
    assert f"PSNR {-10 * float(true[0].log10()):.2f} dB" in lines[0]
    assert "mine" in ScoreTable.execute(scores, "auto").args[1]


def test_aggregation_exact_search_and_temperature_reach_the_layer():
    target, source = noise(1, 16, 18, 3), noise(1, 20, 14, 3, seed=1)
    plain = rebuild(target, source, patch_size=3, quality="exact")[0]
    mixed = rebuild(target, source, patch_size=3, quality="exact", temperature=1e4)[0]
    three = rebuild(target, source, patch_size=3, neighbours=3, quality="exact")[4]
    index = three.positions[0].long()
    mean = torch.stack([source[0][index[j, 0], index[j, 1]] for j in range(3)]).mean(0)
    assert torch.allclose(mixed[0], mean, atol=1e-3) and not torch.allclose(plain, mixed)
    together = rebuild(target, source, patch_size=3, quality="exact", aggregate=True)[0]
    assert not torch.allclose(plain, together, atol=1e-3)


def test_alpha_of_the_source_is_carried_along_but_neither_matched_nor_measured():
    target, source = noise(1, 12, 12, 3), noise(1, 14, 12, 4, seed=1)
    image, _, scores, _, _ = rebuild(target, source, patch_size=3)
    plain = rebuild(target, source[..., :3], patch_size=3)
    assert image.shape == (1, 12, 12, 4)
    assert torch.equal(image[..., :3], plain[0])
    assert [row.value for row in scores] == [row.value for row in plain[2]]


def test_a_field_is_taken_further():
    target, source = noise(1, 24, 24, 3), noise(1, 24, 24, 3, seed=1)
    field = rebuild(target, source, patch_size=3, quality="exact")[4]
    kept = rebuild(target, source, patch_size=3, iterations=0, field=field)[4]
    assert torch.equal(kept.positions, field.positions)


def test_what_cannot_be_rebuilt_is_said():
    with pytest.raises(ValueError, match="patch_size 7 is larger than the 5x9 grid"):
        rebuild(noise(1, 5, 9, 3), noise(1, 20, 20, 3))
    with pytest.raises(ValueError, match="target has 2, source has 3"):
        rebuild(noise(2, 9, 9, 3), noise(3, 20, 20, 3))


def test_super_resolve_is_the_method_picture_by_picture():
    images = noise(2, 12, 10, 4)
    before = images.clone()
    result = enlarge(images, scale=1.5, quality="fast")
    assert result.shape == (2, 18, 15, 4) and torch.equal(images, before)
    one = superresolve(images[1:].movedim(-1, 1), 1.5)
    assert torch.equal(result[1:], one.movedim(1, -1))
    assert torch.equal(enlarge(images, scale=1.0), images)


def test_the_qualities_of_super_resolve_differ():
    image = noise(1, 14, 14, 3)
    fast, best, exact = (enlarge(image, quality=q) for q in ("fast", "best", "exact"))
    assert not torch.equal(fast, best) and not torch.equal(best, exact)
    assert fast.shape == best.shape == exact.shape == (1, 28, 28, 3)


def test_super_resolve_says_what_is_too_small():
    with pytest.raises(ValueError, match="4x4 is smaller than a patch of 5"):
        enlarge(noise(1, 4, 4, 3))
