"""Hooks on models' self-attention: what they are called with, and that nothing else changes."""

import pytest
import small_models as small
import torch
from torch.nn.functional import scaled_dot_product_attention

from internal_methods.nodes.model_attention import intercept, model_blocks

SIZE = (16, 12)


def noise(seed=1, channels=16, size=SIZE, batch=1):
    return torch.randn(batch, channels, *size, generator=torch.Generator().manual_seed(seed))


def text(seed, tokens=7):
    return torch.randn(1, tokens, 24, generator=torch.Generator().manual_seed(seed))


def sampled(model, **more):
    return small.sample(model, noise(), text(2), text(3), **more)


def exact(call):
    """Dense attention, out of the maps that a hook is given."""
    rows = [t.flatten(2).transpose(1, 2) for t in (call.q, call.k, call.v)]
    if call.text is None:
        out = scaled_dot_product_attention(*rows, scale=1 / call.temperature)
        return call.result(out.transpose(1, 2).reshape(call.v.shape))
    q, k, v = (torch.cat(pair, 1) for pair in zip(call.text, rows, strict=True))
    out = scaled_dot_product_attention(q, k, v, scale=1 / call.temperature)
    written = call.text[0].shape[1]
    picture = out[:, written:].transpose(1, 2).reshape(call.v.shape)
    return call.result(picture, out[:, :written])


def refuse(call):
    return None


@pytest.fixture(params=[small.unet, small.transformer], ids=["unet", "transformer"])
def model(request):
    return request.param()


@pytest.mark.parametrize("handle", [exact, refuse, lambda call: call.dense()])
def test_a_hook_that_changes_nothing_changes_nothing(model, handle):
    hooked, _ = intercept(model, "test", handle)
    torch.testing.assert_close(sampled(hooked), sampled(model), rtol=1e-4, atol=1e-4)


def test_a_hook_is_what_attends(model):
    hooked, _ = intercept(model, "test", lambda call: torch.zeros_like(call.dense()))
    assert not torch.allclose(sampled(hooked), sampled(model), atol=0.1)


def test_the_original_stays_as_it_is(model):
    before = sampled(model)
    hooked, _ = intercept(model, "test", lambda call: torch.zeros_like(call.dense()))
    sampled(hooked)
    assert model.model_options == {"transformer_options": {}}
    assert not model.callbacks and not model.wrappers
    assert torch.equal(sampled(model), before)


def test_blocks_of_a_unet():
    seen = {}

    def look(call):
        seen[str(call.block)] = (call.size, call.q.shape, call.conditions, call.temperature)

    hooked, run = intercept(small.unet(), "test", look)
    sampled(hooked)
    names = ["input 1", "input 3", "middle.0", "middle.1", "output 0", "output 1"]
    assert [str(block) for block in model_blocks(small.unet())] == sorted(names)
    assert list(seen) == [str(block) for block in run.seen] == names
    assert seen["input 1"] == (SIZE, (4, 16, *SIZE), (1, 0), 4.0)
    assert seen["middle.1"] == ((8, 6), (4, 16, 8, 6), (1, 0), 4.0)


def test_blocks_of_a_transformer():
    seen = {}

    def look(call):
        seen.setdefault(str(call.block), []).append((call.size, call.q.shape, call.text[0].shape))

    hooked, run = intercept(small.transformer(), "test", look)
    sampled(hooked)
    assert list(seen) == ["block 0", "block 1", "block 2"]
    assert seen["block 2"] == [((8, 6), (4, 16, 8, 6), (4, 7, 16))] * 4
    assert run.evaluation == 4
    assert model_blocks(small.transformer()) is None


def test_the_maps_are_the_tokens_row_by_row():
    """The model's own q goes in; what the hook sees at (y, x) is the token y * width + x."""
    maps, raw, direct = [], [], small.unet()

    def keep(q, k, v, extra):
        raw.append(q)
        return small.attention(q, k, v, extra["n_heads"])

    direct.set_model_attn1_replace(keep, "input", 1)
    sampled(direct)
    hooked, _ = intercept(small.unet(), "test", lambda call: maps.append(call.q))
    sampled(hooked)
    q = raw[0]
    for batch, head, y, x in [(0, 0, 0, 0), (1, 1, 3, 7), (0, 1, 15, 11)]:
        token = q[batch, y * SIZE[1] + x, head * 16 : head * 16 + 16]
        assert torch.equal(maps[0][batch * 2 + head, :, y, x], token)


