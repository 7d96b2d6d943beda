"""The tail: against dense attention, by closed forms, by gradcheck, and across backends."""

import pytest
import torch
import torch.nn.functional as F

from internal_methods.backends import run
from internal_methods.methods import attention_cells, patch_attention, patchmatch
from internal_methods.methods.attention_cells import look
from reference.dense_attention import dense_attention


def attend_to_cells(queries, keys, values, found, *, known=None, backend="auto"):
    return look(queries, keys, known=known, backend=backend).attend(values, found, backend)


def noise(*shape, seed=0, dtype=torch.float32):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def error(output, truth):
    return float((output - truth).norm() / truth.norm())


def softmax_without(queries, keys, values, found, known=None):
    """Attention to all keys but the found ones, and its log-sum-exp, as matrices."""
    logits = queries @ keys.transpose(1, 2)
    lost = F.one_hot(found.clamp(min=0), keys.shape[1]) * (found >= 0)[..., None]
    logits = logits.masked_fill(lost.sum(2) > 0, -torch.inf)
    if known is not None:
        logits = logits.masked_fill(~known[:, None], -torch.inf)
    return logits.softmax(2).nan_to_num() @ values, logits.logsumexp(2)


def copies(count, times, channels, seed):
    """`count` different rows, each `times` times, mixed; cells of them are exact."""
    rows = noise(1, count, channels, seed=seed).repeat_interleave(times, 1)
    return rows[:, torch.randperm(count * times, generator=torch.Generator().manual_seed(9))]


