"""PSAL Patch: its answer where that is known, and everything that it leaves as it was."""

import gc
import weakref

import pytest
import small_models as small
import torch

from internal_methods.methods import attention_swap
from internal_methods.nodes.attention import PSALPatch, PSALReport

SETTINGS = {
    "neighbours": 31,
    "patch_size": 1,
    "iterations": 5,
    "temperature": 1.0,
    "aggregate": False,
    "tail": "none",
    "blocks": "all",
    "start_percent": 0.0,
    "end_percent": 1.0,
    "minimum_tokens": 1,
    "reuse": True,
    "mode": "always",
    "tolerance": 0.05,
    "seed": 0,
}
ALL_KEYS = (6, 4)  # latents so small that 31 neighbours are all keys


def patched(model, **settings):
    return PSALPatch.execute(model, **SETTINGS | settings).args[0]


def noise(size=(16, 12), seed=1, batch=1):
    return torch.randn(batch, 16, *size, generator=torch.Generator().manual_seed(seed))


def text(seed, tokens=7):
    return torch.randn(1, tokens, 24, generator=torch.Generator().manual_seed(seed))


def sampled(model, size=(16, 12), **more):
    return small.sample(model, noise(size), text(2), text(3), **more)


def report(model) -> str:
    return PSALReport.execute(model, {"samples": None}).args[0]


@pytest.fixture(params=[small.unet, small.transformer], ids=["unet", "transformer"])
def model(request):
    return request.param()


@pytest.mark.parametrize(("mode", "tail"), [("always", "none"), ("auto", "pooled")])
def test_with_all_keys_it_is_the_models_own_attention(model, mode, tail):
    small_map = patched(model, mode=mode, tolerance=1e-3, tail=tail)
    got, expected = sampled(small_map, ALL_KEYS), sampled(model, ALL_KEYS)
    torch.testing.assert_close(got, expected, rtol=1e-3, atol=1e-3)
    assert "PSAL ran in 6 of 6" in report(small_map) or "PSAL ran in 3 of 3" in report(small_map)


def test_with_few_keys_it_is_not(model):
    few = patched(model, neighbours=1)
    assert not torch.allclose(sampled(few), sampled(model), atol=1e-2)


def test_the_tail_brings_it_nearer(model):
    """The attention of random weights is spread out: few keys alone are far from it."""
    expected = sampled(model)
    distance = {
        tail: float((sampled(patched(model, neighbours=8, tail=tail)) - expected).norm())
        for tail in ("none", "pooled")
    }
    assert distance["pooled"] < 0.5 * distance["none"], distance


def test_temperature_is_a_factor_on_the_models_own(model):
    """Twice the temperature with all keys is dense attention with halved queries."""

    def halved(func, q, k, v, heads, *args, **kwargs):
        picture = 0 if q.shape[-2] == k.shape[-2] else 1  # not the text's attention
        return func(q if picture else q * 0.5, k, v, heads, *args, **kwargs)

    unet = small.unet()
    dense = unet.clone()
    dense.model_options["transformer_options"]["optimized_attention_override"] = halved
    got = sampled(patched(unet, temperature=2.0), ALL_KEYS)
    torch.testing.assert_close(got, sampled(dense, ALL_KEYS), rtol=1e-3, atol=1e-3)
    assert not torch.allclose(got, sampled(unet, ALL_KEYS), atol=1e-2)


def test_the_original_and_the_noise_stay_as_they_are(model):
    torch.manual_seed(5)
    state, before = torch.get_rng_state(), sampled(model)
    changed = patched(model, neighbours=2)
    first = sampled(changed)
    assert torch.equal(torch.get_rng_state(), state), "the sampler's noise is drawn from there"
    assert torch.equal(sampled(model), before)
    assert model.model_options == {"transformer_options": {}}
    assert not model.callbacks and not model.wrappers and not model.attachments
    assert torch.equal(sampled(changed), first), "nor does a run depend on the one before"
    assert torch.equal(sampled(changed.clone().clone()), first)