def test_steps_and_the_share_of_the_way():
    told = []

    def look(call):
        run = call.run
        told.append((run.step, run.steps, run.sigma, run.within(0.0, 0.4), run.within(0.4, 1.0)))

    hooked, _ = intercept(small.transformer(), "test", look)
    sampled(hooked)
    bound = small.percent_to_sigma(0.4)
    expected = [(i, 4, s, s > bound, s <= bound) for i, s in enumerate(small.STEPS[:-1])]
    assert [each[0] for each in told[::3]] == [0, 1, 2, 3]
    for got, wanted in zip(told[::3], expected, strict=True):
        assert got == pytest.approx(wanted)
    assert {first for *_, first, _ in told} == {True, False}


def test_sharpness_multiplies_the_logits(model):
    def twice(call):
        rows = [t.flatten(2).transpose(1, 2) for t in (call.q, call.k, call.v)]
        if call.text is not None:
            rows = [torch.cat(pair, 1) for pair in zip(call.text, rows, strict=True)]
        out = scaled_dot_product_attention(*rows, scale=2 / call.temperature)
        got = call.dense(2.0)
        written = 0 if call.text is None else call.text[0].shape[1]
        picture = out[:, written:].transpose(1, 2).reshape(call.v.shape)
        torch.testing.assert_close(call.result(picture, out[:, :written]), got)
        return got

    hooked, _ = intercept(model, "test", twice)
    assert not torch.allclose(sampled(hooked), sampled(model), atol=1e-2)


def test_what_stood_there_before_is_what_runs_when_a_hook_declines():
    """A replacement for one transformer of a block, one for another block, an override."""
    calls = []

    def named(name):
        def replace(q, k, v, extra):
            calls.append(name)
            return torch.zeros_like(q)

        return replace

    unet = small.unet()
    unet.set_model_attn1_replace(named("middle 1"), "middle", 0, 1)
    unet.set_model_attn1_replace(named("input 1"), "input", 1)
    hooked, run = intercept(unet, "test", refuse)
    expected = sampled(unet)
    asked = list(calls)
    calls.clear()
    assert torch.equal(sampled(hooked), expected) and calls == asked
    assert len(run.seen) == 6

    def override(func, q, k, v, heads, *args, **kwargs):
        calls.append("override")
        return func(q, k, v, heads, *args, **kwargs) * 0.5

    transformer = small.transformer()
    transformer.model_options["transformer_options"]["optimized_attention_override"] = override
    hooked, _ = intercept(transformer, "test", refuse)
    calls.clear()
    assert torch.equal(sampled(hooked), sampled(transformer)) and len(calls) == 24


def test_a_later_replacement_of_a_block_wins():
    hooked, run = intercept(small.unet(), "test", refuse)
    later = hooked.clone()
    later.set_model_attn1_replace(lambda q, k, v, extra: v, "input", 1)
    sampled(later)
    assert "input 1" not in map(str, run.seen) and len(run.seen) == 5
    sampled(hooked)
    assert "input 1" in map(str, run.seen)


