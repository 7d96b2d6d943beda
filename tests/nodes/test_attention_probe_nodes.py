"""The nodes that look at a model's attention and change its temperature, on small models."""

import math

import pytest
import small_models as small
import torch
from torch.nn.functional import scaled_dot_product_attention

from internal_methods.nodes.attention_probe import (
    AttentionProbe,
    AttentionReport,
    AttentionTemperature,
)

SIZE = (16, 12)
UNET_BLOCKS = ["input 1", "input 3", "middle.0", "middle.1", "output 0", "output 1"]


def noise(*shape, seed=1):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def sampled(model, seed=1, steps=small.STEPS):
    texts = noise(1, 7, 24, seed=2), noise(1, 7, 24, seed=3)
    return small.sample(model, noise(1, 16, *SIZE, seed=seed), *texts, steps=steps)


def probed(model, **changes):
    settings = {"neighbours": 3, "patch_size": 1, "iterations": 2, "tail": "none"}
    settings |= {"blocks": "all", "windows": 2, "samples": 16, "seed": 0}
    return AttentionProbe.execute(model, **(settings | changes)).args[0]


def report(model, latent, tolerance=0.1):
    return AttentionReport.execute(model, {"samples": latent}, tolerance).args


@pytest.mark.parametrize("kind", [small.unet, small.transformer])
def test_a_probe_only_looks(kind):
    model = kind()
    before, state = sampled(model), torch.get_rng_state()
    looked_at = probed(model)
    assert torch.equal(sampled(looked_at), before)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(sampled(model), before)
    assert model.model_options == {"transformer_options": {}}
    assert not model.callbacks and not model.wrappers and not model.attachments


def test_the_report_has_every_block_of_a_unet():
    looked_at = probed(small.unet())
    text, rows, picture = report(looked_at, sampled(looked_at))
    found = {(row.method, row.image, row.metric): row.value for row in rows}
    for block in UNET_BLOCKS:
        for window in ("0-50 %", "50-100 %"):
            tokens = math.prod(SIZE) if block in ("input 1", "output 1") else math.prod(SIZE) // 4
            assert found[block, window, "tokens"] == tokens
            assert 0 < found[block, window, "entropy"] <= math.log(tokens) + 1e-4
            assert found[block, window, "error"] >= 0
        assert f"\n{block}: " in text
    assert picture.shape[0] == 1 and picture.shape[3] == 3


def test_the_report_of_a_transformer_says_what_it_leaves_out():
    looked_at = probed(small.transformer())
    text, rows, _ = report(looked_at, sampled(looked_at))
    assert {row.method for row in rows} == {"block 0", "block 1", "block 2"}
    assert "text's tokens" in text


def test_the_entropy_is_that_of_the_models_own_attention():
    """Against the weights of all queries, from q and k as the model computes them."""
    seen = []

    def keep(q, k, v, extra):
        heads = extra["n_heads"]
        each = (t.unflatten(-1, (heads, -1)).transpose(1, 2) for t in (q, k))
        queries, keys = each
        weight = (queries @ keys.transpose(2, 3) / math.sqrt(q.shape[-1] / heads)).softmax(-1)
        seen.append(float(torch.special.entr(weight).sum(-1).mean()))
        return small.attention(q, k, v, heads)

    model = small.unet()
    model.set_model_attn1_replace(keep, "input", 1)
    looked_at = probed(model, windows=1, samples=2 * math.prod(SIZE), blocks="input 1")
    _, rows, _ = report(looked_at, sampled(looked_at))
    [entropy] = [row.value for row in rows if row.metric == "entropy"]
    assert entropy == pytest.approx(seen[0], abs=0.02)  # every query and one neighbour of each


def test_blocks_can_be_chosen():
    looked_at = probed(small.unet(), blocks="middle; output 1")
    _, rows, _ = report(looked_at, sampled(looked_at))
    assert {row.method for row in rows} == {"middle.0", "middle.1", "output 1"}
    with pytest.raises(ValueError, match="input 9"):
        probed(small.unet(), blocks="input 9")


