"""The block of attention: a plain network at the start, sums over known places afterwards."""

import pytest
import torch
import torch.nn.functional as F
from torch import Generator, nn

from internal_methods.methods.diffusion.attention_block import (
    AttentionBlock,
    FieldStrip,
    attention_blocks,
)
from internal_methods.methods.diffusion.network import UNet
from internal_methods.methods.diffusion.settings import NetworkSettings, TrainingSettings
from internal_methods.methods.diffusion.training import train

WIDTH = 6


def made(seed: int = 0, learnt: bool = True, **settings) -> AttentionBlock:
    draw = Generator().manual_seed(seed)
    block = AttentionBlock(WIDTH, draw, **settings)
    if learnt:  # as if it had been trained
        with torch.no_grad():
            for values in block.output.parameters():
                values.normal_(generator=draw)
    return block


def features(*shape: int, seed: int = 1, dtype=torch.float32) -> torch.Tensor:
    return torch.randn(*shape, generator=Generator().manual_seed(seed), dtype=dtype)


def hole(batch: int, height: int, width: int, box=(3, 7, 4, 9)) -> torch.Tensor:
    mask = torch.zeros(batch, 1, height, width)
    mask[:, :, box[0] : box[1], box[2] : box[3]] = 1
    return mask


def by_hand(block: AttentionBlock, given: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Softmax over all keys whose patches are wholly known, one query at a time."""
    matched = F.conv2d(given, block.matched.weight, block.matched.bias)
    around = F.pad(matched, (1, 1, 1, 1), mode="reflect")
    result = given.clone()
    height, width = given.shape[2:]
    for b in range(len(given)):
        known = [
            (y, x)
            for y in range(1, height - 1)
            for x in range(1, width - 1)
            if mask[b, 0, y - 1 : y + 2, x - 1 : x + 2].sum() == 0
        ]
        for y, x in mask[b, 0].nonzero().tolist():
            mine = around[b, :, y : y + 3, x : x + 3]
            far = torch.stack(
                [
                    (mine - matched[b, :, v - 1 : v + 2, u - 1 : u + 2]).square().sum()
                    for v, u in known
                ]
            )
            weights = torch.softmax(-far, 0)
            told = sum(w * given[b, :, v, u] for w, (v, u) in zip(weights, known, strict=True))
            bias = block.output.bias
            result[b, :, y, x] += block.output.weight[:, :, 0, 0] @ told + bias
    return result


def test_it_starts_as_nothing():
    block, given = made(learnt=False), features(2, WIDTH, 16, 20)
    assert torch.equal(block(given, hole(2, 16, 20)), given)
    assert torch.equal(block(given, None), given)


def test_what_it_adds_is_attention_to_all_that_is_known():
    """With as many neighbours as there are keys."""
    given, mask = features(2, WIDTH, 9, 10), hole(2, 9, 10, (1, 5, 2, 8))
    block = made(neighbours=31)
    torch.testing.assert_close(
        block(given, mask), by_hand(block, given, mask), rtol=1e-4, atol=1e-4
    )


def test_gradients_are_those_of_differences():
    block, mask = made(neighbours=3).double(), hole(1, 9, 9, (3, 6, 3, 6))
    given = features(1, WIDTH, 9, 9, dtype=torch.float64).requires_grad_()
    weights = tuple(block.parameters())

    def run(x, *_):
        return block(x, mask)

    assert torch.autograd.gradcheck(run, (given, *weights), fast_mode=True)


def test_a_training_step_reaches_every_weight_once_it_has_left_zero():
    block, given = made(learnt=False), features(1, WIDTH, 16, 16)
    optimizer = torch.optim.SGD(block.parameters(), lr=0.1)
    wanted = features(1, WIDTH, 16, 16, seed=5)
    moved = []
    for _ in range(2):
        optimizer.zero_grad()
        F.mse_loss(block(given, hole(1, 16, 16)), wanted).backward()
        moved.append(float(block.matched.weight.grad.abs().sum()))
        assert float(block.output.weight.grad.abs().sum()) > 0
        optimizer.step()
    assert moved[0] == 0 and moved[1] > 0


def test_it_repeats_bit_for_bit_and_leaves_global_generators_alone():
    torch.manual_seed(3)
    state = torch.get_rng_state()
    first, second = made(), made()
    given, mask = features(2, WIDTH, 24, 24), hole(1, 24, 24)
    assert torch.equal(first(given, mask), second(given, mask))
    assert torch.equal(first(given, mask), first(given, mask))
    assert torch.equal(torch.get_rng_state(), state)


def test_another_size_a_reduced_mask_and_inference_mode():
    block = made()
    mask = hole(1, 40, 24, (9, 21, 7, 15))
    with torch.inference_mode():
        given = features(3, WIDTH, 20, 12)
        changed = (block(given, mask) != given).any(1)
    half = F.max_pool2d(mask, 2)[0, 0] > 0
    assert torch.equal(changed, half.expand(3, -1, -1))
    assert block.field is not None and block.field.size == (20, 12)
    where = block.field.positions[block.field.found[:, :, None].expand_as(block.field.positions)]
    assert where.min() >= 1  # centres of whole patches


def test_pictures_without_question_or_answer_stay_as_they_are():
    block, given = made(), features(3, WIDTH, 12, 12)
    mask = torch.cat([hole(1, 12, 12), torch.zeros(1, 1, 12, 12), torch.ones(1, 1, 12, 12)])
    result = block(given, mask)
    assert torch.equal(result[1:], given[1:]) and not torch.equal(result[0], given[0])
    assert torch.equal(result[:1], block(given[:1], mask[:1]))
    assert torch.equal(block(given, mask[2:]), given) and block.field is None
    tiny = features(1, WIDTH, 2, 2)
    assert torch.equal(block(tiny, torch.ones(1, 1, 2, 2)), tiny)


def test_masks_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="whole number"):
        made()(features(1, WIDTH, 12, 12), hole(1, 18, 24))


def test_the_field_is_shown_by_level():
    network = nn.Sequential(made(), nn.Identity(), made(2))
    blocks = attention_blocks(network)
    assert blocks == [network[0], network[2]]
    strip = FieldStrip(network, (7, 3))
    with pytest.raises(ValueError, match="no level"):
        strip.picture()
    given, mask = features(2, WIDTH, 12, 12), hole(1, 24, 24, (6, 14, 8, 18))
    for t in (7, 5, 3):
        for block in blocks:
            block(given + t, mask)
        strip(t, torch.zeros(2, 3, 24, 24))
    shown = strip.picture()
    assert shown.shape == (1, 3, 48, 48)
    lit = (shown > 0).any(1)[0]
    assert torch.equal(lit, (mask[0, 0] > 0).repeat(2, 2))
    with pytest.raises(ValueError, match="no attention block"):
        FieldStrip(nn.Sequential(nn.Identity()), (7,))


def test_a_network_with_blocks_starts_as_the_plain_one_and_learns_in_its_own_way():
    draw = Generator().manual_seed(4)
    image, mask = torch.rand(1, 3, 40, 48, generator=draw), hole(1, 40, 48, (12, 28, 16, 30))
    plain, more = NetworkSettings(width=4), NetworkSettings(width=4, attention=(0, 2, 3))
    inputs = [image - 0.5, (image - 0.5) * (1 - mask), mask, torch.ones(1), torch.ones(1)]
    networks = [UNet(kind, Generator().manual_seed(0)) for kind in (plain, more)]
    assert torch.equal(networks[0](*inputs), networks[1](*inputs))
    assert len(attention_blocks(networks[1])) == 3
    settings = TrainingSettings(window=24, batch=2)

    def trained(kind: NetworkSettings):
        return train(image, mask, network=kind, training=settings, steps=4)

    with torch.inference_mode():
        model, again, other = trained(more), trained(more), trained(plain)
    assert all(torch.equal(v, again.weights[n]) for n, v in model.weights.items())
    assert any(not torch.equal(v, model.weights[n]) for n, v in other.weights.items())
    assert model.weights["attention.2.output.weight"].abs().sum() > 0
    known = model.scale.scaled(image) * (1 - mask)
    with torch.inference_mode():
        x0 = model.denoiser(known, mask, "cpu")(torch.zeros(2, 3, 40, 48), 500)
    assert x0.shape == (2, 3, 40, 48) and bool(x0.isfinite().all())


def test_a_network_that_is_not_told_of_holes_attends_to_all():
    settings = NetworkSettings(width=4, attention=(1,), conditional=False)
    network = UNet(settings, Generator().manual_seed(0))
    x = features(1, 3, 16, 16)
    network(x, None, None, torch.ones(1), torch.ones(1))
    field = attention_blocks(network)[0].field
    assert field is not None and bool(field.found.all())
