"""The layers that PSAL is measured beside."""

import pytest
import torch

from internal_methods.methods import patch_attention
from internal_methods.methods.attention_layers import (
    CHUNK,
    dense_attention,
    linear_attention,
    local_attention,
)
from reference.attention_layers import attention


def noise(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def triple(size=(7, 9), other=(8, 7), channels=3):
    return (
        noise(2, channels, *size),
        noise(2, channels, *other, seed=1),
        noise(2, 4, *other, seed=2),
    )


def assert_equals_loops(made, q, k, v, *args, **settings):
    for b in range(len(q)):
        wanted = torch.from_numpy(attention(q[b], k[b], v[b], *args, **settings))
        torch.testing.assert_close(made[b], wanted, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("similarity", ["l2", "dot"])
@pytest.mark.parametrize(("patch_size", "stride"), [(1, 1), (3, 1), (5, 2), (3, 3)])
def test_dense_attention_is_that_of_loops(patch_size, stride, similarity):
    q, k, v = triple()
    settings = {"stride": stride, "similarity": similarity, "temperature": 0.7}
    made = dense_attention(q, k, v, patch_size=patch_size, **settings)
    assert_equals_loops(made, q, k, v, patch_size, **settings)


@pytest.mark.parametrize("similarity", ["l2", "dot"])
@pytest.mark.parametrize(("patch_size", "window"), [(1, 1), (1, 3), (3, 5), (5, 5), (3, 31)])
def test_local_attention_is_that_of_loops(patch_size, window, similarity):
    q, k, v = triple((8, 7))
    settings = {"window": window, "similarity": similarity, "temperature": 0.7}
    made = local_attention(q, k, v, patch_size=patch_size, **settings)
    assert_equals_loops(made, q, k, v, patch_size, **settings)


@pytest.mark.parametrize("patch_size", [1, 3, 5])
def test_linear_attention_is_that_of_loops(patch_size):
    q, k, v = triple()
    q = q - 0.5  # both sides of the kink
    made = linear_attention(q, k, v, patch_size=patch_size)
    assert_equals_loops(made, q, k, v, patch_size, similarity="linear")


def test_dense_attention_is_psal_with_all_keys():
    q, k, v = triple()
    made = dense_attention(q, k, v, patch_size=3)
    psal, _ = patch_attention(q, k, v, patch_size=3, neighbours=6 * 5, exact=True)
    torch.testing.assert_close(made, psal)


def test_a_window_as_large_as_the_picture_is_dense():
    q, k, v = triple((8, 7))
    wide = local_attention(q, k, v, patch_size=3, window=17)
    torch.testing.assert_close(wide, dense_attention(q, k, v, patch_size=3))


def test_large_values_do_not_cancel_in_float32():
    q, k, v = (x.float() for x in triple())
    far = dense_attention(q + 100, k + 100, v, patch_size=3)
    torch.testing.assert_close(far, dense_attention(q, k, v, patch_size=3), rtol=0, atol=1e-3)


def test_queries_in_several_chunks(monkeypatch):
    q, k, v = triple()
    whole = dense_attention(q, k, v, patch_size=3)
    assert q.shape[2] * q.shape[3] * 30 < CHUNK
    monkeypatch.setitem(dense_attention.__globals__, "CHUNK", 100)
    torch.testing.assert_close(dense_attention(q, k, v, patch_size=3), whole)


@pytest.mark.parametrize(
    "layer",
    [
        lambda q, k, v: dense_attention(q, k, v, patch_size=3, stride=2),
        lambda q, k, v: dense_attention(q, k, v, patch_size=3, similarity="dot"),
        lambda q, k, v: local_attention(q, k, v, patch_size=3, window=3),
        lambda q, k, v: linear_attention(q, k, v, patch_size=3),
    ],
)
def test_gradients(layer):
    tensors = [x[:1, :2, :5, :6].clone().requires_grad_() for x in triple((6, 7), (6, 7))]
    assert torch.autograd.gradcheck(layer, tensors)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"v": torch.rand(2, 4, 5, 5)}, "same batch and size"),
        ({"q": torch.rand(2, 2, 8, 7)}, "same batch and channels"),
        ({"q": torch.rand(3, 8, 7)}, "expected \\(B, C, H, W\\)"),
        ({"q": torch.full((2, 3, 8, 7), torch.nan)}, "NaN or infinite"),
        ({"patch_size": 9}, "does not fit keys of 8x7"),
        ({"patch_size": 4}, "not an odd number"),
        ({"similarity": "cosine"}, "not one of l2, dot"),
        ({"temperature": 0.0}, "not positive"),
    ],
)
def test_bad_input_is_said_in_words(change, words):
    q, k, v = (x.float() for x in triple((8, 7)))
    for layer in (dense_attention, local_attention):
        with pytest.raises(ValueError, match=words):
            layer(**({"q": q, "k": k, "v": v, "patch_size": 3} | change))


def test_settings_of_their_own():
    q, k, v = triple()
    with pytest.raises(ValueError, match="stride 0"):
        dense_attention(q, k, v, patch_size=3, stride=0)
    with pytest.raises(ValueError, match="window 4"):
        local_attention(q[..., :7, :7], k[..., :7, :7], v[..., :7, :7], patch_size=3, window=4)
    with pytest.raises(ValueError, match="smaller than the patch of 5"):
        local_attention(q[..., :7, :7], k[..., :7, :7], v[..., :7, :7], patch_size=5, window=3)
    with pytest.raises(ValueError, match="7x9 and 8x7"):
        local_attention(q, k, v, patch_size=3, window=3)
