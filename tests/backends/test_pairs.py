"""The contract of the operations on found pairs, on every backend: forward and backward."""

import numpy as np
import pytest
import torch

from internal_methods.backends import gradients
from reference import pairs as reference

SIMILARITIES = ["l2", "dot", "cosine"]


def generator(seed):
    return torch.Generator().manual_seed(seed)


def noise(*shape, seed=0, dtype=torch.float32):
    return torch.rand(shape, generator=generator(seed), dtype=dtype) - 0.5


def positions(batch, neighbours, size, key_size, patch_size, missing=0.1):
    """Random centres of whole key patches, some missing, many of them the same key."""
    half, axes = patch_size // 2, []
    for axis, n in enumerate(key_size):
        shape = (batch, neighbours, *size)
        axes.append(torch.randint(half, n - half, shape, generator=generator(axis)))
    none = noise(batch, neighbours, *size, seed=9) + 0.5 < missing
    return torch.stack(axes, 2).int().masked_fill(none[:, :, None], -1)


def spread(image):
    """The same numbers in other places of memory."""
    wide = image.repeat_interleave(2, -1).movedim(1, -1).contiguous()
    return wide.movedim(-1, 1)[..., ::2]


# sizes of queries and keys, patch, neighbours, channels, batch, dtype, layout
CASES = {
    "plain": ((7, 11), (9, 8), 3, 3, 3, 1, torch.float32, None),
    "one pixel": ((5, 7), (3, 5), 1, 2, 5, 2, torch.float32, None),
    "patch of the size of the keys": ((5, 7), (5, 5), 5, 1, 2, 1, torch.float32, None),
    "one channel, one row": ((3, 13), (5, 11), 3, 2, 1, 2, torch.float32, None),
    "many channels": ((5, 6), (6, 5), 3, 2, 19, 1, torch.float32, None),
    "views": ((7, 6), (6, 7), 3, 2, 3, 1, torch.float32, spread),
    "half": ((7, 6), (6, 7), 3, 2, 3, 1, torch.half, None),
    "bfloat16": ((7, 6), (6, 7), 3, 2, 3, 1, torch.bfloat16, None),
    "double": ((7, 6), (6, 7), 3, 2, 3, 2, torch.float64, None),
    "clip": ((3, 5, 6), (5, 4, 7), 3, 2, 2, 1, torch.float32, None),
}


def maps(name):
    size, key_size, patch_size, neighbours, channels, batch, dtype, layout = CASES[name]
    made = [
        noise(batch, channels, *size, dtype=torch.float64).to(dtype),
        noise(batch, channels, *key_size, seed=1, dtype=torch.float64).to(dtype),
        noise(batch, neighbours, *size, seed=2, dtype=torch.float64),
    ]
    if layout:
        made = [layout(m) for m in made]
    return *made, positions(batch, neighbours, size, key_size, patch_size), patch_size


def close(results, true, dtype=torch.float32):
    tolerance = 1e-10 if dtype == torch.float64 else 3e-5
    for result, truth in zip(results, true, strict=True):
        assert result.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
        truth = torch.from_numpy(np.stack(truth))
        torch.testing.assert_close(result.double(), truth, rtol=tolerance, atol=tolerance)


def each(operation, *tensors, **settings):
    """The results of a reference for every picture of the batch, result by result."""
    rows = []
    for b in range(len(tensors[0])):
        row = [(t[b].double() if t.is_floating_point() else t[b]).numpy() for t in tensors]
        rows.append(operation(*row, **settings))
    return list(zip(*rows, strict=True)) if isinstance(rows[0], tuple) else [rows]


@pytest.mark.parametrize("similarity", SIMILARITIES)
@pytest.mark.parametrize("name", CASES)
def test_similarities_and_their_gradient(backend, name, similarity):
    q, k, given, found, patch_size = maps(name)
    settings = dict(patch_size=patch_size, similarity=similarity)
    result = backend("patch_similarity", q, k, found, **settings)
    close([result], each(reference.patch_similarity, q, k, found, **settings), q.dtype)
    slopes = backend("patch_similarity_gradient", given, q, k, found, result, **settings)
    true = each(reference.patch_similarity_gradient, given, q, k, found, **settings)
    close(slopes, true, q.dtype)


@pytest.mark.parametrize("wide", [False, True], ids=["list", "window"])
@pytest.mark.parametrize("name", CASES)
def test_attention_to_found_keys_and_its_gradient(backend, name, wide):
    like, values, logits, found, patch_size = maps(name)
    given, given_sum = noise(*like.shape, seed=3), noise(*like[:, 0].shape, seed=4)
    logits = (4 * logits).to(values.dtype).masked_fill(found[:, :, 0] < 0, -torch.inf)
    settings = dict(window=patch_size if wide else 1)
    result = backend("gather_attention", logits, values, found, **settings)
    close(result, each(reference.gather_attention, logits, values, found, **settings), values.dtype)
    slopes = backend(
        "gather_attention_gradient", given, given_sum, logits, values, found, *result, **settings
    )
    true = each(
        reference.gather_attention_gradient, given, given_sum, logits, values, found, **settings
    )
    close(slopes, true, values.dtype)


