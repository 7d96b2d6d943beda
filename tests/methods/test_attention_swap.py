"""Patch attention in place of a model's own: against dense attention, written out."""

from dataclasses import replace

import pytest
import torch
from torch.nn.functional import pad

from internal_methods.methods import attention_swap
from internal_methods.methods.attention_swap import AttentionSwap, Refused, SwapSettings, report

ALL = SwapSettings(neighbours=31, tail=None, tolerance=None)


def drawn(*shape, seed=0, scale=1.0):
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def maps(size=(5, 6), batch=2, channels=8, scale=1.0):
    """q, k and v."""
    return [drawn(batch, channels, *size, seed=seed, scale=scale) for seed in (1, 2, 3)]


def rows(map):
    return map.flatten(2).transpose(1, 2).double()


def softmax(q, k, v, temperature):
    """Attention of rows, (B, M, C) to (B, N, C)."""
    return (q @ k.transpose(1, 2) / temperature).softmax(2) @ v


@pytest.mark.parametrize("size", [(5, 6), (2, 3, 4)])
@pytest.mark.parametrize("factor", [1.0, 0.3])
def test_text_and_picture_share_one_softmax(size, factor):
    q, k, v = maps(size)
    text = [drawn(2, 7, 8, seed=seed) for seed in (4, 5, 6)]
    swap = AttentionSwap(replace(ALL, temperature=factor))
    picture, words = swap.attend("block", q, k, v, tuple(text))
    keys, values = (torch.cat((rows(m), t.double()), 1) for m, t in ((k, text[1]), (v, text[2])))
    expected = softmax(rows(q), keys, values, factor * 8**0.5)
    torch.testing.assert_close(rows(picture), expected, rtol=1e-4, atol=1e-5)
    own = softmax(text[0].double(), keys, values, 8**0.5)  # the text's queries: the model's own
    torch.testing.assert_close(words.double(), own, rtol=1e-4, atol=1e-5)


def test_text_is_joined_with_picture_and_tail(monkeypatch):
    """The text's share of the softmax is that of dense attention, not of the keys found."""
    q, k, v = maps((16, 16))
    text = [drawn(2, 40, 8, seed=seed) for seed in (4, 5, 6)]
    errors = {}
    for tail in (None, "pooled"):
        swap = AttentionSwap(SwapSettings(neighbours=8, tail=tail, tolerance=10.0))
        swap.attend("block", q, k, v, tuple(text))
        [errors[tail]] = swap.tallies["block"].errors
    assert errors["pooled"] < 0.4 * errors[None], errors


def test_text_is_joined_in_pieces_too(monkeypatch):
    q, k, v = maps()
    text = tuple(drawn(2, 7, 8, seed=seed) for seed in (4, 5, 6))
    whole = AttentionSwap(ALL).attend("block", q, k, v, text)[0]
    monkeypatch.setattr(attention_swap, "ROWS", 50)
    torch.testing.assert_close(AttentionSwap(ALL).attend("block", q, k, v, text)[0], whole)


def test_logits_of_patches_are_means():
    q, k, v = maps((6, 7))
    got, _ = AttentionSwap(replace(ALL, patch_size=3, temperature=0.5)).attend("block", q, k, v)
    around = pad(q, (1, 1, 1, 1), mode="reflect").unfold(2, 3, 1).unfold(3, 3, 1)
    queries = around.permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(1, 2).double()
    whole = k.unfold(2, 3, 1).unfold(3, 3, 1).permute(0, 2, 3, 1, 4, 5)
    keys = whole.flatten(3).flatten(1, 2).double()
    logits = queries @ keys.transpose(1, 2) / 9 / (0.5 * 8**0.5)
    expected = logits.softmax(2) @ rows(v[:, :, 1:-1, 1:-1])
    torch.testing.assert_close(rows(got), expected, rtol=1e-4, atol=1e-5)


def test_the_error_is_that_of_a_sample(monkeypatch):
    """With every query in the sample: |output - dense| / |dense|."""
    monkeypatch.setattr(attention_swap, "SPARSE", 1)
    q, k, v = maps((8, 8), scale=2.0)
    swap = AttentionSwap(SwapSettings(neighbours=3, tail=None, tolerance=10.0))
    output, _ = swap.attend("block", q, k, v)
    truth = softmax(rows(q), rows(k), rows(v), 8**0.5)
    [error] = swap.tallies["block"].errors
    assert error == pytest.approx(float((rows(output) - truth).norm() / truth.norm()), rel=1e-4)
    assert error > 0.1


