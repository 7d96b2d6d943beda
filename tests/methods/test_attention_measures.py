"""What is measured of attention, against loops that spell it out."""

import math

import pytest
import torch

from internal_methods.methods import Field
from internal_methods.methods import attention_measures as measures


def noise(*shape, seed=0, dtype=torch.float32):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def heads(*size, channels=5, batch=2):
    return [noise(batch, channels, *size, seed=seed) for seed in range(3)]


@pytest.mark.parametrize("size", [(4, 5), (2, 3, 4)])
@pytest.mark.parametrize("rows", [1 << 24, 7])
def test_dense_attention_at_queries(size, rows, monkeypatch):
    monkeypatch.setattr(measures, "ROWS", rows)
    q, k, v = heads(*size)
    queries, temperature, count = torch.tensor([3, 0, 11]), 0.7, 4
    got = measures.dense_attention_at(q, k, v, queries, temperature=temperature, neighbours=count)
    keys = range(math.prod(size))
    for batch in range(2):
        for place, query in enumerate(queries.tolist()):
            row, columns = q[batch].flatten(1)[:, query].double(), k[batch].flatten(1).double()
            values = v[batch].flatten(1).double()
            logits = [float(row @ columns[:, key]) / temperature for key in keys]
            total = sum(math.exp(logit) for logit in logits)
            weights = [math.exp(logit) / total for logit in logits]
            best = sorted(keys, key=lambda key: -weights[key])[:count]
            held = sum(weights[key] for key in best)
            output = sum(weights[key] * values[:, key] for key in keys)
            inner = sum(weights[key] / held * values[:, key] for key in best)
            assert got.top[batch, place].tolist() == best
            assert float(got.mass[batch, place]) == pytest.approx(held, rel=1e-5)
            assert float(got.log_sum[batch, place]) == pytest.approx(math.log(total), rel=1e-5)
            entropy = -sum(w * math.log(w) for w in weights)
            assert float(got.entropy[batch, place]) == pytest.approx(entropy, rel=1e-5)
            torch.testing.assert_close(
                got.output[batch, place].double(), output, rtol=1e-4, atol=1e-5
            )
            torch.testing.assert_close(
                got.top_output[batch, place].double(), inner, rtol=1e-4, atol=1e-5
            )


def test_the_limits_of_the_entropy():
    """Equal logits: all keys share the weight. Very unequal ones: one key has it."""
    q, k, v = heads(4, 4)
    queries = torch.arange(16)
    flat = measures.dense_attention_at(q * 0, k, v, queries, temperature=1, neighbours=4)
    sharp = measures.dense_attention_at(q, k, v, queries, temperature=1e-4, neighbours=4)
    torch.testing.assert_close(flat.entropy.exp(), torch.full((2, 16), 16.0))
    torch.testing.assert_close(flat.mass, torch.full((2, 16), 0.25))
    assert sharp.entropy.abs().max() < 1e-3 and sharp.mass.min() > 0.999


def test_half_precision_is_measured_in_single():
    q, k, v = (each.bfloat16() for each in heads(6, 6))
    queries = torch.arange(36)
    half = measures.dense_attention_at(q, k, v, queries, temperature=1, neighbours=3)
    full = measures.dense_attention_at(
        q.float(), k.float(), v.float(), queries, temperature=1, neighbours=3
    )
    assert torch.equal(half.output, full.output)


def test_queries_come_in_pairs_of_neighbours():
    for size in [(5, 7), (1, 9), (3, 4, 5)]:
        pairs = measures.neighbouring_queries(size, 40, seed=3)
        apart = (coordinates(pairs[:, 0], size) - coordinates(pairs[:, 1], size)).abs()
        assert (apart.sum(1) == 1).all()
        assert pairs.min() >= 0 and pairs.max() < math.prod(size)
        assert pairs[:, 0].unique().numel() == min(20, math.prod(size))
        assert torch.equal(pairs, measures.neighbouring_queries(size, 40, seed=3))
    assert measures.neighbouring_queries((1, 1), 8, seed=0).tolist() == [[0, 0]]


def coordinates(index, size):
    return torch.stack(torch.unravel_index(index, size), -1)


def test_relative_error_and_its_limits():
    truth = torch.tensor([3.0, 4.0])
    assert measures.relative_error(truth + torch.tensor([0.0, 1.0]), truth) == pytest.approx(0.2)
    assert measures.relative_error(truth, truth * 0) == math.inf
    assert measures.relative_error(truth * 0, truth * 0) == 0