def test_a_window_wider_than_the_patch_drops_what_leaves_the_values(backend):
    q, values, logits, found, _ = maps("one pixel")
    logits = logits.float().masked_fill(found[:, :, 0] < 0, -torch.inf)
    result = backend("gather_attention", logits, values, found, window=5)
    close(result, each(reference.gather_attention, logits, values, found, window=5))
    given, given_sum = torch.ones(q.shape), torch.ones(q[:, 0].shape)
    slopes = backend(
        "gather_attention_gradient", given, given_sum, logits, values, found, *result, window=5
    )
    row = given, given_sum, logits, values, found
    close(slopes, each(reference.gather_attention_gradient, *row, window=5))


@pytest.mark.parametrize("window", [1, 3])
def test_an_empty_list_gives_zero(backend, window):
    found = torch.full((1, 2, 2, 5, 6), -1, dtype=torch.int32)
    logits, values = torch.full((1, 2, 5, 6), -torch.inf), noise(1, 3, 4, 4)
    output, log_sum = backend("gather_attention", logits, values, found, window=window)
    assert (output == 0).all() and (log_sum == -torch.inf).all()
    given = torch.ones(1, 3, 5, 6), torch.ones(1, 5, 6)
    slopes = backend(
        "gather_attention_gradient",
        *given,
        logits,
        values,
        found,
        output,
        log_sum,
        window=window,
    )
    assert all((slope == 0).all() for slope in slopes)


def test_large_logits_do_not_overflow(backend):
    _, values, logits, found, _ = maps("plain")
    logits = logits.float().masked_fill(found[:, :, 0] < 0, -torch.inf)
    for shift in (-1e4, 1e4):
        output, log_sum = backend("gather_attention", logits + shift, values, found)
        true, true_sum = backend("gather_attention", logits, values, found)
        torch.testing.assert_close(output, true, rtol=1e-2, atol=1e-3)
        torch.testing.assert_close(log_sum, true_sum + shift)


def test_patches_of_zeros_have_cosine_0(backend):
    q, k, given, found, patch_size = maps("plain")
    settings = dict(patch_size=patch_size, similarity="cosine")
    there = found[:, :, 0] >= 0
    for a, b in ((0 * q, k), (q, 0 * k)):
        result = backend("patch_similarity", a, b, found, **settings)
        assert (result[there] == 0).all()
        slopes = backend("patch_similarity_gradient", given, a, b, found, result, **settings)
        assert all((slope == 0).all() for slope in slopes)


def test_inputs_are_left_alone(backend):
    q, k, given, found, patch_size = maps("plain")
    copies = [t.clone() for t in (q, k, given, found)]
    result = backend("patch_similarity", q, k, found, patch_size=patch_size)
    backend("patch_similarity_gradient", given, q, k, found, result, patch_size=patch_size)
    made = backend("gather_attention", result, k, found, window=patch_size)
    slopes = backend(
        "gather_attention_gradient", q, q[:, 0], result, k, found, *made, window=patch_size
    )
    assert all(s.isfinite().all() for s in slopes)
    for kept, now in zip(copies, (q, k, given, found), strict=True):
        assert torch.equal(kept, now)


@pytest.mark.parametrize("size", [(48, 50), (5, 24, 25)], ids=["image", "clip"])
def test_gradients_are_the_same_for_any_number_of_threads(size):
    maps = [noise(1, 4, *size, seed=s).requires_grad_() for s in range(3)]
    found = positions(1, 3, size, size, 3)
    threads, results = torch.get_num_threads(), []
    try:
        for count in (1, 2, 5):
            torch.set_num_threads(count)
            similar = gradients.patch_similarity(*maps[:2], found, 3, "l2", "auto")
            output, log_sum = gradients.gather_attention(similar, maps[2], found, 3, "auto")
            loss = (output * noise(*output.shape, seed=5)).sum() + log_sum.square().sum()
            results.append((output, *torch.autograd.grad(loss, maps)))
    finally:
        torch.set_num_threads(threads)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


@pytest.mark.parametrize(
    "change, message",
    [
        (dict(patch_size=2), "patch_size must be odd"),
        (dict(similarity="l1"), "similarity 'l1' is not one of"),
    ],
)
def test_bad_settings_are_named(backend, change, message):
    q, k, _, found, _ = maps("plain")
    with pytest.raises(ValueError, match=message):
        backend("patch_similarity", q, k, found, **{"patch_size": 3, **change})


def test_bad_shapes_are_named(backend):
    q, k, logits, found, _ = maps("plain")
    with pytest.raises(ValueError, match=r"same B and C; they are \(1, 3, 7, 11\) and \(1, 2,"):
        backend("patch_similarity", q, k[:, :2], found, patch_size=3)
    with pytest.raises(ValueError, match=r"positions must be \(1, n, 2, 7, 11\), not"):
        backend("patch_similarity", q, k, found[..., 1:], patch_size=3)
    with pytest.raises(ValueError, match=r"logits is \(1, 2, 7, 11\)"):
        backend("gather_attention", logits[:, :2].float(), k, found)
    with pytest.raises(ValueError, match=r"values must be \(1, C, ...\) of 2 axes"):
        backend("gather_attention", logits.float(), k[0], found)