@pytest.mark.parametrize("backend", ["cpu", "eager"])
def test_cells_of_equal_keys_are_exact(backend):
    keys, values = copies(128, 8, 5, 1), copies(128, 8, 3, 2)
    queries = noise(1, 300, 5, seed=3)
    found = (queries @ keys.transpose(1, 2)).topk(5).indices
    found[:, ::3, 2:] = -1
    output, log_sum = attend_to_cells(queries, keys, values, found, backend=backend)
    truth, sums = softmax_without(queries, keys, values, found)
    torch.testing.assert_close(output, truth, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(log_sum, sums, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("backend", ["cpu", "eager"])
def test_flat_attention_is_the_mean_of_the_rest(backend):
    keys, values, queries = noise(2, 501, 4), noise(2, 501, 3, seed=1), noise(2, 77, 4, seed=2)
    found = torch.arange(77)[None, :, None] + 6 * torch.arange(4)
    output, log_sum = attend_to_cells(
        queries * 1e-4, keys, values, found.expand(2, 77, 4), backend=backend
    )
    truth = (values.sum(1, keepdim=True) - values[:, found[0]].sum(2)) / 497
    torch.testing.assert_close(output, truth, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(log_sum, torch.full((2, 77), 497.0).log(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("backend", ["cpu", "eager"])
def test_unknown_keys_do_not_count(backend):
    keys, values = copies(64, 8, 5, 1), copies(64, 8, 3, 2)
    queries, known = noise(1, 50, 5, seed=3), noise(1, 64, 1, seed=4)
    known = (
        known.repeat_interleave(8, 1)[
            :, torch.randperm(512, generator=torch.Generator().manual_seed(9)), 0
        ]
        > 0
    )
    values = values.masked_fill(~known[..., None], 1e3)
    found = known.long().topk(2).indices[:, None].expand(1, 50, 2)
    output, log_sum = attend_to_cells(queries, keys, values, found, known=known, backend=backend)
    truth, sums = softmax_without(queries, keys, values, found, known)
    torch.testing.assert_close(output, truth, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(log_sum, sums, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("backend", ["cpu", "eager"])
def test_where_all_keys_are_found_nothing_is_left(backend):
    found = torch.arange(9).expand(1, 20, 9)
    output, log_sum = attend_to_cells(
        noise(1, 20, 3), noise(1, 9, 3), noise(1, 9, 2), found, backend=backend
    )
    assert (output == 0).all() and (log_sum == -torch.inf).all()


@pytest.mark.parametrize("backend", ["cpu", "eager"])
def test_search_among_all_leaves_is_exact(backend):
    keys, queries = noise(2, 250, 6), noise(2, 99, 6, seed=1)
    known = noise(2, 250, seed=2) > -1
    view = look(queries, keys, known=known, backend=backend)
    truth = (queries @ keys.transpose(1, 2)).masked_fill(~known[:, None], -torch.inf)
    found = view.nearest(7, probes=1000, backend=backend)
    assert torch.equal(found, truth.topk(7).indices)
    few = view.nearest(7, probes=1, backend=backend)
    assert ((few == -1) | known.gather(1, few.clamp(min=0).flatten(1)).view(few.shape)).all()


def test_single_tokens_are_found_where_patch_search_has_nothing_to_go_by():
    q, k = noise(1, 10, 48, 48), noise(1, 10, 48, 48, seed=1)
    exact, fast, alone = (
        field.positions[0, :3].flatten(2).permute(2, 0, 1)
        for field in (
            patch_attention(q, k, k, patch_size=1, similarity="dot", exact=True)[1],
            patch_attention(q, k, k, patch_size=1, similarity="dot", iterations=1)[1],
            patchmatch(q, k, patch_size=1, similarity="dot", neighbours=3),
        )
    )

    def recall(found):
        return (found[:, :, None] == exact[:, None]).all(3).any(2).float().mean()

    assert recall(fast) > 0.4 > 4 * recall(alone)


def test_search_fills_up_with_none():
    found = look(noise(1, 5, 3), noise(1, 4, 3, seed=1)).nearest(6, probes=8)
    assert (found.sort(2).values == torch.tensor([-1, -1, 0, 1, 2, 3])).all()


def test_backends_agree_on_the_same_cells(monkeypatch):
    compared = {"pooled_attention": [], "cell_search": []}

    def both(op, *args, backend, **kwargs):
        result = run(op, *args, backend="cpu", **kwargs)
        if op in compared:
            compared[op].append((result, run(op, *args, backend="eager", **kwargs)))
        return result

    monkeypatch.setattr(attention_cells, "run", both)
    keys, values, queries = noise(2, 1500, 7), noise(2, 1500, 21, seed=1), noise(2, 333, 7, seed=2)
    for scale in (0.1, 1, 4):
        view = look(queries * scale, keys)
        view.attend(values, view.nearest(6, probes=9))
    assert len(compared["pooled_attention"]) == len(compared["cell_search"]) == 3
    for ours, plain in compared["pooled_attention"]:
        torch.testing.assert_close(ours[0], plain[0], rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(ours[1], plain[1], rtol=1e-4, atol=1e-4)
    for ours, plain in compared["cell_search"]:
        assert (ours == plain).float().mean() > 0.999


def test_threads_do_not_matter():
    keys, values, queries = noise(2, 3000, 8), noise(2, 3000, 4, seed=1), noise(2, 999, 8, seed=2)
    found = torch.randint(0, 3000, (2, 999, 1), generator=torch.Generator().manual_seed(0))
    before, results = torch.get_num_threads(), []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            results.append(attend_to_cells(queries, keys, values, found)[0])
    finally:
        torch.set_num_threads(before)
    assert torch.equal(*results)


@pytest.mark.parametrize(
    "patch_size, size, key_size",
    [(1, (3, 5), (4, 7)), (3, (4, 3), (6, 7)), (1, (2, 2, 3), (2, 3, 4))],
)
@pytest.mark.parametrize("similarity", ["l2", "dot", "cosine"])
def test_gradients(similarity, patch_size, size, key_size):
    q, k, v = (
        noise(1, c, *s, seed=i, dtype=torch.float64).requires_grad_()
        for i, (c, s) in enumerate([(2, size), (2, key_size), (2, key_size)])
    )

    def attention(q, k, v):
        return patch_attention(
            q, k, v, patch_size=patch_size, neighbours=2, exact=True, similarity=similarity,
            temperature=3.0 if similarity != "cosine" else 0.3, tail="pooled",
        )[0]  # fmt: skip

    assert torch.autograd.gradcheck(attention, (q, k, v), atol=1e-6)


def smooth(channels, side, seed):
    """Features that vary slowly, as those of photographs do, with some noise."""
    coarse = noise(1, channels, 6, 6, seed=seed)
    return F.interpolate(coarse, (side, side), mode="bicubic") + 0.2 * noise(
        1, channels, side, side, seed=seed + 1
    )


@pytest.mark.parametrize("patch_size", [1, 3])
@pytest.mark.parametrize("similarity", ["l2", "dot", "cosine"])
def test_the_tail_brings_the_output_near_dense_attention(similarity, patch_size):
    q, k, v = smooth(12, 40, 0), smooth(12, 40, 0), smooth(8, 40, 5)
    for temperature in {"l2": (4, 16, 60), "dot": (3, 8, 30), "cosine": (0.1, 0.3, 1)}[similarity]:
        temperature *= patch_size**2 if similarity != "cosine" else 1
        how = dict(patch_size=patch_size, neighbours=15, exact=True, similarity=similarity)
        truth = dense_attention(q, k, v, patch_size, similarity, temperature)
        without, field = patch_attention(q, k, v, temperature=temperature, **how)
        output, _ = patch_attention(q, k, v, temperature=temperature, tail="pooled", **how)
        assert error(output, truth) < min(0.12, 0.25 * error(without, truth))


def test_half_types_and_inputs_are_left_alone():
    q, k, v = smooth(6, 20, 0), smooth(6, 20, 2), smooth(5, 20, 4)
    before = [t.clone() for t in (q, k, v)]
    how = dict(patch_size=1, tail="pooled", similarity="dot", temperature=6.0)
    full, _ = patch_attention(q, k, v, **how)
    assert all(torch.equal(a, b) for a, b in zip((q, k, v), before, strict=True))
    half, _ = patch_attention(*(t.bfloat16() for t in (q, k, v)), **how)
    assert half.dtype == torch.bfloat16
    assert error(half.float(), full) < 0.05


def test_masked():
    x, v = smooth(6, 24, 0), smooth(3, 24, 4)
    mask = torch.zeros(1, 1, 24, 24)
    mask[..., 8:14, 9:16] = 1
    v = torch.where(mask > 0.5, 1e3, v)
    output, _ = patch_attention(
        x, x, v, patch_size=3, tail="pooled", temperature=40.0, mask=mask, neighbours=5
    )
    assert torch.equal(output[mask.expand_as(v) == 0], v[mask.expand_as(v) == 0])
    assert output[mask.expand_as(v) > 0].abs().max() < 10


def test_refuses_aggregation():
    x = noise(1, 3, 8, 8)
    with pytest.raises(ValueError, match="use one of the two"):
        patch_attention(x, x, x, tail="pooled", aggregate=True)
    with pytest.raises(ValueError, match="'mean' is neither None nor 'pooled'"):
        patch_attention(x, x, x, tail="mean")
