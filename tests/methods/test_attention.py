"""patch_attention: against dense attention, by gradcheck, and its messages."""

import logging

import pytest
import torch
import torch.nn.functional as F

from internal_methods.backends import patches
from internal_methods.methods import patch_attention

SIMILARITIES = ["l2", "dot", "cosine"]
SIZES = {"2-D": ((5, 7), (6, 5)), "3-D": ((3, 4, 5), (4, 3, 5))}


def noise(*shape, seed=0, dtype=torch.float64):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def maps(sizes, batch=1, dtype=torch.float64):
    """q, k and v for queries on one grid and keys on another."""
    size, key_size = sizes
    return [
        noise(batch, 3, *size, dtype=dtype) - 0.5,
        noise(batch, 3, *key_size, seed=1, dtype=dtype) - 0.5,
        noise(batch, 2, *key_size, seed=2, dtype=dtype),
    ]


def dense(q, k, v, patch_size, similarity, temperature):
    """Attention between all queries and all keys, as matrices."""
    axes, half = q.ndim - 2, patch_size // 2

    def tokens(image):
        for axis in range(2, 2 + axes):
            image = image.unfold(axis, patch_size, 1)
        return image.movedim(1, 1 + axes).flatten(1 + axes).flatten(1, axes)

    queries, keys = tokens(patches.pad(q, half, (False,) * axes)), tokens(k)
    for axis in range(2, 2 + axes):
        v = v.narrow(axis, half, v.shape[axis] - 2 * half)
    if similarity == "l2":
        logits = -torch.cdist(queries, keys, compute_mode="donot_use_mm_for_euclid_dist").square()
    else:
        if similarity == "cosine":
            queries, keys = F.normalize(queries, dim=-1), F.normalize(keys, dim=-1)
        logits = queries @ keys.transpose(1, 2)
    output = (logits / temperature).softmax(-1) @ v.flatten(2).transpose(1, 2)
    return output.transpose(1, 2).unflatten(2, q.shape[2:])


@pytest.mark.parametrize("patch_size", [1, 3])
@pytest.mark.parametrize("similarity", SIMILARITIES)
@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
def test_with_all_keys_it_is_dense_attention(sizes, similarity, patch_size):
    q, k, v = maps(sizes, batch=2)
    output, field = patch_attention(
        q, k, v, patch_size=patch_size, neighbours=1000, exact=True, similarity=similarity,
        temperature=0.7,
    )  # fmt: skip
    assert field.found.all()
    torch.testing.assert_close(output, dense(q, k, v, patch_size, similarity, 0.7))


@pytest.mark.parametrize("neighbours", [1, 3])
@pytest.mark.parametrize("aggregate", [False, True])
@pytest.mark.parametrize("similarity", SIMILARITIES)
@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
def test_gradients(sizes, similarity, aggregate, neighbours):
    settings = dict(similarity=similarity, aggregate=aggregate, neighbours=neighbours)

    def attend(*inputs):
        return patch_attention(*inputs, exact=True, temperature=0.6, **settings)[0]

    inputs = [t.requires_grad_() for t in maps(sizes)]
    assert torch.autograd.gradcheck(attend, inputs, fast_mode=True)


def test_more_neighbours_than_keys_is_said_once(caplog):
    q, k, v = maps(((4, 5), (5, 5)))
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            patch_attention(q, k, v, neighbours=17)
    assert [r.getMessage() for r in caplog.records] == [
        "17 neighbours are more than the 9 keys; all are used"
    ]


@pytest.mark.parametrize(
    "change, message",
    [
        (dict(k=noise(1, 4, 6, 5)), r"number of channels; q is \(1, 3, 5, 7\), k \(1, 4, 6, 5\)"),
        (dict(v=noise(1, 2, 6, 6)), "k and v must be of the same size"),
        (dict(v=noise(2, 2, 6, 5)), "same axes and batch size"),
        (dict(q=noise(1, 3, 2, 5, 7)), "same axes and batch size"),
        (dict(q=torch.ones(1, 3, 5, 7, dtype=torch.int32)), "q must be floating"),
        (dict(patch_size=4), "patch_size 4 is not an odd number"),
        (dict(patch_size=7), "patch_size 7 is larger than the 5x7 grid of q; use at most 5"),
        (dict(temperature=0.0), "temperature must be positive, not 0.0"),
        (dict(temperature=float("nan")), "temperature must be positive, not nan"),
        (dict(neighbours=0), "neighbours must be 1 or more, not 0"),
        (dict(similarity="l1"), "similarity 'l1' is not one of l2, dot, cosine"),
        (dict(q=torch.full((1, 3, 5, 7), torch.nan)), "105 values of q are NaN or infinite"),
        (dict(v=torch.full((1, 1, 6, 5), torch.inf)), "30 values of v are NaN or infinite"),
        (dict(mask=torch.ones(1, 1, 5, 7)), "with a mask q, k and v must be of one size"),
    ],
)
def test_bad_input_is_named(change, message):
    q, k, v = maps(SIZES["2-D"], dtype=torch.float32)
    given = {"q": q, "k": k, "v": v, **change}
    with pytest.raises(ValueError, match=message):
        patch_attention(given.pop("q"), given.pop("k"), given.pop("v"), **given)