def test_a_cached_probe_tells_of_the_run_that_made_the_latent():
    """ComfyUI runs the probe node once and keeps it: what was measured must still be found."""
    looked_at = probed(small.unet(), blocks="input 1", windows=1)
    first, second = sampled(looked_at, seed=1), sampled(looked_at, seed=5)

    def entropy(latent):
        return [row.value for row in report(looked_at, latent)[1] if row.metric == "entropy"]

    assert entropy(first) != entropy(second)
    assert entropy(first) == entropy(first.clone())
    strict = report(looked_at, first, tolerance=0.001)[0]
    assert strict != report(looked_at, first, tolerance=9.0)[0]


def test_a_probe_looks_through_a_clone():
    looked_at = probed(small.unet()).clone()
    assert report(looked_at, sampled(looked_at))[1]


def test_what_stands_behind_the_probe_is_measured():
    """A flatter attention behind it has more effective keys; one before it is not seen."""

    def keys(change_first, factor):
        model = small.unet()
        if change_first:
            model = temperature(model, factor)
        model = looked_at = probed(model, blocks="input 1", windows=1)
        if not change_first:
            model = temperature(model, factor)
        [_, rows, _] = report(looked_at, sampled(model, steps=[14.6, 5.0]))
        return next(row.value for row in rows if row.metric == "effective_keys")

    assert keys(False, 0.1) < keys(False, 1.0) - 1
    assert keys(True, 0.1) == keys(True, 1.0)


def test_a_report_needs_a_probe_and_a_run():
    with pytest.raises(ValueError, match="no Attention Probe"):
        report(small.unet(), noise(1))
    with pytest.raises(ValueError, match="nothing was measured"):
        report(probed(small.unet()), noise(1))


def temperature(model, factor, attention="self", blocks="all", start=0.0, end=1.0):
    return AttentionTemperature.execute(model, factor, attention, blocks, start, end).args[0]


@pytest.mark.parametrize("attention", ["self", "cross", "both"])
def test_a_factor_of_one_changes_nothing(attention):
    model = small.unet()
    before = sampled(model)
    changed = temperature(model, 1.0, attention)
    assert torch.equal(sampled(changed), before)
    assert model.model_options == {"transformer_options": {}}


def test_the_temperature_is_multiplied():
    """Against attention that is computed with another scale."""

    def scaled(q, k, v, extra):
        heads = extra["n_heads"]
        split = [t.unflatten(-1, (heads, -1)).transpose(1, 2) for t in (q, k, v)]
        scale = 1 / (3 * math.sqrt(q.shape[-1] / heads))
        return scaled_dot_product_attention(*split, scale=scale).transpose(1, 2).flatten(2)

    direct = small.unet()
    for part, number in [("input", 1), ("input", 3)]:
        direct.set_model_attn1_replace(scaled, part, number)
    changed = temperature(small.unet(), 3.0, blocks="input 1,3")
    torch.testing.assert_close(sampled(changed), sampled(direct), rtol=1e-4, atol=1e-4)
    assert not torch.allclose(sampled(changed), sampled(small.unet()), atol=1e-2)


def test_cross_attention_is_multiplied():
    """Against a model whose query projections are divided."""
    direct = small.unet()
    for block in direct.model.diffusion_model.modules():
        if isinstance(block, small.Block):
            block.attn2.to_q.weight.data /= 5
    changed = temperature(small.unet(), 5.0, "cross")
    torch.testing.assert_close(sampled(changed), sampled(direct), rtol=1e-4, atol=1e-4)
    assert not torch.allclose(sampled(changed), sampled(small.unet()), atol=1e-2)


def test_the_temperature_changes_within_its_part_of_the_run():
    model, part = small.unet(), temperature(small.unet(), 8.0, "both", start=0.5)
    assert torch.equal(sampled(part, steps=[14.6, 5.0]), sampled(model, steps=[14.6, 5.0]))
    assert not torch.allclose(sampled(part), sampled(model), atol=1e-2)


def test_a_transformer_s_temperature():
    model = small.transformer()
    assert not torch.allclose(sampled(temperature(model, 8.0)), sampled(model), atol=1e-3)
    with pytest.raises(ValueError, match="UNets alone"):
        temperature(model, 2.0, "cross")


def test_senseless_settings_are_refused():
    with pytest.raises(ValueError, match="start_percent 0.8 is after"):
        temperature(small.unet(), 2.0, start=0.8, end=0.3)
    with pytest.raises(ValueError, match="factor 0"):
        temperature(small.unet(), 0.0)