def field_of(positions, source_size):
    """(B, k, D, *size) as a Field."""
    distances = torch.zeros(*positions.shape[:2], *positions.shape[3:])
    distances[positions[:, :, 0] < 0] = math.inf
    wraps = (False,) * len(source_size)
    return Field(positions.int(), distances, 1, source_size, wraps, wraps).validate()


def random_field(*size, batch=2, neighbours=3, holes=True):
    """Neighbours without repetition, some missing."""
    total = math.prod(size)
    order = noise(batch, *size, total, seed=5).argsort(-1)[..., :neighbours]
    index = order.movedim(-1, 1)
    positions = torch.stack(torch.unravel_index(index, size), 2)
    if holes:
        positions[:, -1:] = torch.where(noise(batch, 1, 1, *size) > 1, -1, positions[:, -1:])
    return field_of(positions, size)


@pytest.mark.parametrize("size", [(3, 4), (2, 3, 3)])
def test_coherence_of_a_field(size):
    """Set by set, over all pairs of neighbouring queries."""
    field = random_field(*size, neighbours=4)
    common = pairs = 0
    places = [tuple(c.tolist()) for c in coordinates(torch.arange(math.prod(size)), size)]
    for batch in range(2):
        shifts = {}
        for place in places:
            found = field.positions[(batch, slice(None), slice(None), *place)].tolist()
            shifts[place] = {
                tuple(a - b for a, b in zip(match, place, strict=True))
                for match in found
                if match[0] >= 0
            }
        for place in places:
            for axis in range(len(size)):
                beside = tuple(c + (i == axis) for i, c in enumerate(place))
                if beside in shifts:
                    common += len(shifts[place] & shifts[beside])
                    pairs += 4
    assert 0 < common < pairs
    assert measures.coherence(field) == pytest.approx(common / pairs)


def test_coherence_of_one_shift_and_of_one_query():
    where = coordinates(torch.arange(12), (3, 4)).T.view(1, 1, 2, 3, 4)
    assert measures.coherence(field_of(where + 1, (5, 6))) == 1
    assert math.isnan(measures.coherence(field_of(where[..., :1, :1], (5, 6))))


def test_coherence_of_exact_keys_is_that_of_the_field():
    """With every pair of neighbours, both ways to count agree."""
    size = (4, 5)
    field = random_field(*size, neighbours=6, holes=False)
    index = torch.arange(20).view(size)
    pairs = torch.cat(
        [
            torch.stack((index[:-1].flatten(), index[1:].flatten()), 1),
            torch.stack((index[:, :-1].flatten(), index[:, 1:].flatten()), 1),
        ]
    )
    top = measures.linear(field)[:, :, pairs.flatten()].transpose(1, 2)
    got = measures.coherence_of_pairs(top, pairs, size)
    assert got == pytest.approx(measures.coherence(field))


def test_reached_keys():
    field = random_field(4, 5, neighbours=2)
    share = 0
    for batch in range(2):
        matches = field.positions[batch].movedim(1, -1).flatten(0, -2).tolist()
        share += len({tuple(match) for match in matches if match[0] >= 0}) / 20
    assert measures.reached_keys(field) == pytest.approx(share / 2)
    assert 0 < share / 2 < 1


def test_a_missing_match_reaches_no_key():
    positions = torch.full((1, 2, 2, 4, 5), -1)
    positions[0, 0, :, 1, 1] = torch.tensor([2, 3])
    assert measures.reached_keys(field_of(positions, (4, 5))) == pytest.approx(1 / 20)


def test_found_mass():
    """All keys found: all of the weight. The exact best ones: theirs. Missing ones: nothing."""
    q, k, v = heads(4, 5)
    pairs = measures.neighbouring_queries((4, 5), 10, seed=0)
    dense = measures.dense_attention_at(q, k, v, pairs.flatten(), temperature=2, neighbours=3)
    everything = random_field(4, 5, neighbours=20, holes=False)
    got = measures.found_mass(q, k, everything, dense, 2)
    torch.testing.assert_close(got, torch.ones(2, 10))
    index = torch.zeros(2, 3, 20, dtype=torch.int64)
    index[:, :, pairs.flatten()] = dense.top.transpose(1, 2)
    best = torch.stack(torch.unravel_index(index.view(2, 3, 4, 5), (4, 5)), 2)
    torch.testing.assert_close(
        measures.found_mass(q, k, field_of(best, (4, 5)), dense, 2), dense.mass
    )
    none = field_of(torch.full_like(best, -1), (4, 5))
    assert not measures.found_mass(q, k, none, dense, 2).any()


