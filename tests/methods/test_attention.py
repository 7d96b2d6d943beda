"""patch_attention: against dense attention, by gradcheck, and its messages."""

import copy
import logging

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from internal_methods.methods import Field, PatchAttention, patch_attention
from reference.dense_attention import dense_attention
from reference.nearest_patch import nearest_patch
from reference.pairs import gather_attention

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
    torch.testing.assert_close(output, dense_attention(q, k, v, patch_size, similarity, 0.7))


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


@pytest.mark.parametrize("aggregate", [False, True])
@pytest.mark.parametrize("similarity", SIMILARITIES)
@pytest.mark.parametrize("size", [(6, 7), (3, 4, 5)], ids=SIZES)
def test_gradients_with_a_mask(size, similarity, aggregate):
    mask = torch.zeros(1, 1, *size)
    mask[..., 1, 3:] = 1

    def attend(*inputs):
        settings = dict(similarity=similarity, aggregate=aggregate, neighbours=2)
        patch_size = 3 if len(size) == 2 else 1
        return patch_attention(*inputs, mask=mask, patch_size=patch_size, exact=True, **settings)[0]

    inputs = [t.requires_grad_() for t in maps((size, size))]
    assert torch.autograd.gradcheck(attend, inputs, fast_mode=True)


def reference(q, k, v, *, patch_size, neighbours, similarity, temperature, aggregate, mask=None):
    """One picture, query by query: (Cv, *size)."""
    none = (False,) * (q.ndim - 1)
    positions, distances = nearest_patch(
        q, k, patch_size=patch_size, wrap=none, source_wrap=none, neighbours=neighbours,
        similarity=similarity, target_mask=mask, source_mask=None if mask is None else ~mask,
    )  # fmt: skip
    window = patch_size if aggregate else 1
    output, _ = gather_attention(-distances / temperature, v, positions, window=window)
    return output if mask is None else np.where(mask, output, v)


@pytest.mark.parametrize("masked", [False, True], ids=["all", "mask"])
@pytest.mark.parametrize("aggregate", [False, True], ids=["list", "aggregate"])
@pytest.mark.parametrize("similarity", SIMILARITIES)
@pytest.mark.parametrize("patch_size", [1, 5])
def test_every_position_equals_the_reference(patch_size, similarity, aggregate, masked):
    """The border among them, where patches are completed by reflection."""
    size = (8, 11)
    q, k, v = maps((size, size if masked else (9, 7)))
    mask = torch.zeros(1, 1, *size)
    mask[..., :3, 6:9] = 1
    mask[..., 5, 10] = 1
    settings = dict(
        patch_size=patch_size, neighbours=2, similarity=similarity, temperature=0.3,
        aggregate=aggregate,
    )  # fmt: skip
    given = dict(mask=mask if masked else None)
    output, field = patch_attention(q, k, v, exact=True, **settings, **given)
    assert bool(field.found.all()) is not masked
    given = dict(mask=mask[0, 0].numpy() > 0.5 if masked else None)
    true = reference(*(t[0].numpy() for t in (q, k, v)), **settings, **given)
    torch.testing.assert_close(output[0], torch.from_numpy(true))


def test_known_positions_come_back_bit_for_bit():
    q, k, v = maps(((9, 8), (9, 8)), batch=2, dtype=torch.float32)
    mask = torch.zeros(1, 1, 9, 8)
    mask[..., 3:6, 2:5] = 1
    output, _ = patch_attention(q, k, v, mask=mask, aggregate=True)
    known = (mask == 0).expand_as(v)
    assert torch.equal(output[known], v[known])
    assert (output != v)[~known].all()


@pytest.mark.parametrize("neighbours", [1, 2, 4])
def test_gradients_equal_the_closed_form(neighbours):
    """Scalar maps and "l2": equations IV.6 to IV.8 of the thesis. In the last one the bracket is
    1[j = k] - A_ij; printed is A_ik, which would leave the rows of A without effect."""
    q, k, v = (t[:, :1].requires_grad_() for t in maps(((3, 4), (2, 5))))
    settings = dict(patch_size=1, neighbours=neighbours, exact=True)
    field = patch_attention(q, k, v, **settings)[1]
    jacobians = torch.autograd.functional.jacobian(
        lambda *inputs: patch_attention(*inputs, **settings)[0].flatten(), (q, k, v)
    )
    found = (field.positions[0, :, 0] * 5 + field.positions[0, :, 1]).flatten(1).T.long()
    with torch.no_grad():
        x, y, z = q.flatten(), k.flatten(), v.flatten()
        logits = torch.full((12, 10), -torch.inf, dtype=torch.float64)
        logits.scatter_(1, found, -(x[:, None] - y[found]).square())
        weights = logits.softmax(1)
        output = weights @ z
        slope = 2 * (x[:, None] - y)
        to_q = (weights * z * (-slope - (weights * -slope).sum(1, keepdim=True))).sum(1)
        to_k = weights * slope * (z - output[:, None])
    true = torch.diag(to_q), to_k, weights
    for jacobian, expected in zip(jacobians, true, strict=True):
        torch.testing.assert_close(jacobian.flatten(1), expected)
    assert neighbours > 1 or not jacobians[0].any() and not jacobians[1].any()