def test_two_hooks_and_a_clone_of_a_clone(model):
    order = []
    once, _ = intercept(model, "first", lambda call: order.append("first"))
    both, _ = intercept(once, "second", lambda call: order.append("second"))
    sampled(both.clone().clone())
    assert order == ["second", "first"] * (len(order) // 2) and order
    order.clear()
    sampled(once)
    assert set(order) == {"first"}


@pytest.mark.parametrize("tiles", [1, 2])
def test_merged_and_tiled_tokens_have_no_grid(tiles):
    """As ToMe (half of the queries) and HyperTile (tiles of queries in the batch) leave them."""
    whys, unet = [], small.unet()

    def fold(n, context, value, extra):
        if tiles == 1:
            return n[:, ::2], context, value
        return n.unflatten(1, (2, -1)).flatten(0, 1), context, value

    def unfold(n, extra):
        return n.repeat_interleave(2, 1) if tiles == 1 else n.unflatten(0, (-1, 2)).flatten(1, 2)

    def look(call):
        whys.append(call.why)
        assert call.size is None
        return call.decline(call.why)

    unet.set_model_attn1_patch(fold)
    unet.set_model_attn1_output_patch(unfold)
    hooked, run = intercept(unet, "test", look)
    assert torch.equal(sampled(hooked), sampled(unet))
    assert len(set(whys)) == 1 and whys[0].startswith("queries and keys differ in number")
    assert list(run.declined) == whys[:1]


def test_a_reason_is_told_once_a_run(caplog):
    hooked, run = intercept(small.unet(), "Test", lambda call: call.decline("it is too small"))
    with caplog.at_level("INFO"):
        sampled(hooked)
    [told] = caplog.records
    assert told.getMessage() == "Test: input 1 stays as it is: it is too small"
    assert [str(block) for block in run.declined["it is too small"]] == [str(b) for b in run.seen]


def test_models_of_an_unknown_kind_have_no_grid():
    model = small.transformer()
    unknown = type("SomethingNew", (torch.nn.Module,), dict(small.Flux.__dict__))
    model.model.diffusion_model.__class__ = unknown
    whys = set()
    hooked, _ = intercept(model, "test", lambda call: whys.add(call.why))
    assert torch.equal(sampled(hooked), sampled(model))
    assert whys == {"no token grid is known for models of the kind SomethingNew"}


def test_tokens_that_do_not_add_up_have_no_grid():
    model, whys = small.transformer(), []
    model.model.diffusion_model.patch_size = 4  # what it says of itself, but not what it does
    hooked, _ = intercept(model, "test", lambda call: whys.append(call.why))
    small.sample(hooked, noise(size=(18, 12)), text(1), text(2))
    assert whys[0].startswith("61 tokens are not the 5x3 of the picture and 7 of text")


@pytest.mark.parametrize(
    ("keys", "masked", "told"),
    [
        (2, True, "there is a mask"),
        (1, False, "several heads share their keys"),
        (2, False, ""),
    ],
)
def test_masks_and_shared_keys_have_no_grid(keys, masked, told):
    whys = []
    hooked, run = intercept(small.transformer(), "test", lambda call: whys.append(call.why))
    run.evaluate((1, 16, 8, 6), 7, 1.0, [])
    override = hooked.model_options["transformer_options"]["optimized_attention_override"]
    q = torch.randn(1, 2, 19, 16, generator=torch.Generator().manual_seed(1))

    def grouped(q, k, v, heads, mask, **layout):
        return scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=True)

    mask = torch.zeros(19, 19) if masked else None
    got = override(grouped, q, q[:, :keys], q[:, :keys], 2, mask, skip_reshape=True)
    assert torch.equal(got, grouped(q, q[:, :keys], q[:, :keys], 2, mask))
    assert whys == [told]


def test_blocks_are_numbered_as_the_model_numbers_them():
    """As later versions of ComfyUI do; single blocks come after the double ones."""
    hooked, run = intercept(small.transformer(), "test", refuse)
    override = hooked.model_options["transformer_options"]["optimized_attention_override"]
    q = torch.zeros(1, 19, 32)
    for _ in range(2):
        run.evaluate((1, 16, 8, 6), 7, 1.0, [])
        for kind, index in [("double", 0), ("double", 2), ("single", 0), ("single", 1)]:
            told = {"block_type": kind, "block_index": index}
            override(small.attention, q, q, q, 2, transformer_options=told)
    assert [str(block) for block in run.seen] == ["block 0", "block 2", "block 3", "block 4"]


def test_cross_attention_is_no_ones_call():
    calls = []
    hooked, run = intercept(small.transformer(), "test", calls.append)
    run.evaluate((1, 16, 8, 6), 7, 1.0, [])
    override = hooked.model_options["transformer_options"]["optimized_attention_override"]
    q, text = torch.zeros(1, 12, 32), torch.zeros(1, 7, 32)
    override(small.attention, q, text, text, 2)
    override(small.attention, text, text, text, 2)  # nor is the text's own
    assert not calls and not run.seen


def test_nothing_of_a_run_is_kept():
    """No tensor can be reached from the hooks once the sampler is done."""
    import gc
    import weakref

    seen = []
    hooked, run = intercept(small.unet(), "test", lambda call: seen.append(weakref.ref(call.q)))
    sampled(hooked)
    gc.collect()
    assert seen and all(reference() is None for reference in seen)
    assert not any(isinstance(value, torch.Tensor) for value in vars(run).values())
    assert run.steps == 4, "what a report needs is"
    schedule = weakref.ref(hooked.model.model_sampling)
    hooked.model.model_sampling = None
    gc.collect()
    assert schedule() is None