def smooth(*shape, seed):
    """Features that vary slowly, as those of pictures do."""
    coarse = noise(shape[0], shape[1], *(side // 4 for side in shape[2:]), seed=seed)
    return torch.nn.functional.interpolate(coarse, shape[2:], mode="bilinear")


def test_measure_sees_the_regime():
    """Sharp attention: few keys, small error. Flat attention: many keys, large error, which more
    neighbours and a better search cannot mend."""
    q, v = smooth(1, 8, 24, 24, seed=1), noise(1, 8, 24, 24)
    sharp, flat = (
        measures.measure(q, q, v, temperature=t, neighbours=7, tail=None, samples=64)
        for t in (0.01, 100.0)
    )
    assert sharp.tokens == sharp.keys == 576 and sharp.neighbours == 7
    assert sharp.effective_keys < 3 and flat.effective_keys > 500
    assert sharp.top_mass > 0.95 > 0.05 > flat.top_mass
    assert sharp.found_mass <= sharp.top_mass + 1e-5
    assert sharp.error_top < 0.1 and flat.error_top > 1
    assert flat.error > 1 > sharp.error >= sharp.error_top
    assert math.isnan(flat.error_tail)
    assert 0 < sharp.coherence <= 1 and 0 < sharp.reached <= 1
    assert sharp.dense_seconds > 0 and sharp.patch_seconds > 0


def test_measure_sees_what_the_tail_mends():
    q, v = smooth(1, 8, 24, 24, seed=1), smooth(1, 8, 24, 24, seed=2)
    got = measures.measure(q, q, v, temperature=10.0, neighbours=7, samples=64)
    assert got.error_tail < 0.5 * got.error and got.tail_seconds > 0
    bare = measures.measure(q, q, v, temperature=10.0, patch_size=3, aggregate=True, samples=64)
    assert math.isnan(bare.error_tail) and bare.error > 0


def test_measure_is_the_same_each_time_and_writes_nowhere():
    q, k, v = heads(8, 8)
    before = [each.clone() for each in (q, k, v)]
    state = torch.get_rng_state()
    one, two = (
        measures.measure(q, k, v, temperature=1, neighbours=3, tail=None, samples=16, seed=4)
        for _ in range(2)
    )
    same = {n: value for n, value in vars(one).items() if "seconds" not in n and "tail" not in n}
    assert same.items() <= vars(two).items()
    assert all(torch.equal(a, b) for a, b in zip((q, k, v), before, strict=True))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_measured_throughout(dtype):
    half = [each.to(dtype) for each in heads(8, 8)]
    settings = {"temperature": 0.5, "neighbours": 5, "tail": None, "samples": 32}
    got, full = (
        measures.measure(*tensors, **settings) for tensors in (half, [t.float() for t in half])
    )
    assert got.entropy == full.entropy and got.found_mass == pytest.approx(full.found_mass)
    assert got.error == pytest.approx(full.error, abs=0.01)


def test_all_keys_leave_no_error():
    """At the model's own temperature, in 2-D and in 3-D."""
    for size in [(4, 5), (2, 3, 4)]:
        q, k, v = heads(*size)
        keys = math.prod(size)
        settings = {"neighbours": keys, "tail": None, "iterations": 20}
        got = measures.measure(q, k, v, temperature=2, **settings)
        assert got.top_mass == pytest.approx(1) and got.error_top < 1e-5
        assert got.found_mass == pytest.approx(1, abs=1e-3) and got.error < 1e-2


def test_logits_of_patches_are_means(monkeypatch):
    """A patch of equal tokens attends to others as one of its tokens does."""
    asked, real = [], measures.patch_attention

    def watched(*tensors, **settings):
        asked.append(settings["temperature"])
        return real(*tensors, **settings)

    monkeypatch.setattr(measures, "patch_attention", watched)
    for size in [(5, 5), (3, 4, 5)]:
        settings = {"neighbours": 2, "patch_size": 3, "tail": None, "samples": 4}
        measures.measure(*heads(*size), temperature=2, **settings)
    assert set(asked) == {2 * 9, 2 * 27}


def test_means_leave_out_what_is_missing():
    q, k, v = heads(4, 4)
    one = measures.measure(q, k, v, temperature=1, neighbours=2, tail=None)
    other = measures.Measures(**(vars(one) | {"error": one.error + 2, "error_tail": 0.5}))
    mean = measures.mean_of([one, other])
    assert mean.error == pytest.approx(one.error + 1) and mean.error_tail == 0.5
    assert math.isnan(measures.mean_of([one, one]).error_tail)


def test_tensors_that_do_not_fit_are_named():
    q, k, v = heads(4, 4)
    with pytest.raises(ValueError, match="q 2x5x4x4, k 2x5x4x3"):
        measures.measure(q, k[..., :3], v, temperature=1)