def smooth(*shape, seed=0):
    coarse = noise(*shape[:2], *(n // 3 for n in shape[2:]), seed=seed, dtype=torch.float32)
    return F.interpolate(coarse, shape[2:], mode="bilinear", align_corners=True)


@pytest.mark.parametrize("aggregate", [False, True], ids=["list", "aggregate"])
@pytest.mark.parametrize("backend", ["eager", "cpu", "cuda"])
def test_backends_agree_forward_and_backward(backend, aggregate):
    """From one field, without a search, which each does in its own way."""
    if backend == "cuda" and torch.cuda.is_available():
        pytest.skip("needs CPU tensors in Triton's interpreter")
    pytest.importorskip({"cpu": "numba", "cuda": "triton"}.get(backend, "torch"))
    inputs = [smooth(1, 3, 7, 6, seed=s) for s in range(3)]
    settings = dict(aggregate=aggregate, neighbours=2, temperature=0.2)
    field = patch_attention(*inputs, exact=True, **settings)[1]
    results = []
    for kind, name in ((torch.float64, "eager"), (torch.float32, backend)):
        given = [t.to(kind).requires_grad_() for t in inputs]
        output, _ = patch_attention(*given, field=field, iterations=0, backend=name, **settings)
        slopes = torch.autograd.grad(output.square().sum(), given)
        results.append([t.double() for t in (output, *slopes)])
    for true, result in zip(*results, strict=True):
        torch.testing.assert_close(result, true, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_types_are_computed_in_float32(dtype):
    inputs = [smooth(1, 4, 12, 12, seed=s).to(dtype) for s in range(3)]
    given = [t.clone().requires_grad_() for t in inputs]
    output, field = patch_attention(*given)
    output.float().sum().backward()
    assert output.dtype == dtype and field.distances.dtype == torch.float32
    assert all(t.grad.dtype == dtype and t.grad.isfinite().all() for t in given)
    true, _ = patch_attention(*(t.float() for t in inputs))
    assert torch.equal(output, true.to(dtype))


def test_more_neighbours_come_closer_to_dense_attention():
    q, k, v = (smooth(1, 3, 14, 14, seed=s).double() for s in range(3))
    true = dense_attention(q, k, v, 3, "l2", 0.02)
    errors = []
    for neighbours in (3, 31):
        settings = dict(neighbours=neighbours, temperature=0.02, quality="best", iterations=10)
        errors.append(float((patch_attention(q, k, v, **settings)[0] - true).norm()))
    assert errors[1] < 0.5 * errors[0]


def test_the_search_is_warm_started():
    q, k, v = (smooth(1, 3, 24, 24, seed=s) for s in range(3))
    settings = dict(backend="eager", neighbours=1, seed=1)
    _, field = patch_attention(q, k, v, **settings)
    later = q + 0.01 * smooth(1, 3, 24, 24, seed=4)
    cold = patch_attention(later, k, v, iterations=1, **settings)[1].distances.mean()
    warm = patch_attention(later, k, v, iterations=1, field=field, **settings)[1].distances.mean()
    long = patch_attention(later, k, v, iterations=5, **settings)[1].distances.mean()
    assert warm < cold and warm < 1.02 * long


def test_inputs_are_left_alone():
    inputs = [smooth(1, 3, 9, 9, seed=s) for s in range(3)]
    field = patch_attention(*inputs)[1]
    kept = [t.clone() for t in (*inputs, field.positions, field.distances)]
    patch_attention(*inputs, field=field, aggregate=True)
    for before, now in zip(kept, (*inputs, field.positions, field.distances), strict=True):
        assert torch.equal(before, now)


def test_results_do_not_depend_on_the_number_of_threads():
    inputs = [smooth(1, 4, 45, 42, seed=s).requires_grad_() for s in range(3)]
    threads, results = torch.get_num_threads(), []
    try:
        for count in (1, 2, 5):
            torch.set_num_threads(count)
            output, _ = patch_attention(*inputs, aggregate=True, iterations=2)
            results.append((output, *torch.autograd.grad(output.square().sum(), inputs)))
    finally:
        torch.set_num_threads(threads)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


@pytest.mark.parametrize("heads", [1, 3])
def test_layer_projects_splits_and_joins(heads):
    torch.manual_seed(0)
    layer = PatchAttention(6, heads=heads, context_channels=4, similarity="dot", patch_size=1)
    x, context = smooth(2, 6, 9, 8), smooth(2, 4, 7, 9, seed=1)
    output = layer(x, context)
    q, k, v = (
        F.conv2d(maps, projection.weight[..., None], projection.bias)
        for projection, maps in ((layer.to_q, x), (layer.to_k, context), (layer.to_v, context))
    )
    parts = []
    for head in range(heads):
        own = slice(head * 6 // heads, (head + 1) * 6 // heads)
        settings = dict(similarity="dot", patch_size=1, temperature=(6 / heads) ** 0.5)
        parts.append(patch_attention(q[:, own], k[:, own], v[:, own], **settings)[0])
    true = F.conv2d(torch.cat(parts, 1), layer.to_output.weight[..., None], layer.to_output.bias)
    torch.testing.assert_close(output, true)
    assert layer.field.positions.shape[:2] == (2 * heads, 3)


def test_layer_learns():
    torch.manual_seed(0)
    layer = PatchAttention(4, heads=2)
    x, wanted = smooth(1, 4, 12, 12), smooth(1, 4, 12, 12, seed=1)
    optimiser = torch.optim.Adam(layer.parameters(), lr=0.01)
    losses = []
    for _ in range(30):
        loss = (x + layer(x) - wanted).square().mean()
        optimiser.zero_grad()
        loss.backward()
        assert all(p.grad.abs().sum() > 0 for n, p in layer.named_parameters() if n != "to_k.bias")
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]


def test_bare_layer_has_no_parameters_and_takes_clips_values_and_masks():
    layer = PatchAttention(heads=2, neighbours=2)
    assert not list(layer.parameters()) and not layer.state_dict()
    clip = noise(1, 4, 4, 6, 7, dtype=torch.float32)
    values = noise(1, 2, 4, 6, 7, seed=1, dtype=torch.float32)
    mask = torch.zeros(1, 1, 4, 6, 7)
    mask[:, :, :2, 2:4, 5:] = 1
    output = layer(clip, values=values, mask=mask)
    folded = [t.unflatten(1, (2, -1)).flatten(0, 1) for t in (clip, clip, values)]
    true, _ = patch_attention(*folded, neighbours=2, mask=mask)
    torch.testing.assert_close(output.flatten(), true.flatten())


def test_warm_layer_starts_from_its_last_field_where_it_fits():
    layer = PatchAttention(warm=True, iterations=1, neighbours=1, backend="eager")
    frame, other = smooth(1, 3, 24, 24), smooth(1, 3, 24, 24, seed=1)
    means = []
    for _ in range(3):
        layer(frame, other)
        means.append(float(layer.field.distances.mean()))
    assert means == sorted(means, reverse=True) and means[-1] < means[0]
    assert layer(frame[..., :15], other[..., :18]).shape == (1, 3, 24, 15)
    field = layer.field
    assert isinstance(copy.deepcopy(layer).field, Field)
    layer(frame[..., :15], other[..., :18], field=field)
    assert (layer.field.distances <= field.distances).all()


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: PatchAttention(6, heads=4), "6 channels cannot be split among 4 heads"),
        (lambda: PatchAttention(heads=2)(noise(1, 3, 5, 5)), "3 channels cannot be split among 2"),
        (lambda: PatchAttention(context_channels=3), "context_channels has no meaning"),
    ],
)
def test_bad_layers_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


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
        (dict(k=noise(1, 3, 5, 7), v=noise(1, 1, 5, 7), mask=torch.ones(1, 1, 5, 7)), "nothing"),
        (dict(k=noise(1, 3, 5, 7), v=noise(1, 1, 5, 7), mask=torch.ones(1, 5, 7)), "mask has"),
    ],
)
def test_bad_input_is_named(change, message):
    q, k, v = maps(SIZES["2-D"], dtype=torch.float32)
    given = {"q": q, "k": k, "v": v, **change}
    with pytest.raises(ValueError, match=message):
        patch_attention(given.pop("q"), given.pop("k"), given.pop("v"), **given)