def test_a_block_too_far_off_is_left_alone_for_a_quarter_of_the_steps():
    q, k, v = maps((8, 8))
    swap = AttentionSwap(SwapSettings(neighbours=1, tail=None, tolerance=0.01))
    tried = []
    for step in range(20):
        before = len(swap.tallies["block"].errors) if swap.tallies else 0
        assert swap.attend("block", q, k, v, step=step, steps=20) is None
        if len(swap.tallies["block"].errors) > before:
            tried.append(step)
    assert tried == [0, 5, 10, 15]
    assert swap.attend("other", *maps((4, 4)), step=3, steps=20) is None
    assert swap.tallies["other"].errors, "each block is tried by itself"


def test_a_block_that_was_near_is_measured_in_every_call():
    near, far = maps((8, 8), scale=30.0), maps((8, 8))
    settings = SwapSettings(neighbours=16, iterations=50, tail=None, tolerance=0.1)
    swap = AttentionSwap(settings)
    for step, given in enumerate((near, near, far, near)):
        swapped = swap.attend("block", *given, step=step, steps=8) is not None
        assert swapped == (step < 2), step
    tally = swap.tallies["block"]
    assert (tally.swapped, tally.kept, len(tally.errors), tally.next_try) == (2, 2, 3, 4)


def test_a_field_is_carried_to_the_next_step_and_no_further(monkeypatch):
    asked, inner = [], attention_swap.attend

    def attend(*args, **settings):
        asked.append((settings["field"] is not None, settings["iterations"]))
        return inner(*args, **settings)

    monkeypatch.setattr(attention_swap, "attend", attend)
    swap = AttentionSwap(replace(ALL, neighbours=2))
    swap.attend("block", *maps(), step=0, batch=(1, 0))
    swap.attend("block", *maps(), step=1, batch=(1, 0))
    swap.attend("block", *maps(), step=1, batch=(0,))  # another condition
    swap.attend("other", *maps(), step=1, batch=(1, 0))
    swap.attend("block", *maps((4, 6)), step=2, batch=(1, 0))  # another size
    swap.end()
    swap.attend("block", *maps(), step=0, batch=(1, 0))
    assert asked == [(False, 5), (True, 3), *[(False, 5)] * 4]
    asked.clear()
    cold = AttentionSwap(replace(ALL, neighbours=2, reuse=False))
    for step in range(2):
        cold.attend("block", *maps(), step=step)
    assert asked == [(False, 5)] * 2


def test_a_carried_field_holds_the_same_keys():
    swap = AttentionSwap(replace(ALL, neighbours=2))
    swap.attend("block", *maps(), step=0)
    [kept] = swap._fields.values()
    assert kept.positions.dtype == torch.int16
    _, _, found = attention_swap.attend(
        *maps(),
        patch_size=1,
        neighbours=2,
        iterations=5,
        similarity="dot",
        temperature=8**0.5,
        aggregate=False,
        tail=None,
        seed=int(attention_swap.bits(0, 0)),
    )
    assert torch.equal(attention_swap._whole(kept).positions, found.positions)


def test_what_cannot_be_is_refused_in_words():
    swap = AttentionSwap(replace(ALL, patch_size=7))
    with pytest.raises(Refused, match="a patch of 7 does not fit 5x6 tokens"):
        swap.attend("block", *maps())
    bad = maps()
    bad[2][0, 0, 0, 0] = torch.nan
    swap = AttentionSwap(ALL)
    with pytest.raises(Refused, match="not all finite"):
        swap.attend("block", *bad)
    assert swap.tallies["block"].kept == 1 and not swap.tallies["block"].swapped


def test_inputs_and_their_type_stay():
    given = [t.bfloat16() for t in maps()]
    copies = [t.clone() for t in given]
    output, _ = AttentionSwap(ALL).attend("block", *given)
    assert output.dtype == torch.bfloat16
    assert all(torch.equal(one, other) for one, other in zip(given, copies, strict=True))


def test_a_report_has_a_line_for_every_attention():
    swap = AttentionSwap(SwapSettings(neighbours=1, tail=None, tolerance=0.01))
    swap.attend("input 4", *maps((8, 8)))
    swap.attend("middle", *maps((1, 1)))
    head, first, second, last = report(swap.tallies).splitlines()
    assert first.split()[:5] == ["input", "4", "64", "0", "1"] and first.endswith("%")
    assert second.split() == ["middle", "1", "1", "0", "0.0%,", "0.0%"]
    assert last == "PSAL ran in 1 of 2 blocks, 1 of 2 calls."
    assert report({}) == "PSAL ran in no block."