def test_another_seed_is_another_search(model):
    changed = [sampled(patched(model, neighbours=2, iterations=1, seed=seed)) for seed in (0, 1)]
    assert not torch.equal(*changed)


@pytest.mark.parametrize("kind", [small.unet, small.transformer])
def test_conditions_share_the_field(kind):
    """The same text as positive and negative, at any place in the batch, gives the same output."""
    changed = patched(kind(), neighbours=2, iterations=1, reuse=False)
    told = []

    def look(x):
        told.append(x)
        return x

    inner = changed.model._apply_model
    changed.model._apply_model = lambda *args, **kwargs: look(inner(*args, **kwargs))
    small.sample(changed, noise(), text(2), text(2))
    for both in told:
        assert torch.equal(*both.chunk(2))


def test_a_patch_on_a_patch_and_the_other_way_round(model):
    """With all keys each is the model's own attention, so that any order of the two must be."""
    expected = sampled(model, ALL_KEYS)
    once = patched(model, mode="auto", tolerance=1e-3)
    for both in (patched(once, neighbours=29), patched(patched(model, neighbours=29), seed=3)):
        torch.testing.assert_close(sampled(both, ALL_KEYS), expected, rtol=1e-3, atol=1e-3)
        assert report(both).startswith("PSAL ran in no block.")  # to the first
        assert "PSAL ran in" in report(both)


def test_a_later_patch_that_declines_leaves_the_earlier_one():
    first = patched(small.unet(), neighbours=2)
    second = patched(first, minimum_tokens=10**6)
    assert torch.equal(sampled(second), sampled(first))
    assert "fewer than 1000000 tokens" in report(second)


def test_only_the_blocks_that_are_named():
    unet = small.unet()
    some = patched(unet, neighbours=2, blocks="input 3; output 0-1")
    sampled(some)
    lines = report(some).splitlines()
    assert [line[:8].strip() for line in lines[1:-1]] == ["input 3", "output 0", "output 1"]
    other = patched(small.transformer(), neighbours=2, blocks="0, 2")
    sampled(other)
    assert [line[:7] for line in report(other).splitlines()[1:-1]] == ["block 0", "block 2"]


def test_only_the_steps_that_are_asked_for():
    unet = small.unet()
    late = patched(unet, neighbours=2, start_percent=0.5)
    sampled(late)
    inside = sum(sigma <= small.percent_to_sigma(0.5) for sigma in small.STEPS[:-1])
    assert 0 < inside < 4
    assert f"{6 * inside} of {6 * inside} calls" in report(late)
    never = patched(unet, neighbours=2, start_percent=1.0)
    assert torch.equal(sampled(never), sampled(unet))


def test_auto_keeps_what_is_too_far_and_says_so(model):
    far = patched(model, neighbours=1, mode="auto", tolerance=1e-3)
    torch.testing.assert_close(sampled(far), sampled(model))
    assert "PSAL ran in 0 of" in report(far)
    near = patched(model, neighbours=1, mode="auto", tolerance=10.0)
    assert torch.equal(sampled(near), sampled(patched(model, neighbours=1)))
    assert "calls" in report(near) and "%" in report(near)


def test_auto_decides_block_by_block():
    """A UNet with one attention so sharp that a single key is all of it."""
    unet = small.unet()
    unet.model.diffusion_model.input_blocks[3][0].transformer_blocks[0].attn1.to_q.weight *= 1000
    mixed = patched(unet, neighbours=31, iterations=20, mode="auto", tolerance=0.02)
    sampled(mixed)
    told = {line[:9].strip(): line.split()[-4:-2] for line in report(mixed).splitlines()[1:-1]}
    assert told["input 3"] == ["4", "0"], report(mixed)
    assert told["input 1"][0] == "0" and told["middle.0"][0] == "0", report(mixed)


def test_warm_starts_find_better_keys(monkeypatch):
    """With one pass a step: the mean logit of what was found, in the last of four steps. Patches,
    as single tokens are found through cells whatever the step before found."""
    logits, inner = {}, attention_swap.attend

    def attend(*args, **settings):
        output, log_sum, field = inner(*args, **settings)
        logits[reuse] = -float(field.distances.mean())
        return output, log_sum, field

    monkeypatch.setattr(attention_swap, "attend", attend)
    for reuse in (False, True):
        changed = patched(
            small.transformer(), neighbours=8, patch_size=3, iterations=1, reuse=reuse
        )
        small.sample(changed, noise((32, 32)), text(2), text(3), steps=[1.0, 0.99, 0.98, 0.97, 0])
    assert logits[True] > logits[False] * 1.05, logits


def test_nothing_is_kept_after_a_run(model, monkeypatch):
    seen, inner, small_field = [], attention_swap.attend, attention_swap._small

    def attend(q, *args, **kwargs):
        output, log_sum, field = inner(q, *args, **kwargs)
        seen.extend(weakref.ref(t) for t in (q, output, field.positions))
        return output, log_sum, field

    def carried(found):
        field = small_field(found)
        seen.append(weakref.ref(field.positions))
        return field

    monkeypatch.setattr(attention_swap, "attend", attend)
    monkeypatch.setattr(attention_swap, "_small", carried)
    changed = patched(model)
    sampled(changed)
    gc.collect()
    assert seen and not any(reference() is not None for reference in seen)


def test_half_precision(model):
    half = model.clone()
    half.model.diffusion_model.bfloat16()
    positive, negative = text(2).bfloat16(), text(3).bfloat16()
    start = noise(ALL_KEYS)
    expected = small.sample(half, start, positive, negative)
    got = small.sample(patched(half), start, positive, negative)
    assert (got - expected).norm() < 0.05 * expected.norm()


def test_activations_that_are_not_finite_stay_dense(caplog):
    unet = small.unet()
    unet.model.diffusion_model.input_blocks[3][0].transformer_blocks[0].attn1.to_k.weight[0] = (
        torch.inf
    )
    with caplog.at_level("INFO"):
        assert torch.equal(sampled(patched(unet)).isnan(), sampled(unet).isnan())
    told = [record.getMessage() for record in caplog.records if "finite" in record.getMessage()]
    assert told[0] == "PSAL Patch: input 3 stays as it is: its activations are not all finite"


def test_a_patch_larger_than_the_map_is_declined():
    big = patched(small.unet(), patch_size=7)
    assert sampled(big).isfinite().all()
    assert "a patch of 7 does not fit 8x6 tokens" in report(big)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"start_percent": 0.6, "end_percent": 0.4}, "start_percent 0.6 is after end_percent 0.4"),
        ({"blocks": "input 2"}, "no attention at input 2; it has some at input 1,3; middle"),
        ({"blocks": "0-3"}, "no attention at number 0"),
        ({"blocks": "input"}, "input has no number"),
        ({"blocks": "input 3-1"}, "runs backwards"),
        ({"blocks": "inputs 1"}, "'inputs' is not understood"),
        ({"temperature": 0.0}, "temperature must be positive"),
        ({"aggregate": True, "tail": "pooled", "patch_size": 3}, "aggregate allows no tail"),
        ({"patch_size": 4}, "not an odd number"),
    ],
)
def test_settings_that_cannot_be(settings, told):
    with pytest.raises(ValueError, match=told):
        patched(small.unet(), **settings)


def test_blocks_of_a_transformer_have_numbers_alone():
    with pytest.raises(ValueError, match="this model is no UNet"):
        patched(small.transformer(), blocks="input 1")


def test_a_report_needs_a_patch():
    with pytest.raises(ValueError, match="no PSAL Patch"):
        PSALReport.execute(small.unet(), {})


def test_aggregation_and_patches_run(model):
    for settings in ({"patch_size": 3}, {"patch_size": 3, "aggregate": True}):
        changed = patched(model, neighbours=3, **settings)
        assert sampled(changed).isfinite().all()
        assert "PSAL ran in 0" not in report(changed)
