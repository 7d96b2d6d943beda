"""The network against published parameter counts and a loop of its own layers."""

import pytest
import torch
from torch import Generator
from torch.nn.functional import conv2d

from internal_methods.methods.diffusion.network import UNet, code
from internal_methods.methods.diffusion.settings import NetworkSettings, TrainingSettings, read


def network(**settings) -> UNet:
    return UNet(NetworkSettings(**settings), Generator().manual_seed(0))


def given(net: UNet, height: int = 16, width: int = 24, batch: int = 2) -> tuple:
    draw = Generator().manual_seed(1)
    channels = net.settings.channels
    x, known = torch.randn(2, batch, channels, height, width, generator=draw)
    mask = (torch.rand(batch, 1, height, width, generator=draw) < 0.5).float()
    return x, known, mask, torch.full((batch,), 0.5), torch.full((batch,), 300)


@pytest.mark.parametrize(
    ("settings", "count"),
    [({}, 160_323), ({"noise_input": "code"}, 164_643), ({"noisy": False}, 159_171)],
)
def test_it_has_the_published_number_of_parameters(settings, count):
    """Counts of Cherel 2024, V.2.2, and of the code that adds 15 channels of 32 times 3 x 3."""
    assert sum(values.numel() for values in network(**settings).parameters()) == count


def test_the_network_of_clips_has_the_published_number_of_parameters():
    """Of the code of Cherel et al. 2023: 23 inputs, 16 convolutions of 3 x 3 x 3."""
    net = network(axes=3, noise_input="code")
    assert net.settings.inputs == 23
    assert sum(values.numel() for values in net.parameters()) == 492_963


def clips(net: UNet, frames: int, height: int = 8, width: int = 8) -> tuple:
    draw = Generator().manual_seed(1)
    x, known = torch.randn(2, 1, 3, frames, height, width, generator=draw)
    mask = (torch.rand(1, 1, frames, height, width, generator=draw) < 0.5).float()
    return x, known, mask, torch.full((1,), 0.5), torch.full((1,), 300)


def test_a_still_network_of_clips_is_that_of_pictures():
    """With weights in the middle frame of every kernel alone, frames are pictures."""
    flat, deep = network(width=4, levels=2), network(width=4, levels=2, axes=3)
    with torch.no_grad():
        for two, three in zip(flat.parameters(), deep.parameters(), strict=True):
            if three.dim() == 1:
                three.copy_(two)
            else:
                three.zero_()[:, :, 1].copy_(two)
    x, known, mask, sigma, level = clips(deep, 3)
    frames = (each[0].movedim(1, 0) for each in (x, known, mask))
    expected = flat(*frames, sigma.expand(3), level.expand(3)).movedim(0, 1)[None]
    torch.testing.assert_close(deep(x, known, mask, sigma, level), expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("levels", [0, 1, 3])
def test_the_receptive_field_in_time_is_what_a_frame_sees(levels):
    net = network(width=2, levels=levels, axes=3)
    with torch.no_grad():
        for values in net.parameters():
            values.abs_()  # nothing cancels
    reach = net.settings.reach
    assert reach[0] == {0: 4, 1: 8, 3: 16}[levels] and reach[1] == net.settings.receptive_field
    x, known, mask, sigma, level = clips(net, 2 * reach[0] + 5)
    known = known.abs().requires_grad_()
    net(x.abs(), known, mask, sigma, level)[:, :, reach[0] + 2].sum().backward()
    seen = known.grad.abs().sum((0, 1, 3, 4)).nonzero()[:, 0]
    assert (int(seen[0]), int(seen[-1])) == (2, 2 * reach[0] + 2)


def test_a_loop_is_a_clip_that_repeats_for_ever():
    net = network(width=4, levels=1, axes=3)
    x, known, mask, sigma, level = clips(net, 5)
    longer = (each.repeat(1, 1, 5, 1, 1) for each in (x, known, mask))
    expected = net(*longer, sigma, level)[:, :, 10:15]
    net.go_round()
    made = net(x, known, mask, sigma, level)
    torch.testing.assert_close(made, expected, atol=1e-5, rtol=1e-4)


def test_it_is_a_loop_over_convolutions():
    net = network(width=5, levels=2)
    inputs = given(net)
    x, known, mask, sigma, _ = (each.double() for each in inputs)

    def layer(convolution, values):
        weight, bias = (each.detach().double() for each in convolution.parameters())
        return conv2d(values, weight, bias, padding=1)

    def both(pair, values):
        for convolution in pair:
            values = layer(convolution, values).clamp(min=0)
        return values

    def halved(values):
        b, c, h, w = values.shape
        return values.reshape(b, c, h // 2, 2, w // 2, 2).amax((3, 5))

    plane = sigma.view(-1, 1, 1, 1) * torch.ones_like(mask)
    top = both(net.down[0], layer(net.first, torch.cat([x, plane, known, mask], 1)).clamp(min=0))
    below = both(net.down[1], halved(top))
    wide = both(net.middle, halved(below)).repeat_interleave(2, 2).repeat_interleave(2, 3)
    wide = both(net.up[0], torch.cat([wide, below], 1))
    wide = wide.repeat_interleave(2, 2).repeat_interleave(2, 3)
    expected = layer(net.last, both(net.up[1], torch.cat([wide, top], 1)))
    torch.testing.assert_close(net(*inputs).double(), expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("levels", [0, 1, 3])
def test_the_receptive_field_is_what_a_pixel_sees(levels):
    net = network(width=4, levels=levels)
    with torch.no_grad():
        for values in net.parameters():
            values.abs_()  # nothing cancels
    reach = net.settings.receptive_field
    assert reach == {0: 4, 1: 11, 3: 53}[levels]
    side = 2 * (reach // 8 + 2) * 8
    x, known, mask, sigma, level = given(net, side, 16, batch=1)
    x, known = x.abs(), known.abs().requires_grad_()
    farthest = 0
    for row in range(side // 2, side // 2 + net.settings.multiple):
        net(x, known, mask, sigma, level)[:, :, row].sum().backward()
        seen = known.grad[0, 0].abs().sum(1).nonzero()[:, 0]
        farthest = max(farthest, int((seen - row).abs().max()))
        known.grad = None
    assert reach - net.settings.multiple < farthest <= reach  # cells do not lie the same way


def test_what_it_does_not_see_changes_nothing():
    blind = network(conditional=False)
    x, known, mask, sigma, level = given(blind)
    assert torch.equal(blind(x, None, None, sigma, level), blind(x, known, mask, sigma, level))
    regression = network(noisy=False)
    assert torch.equal(regression(None, known, mask), regression(x, known, mask, sigma, level))


def test_the_seed_makes_the_weights():
    first, again = network(), network()
    other = UNet(NetworkSettings(), Generator().manual_seed(1))
    for a, b, c in zip(first.parameters(), again.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)
        assert not torch.equal(a, c)


def test_a_code_is_sines_and_cosines_of_falling_rates():
    level = torch.tensor([0, 7, 999])
    rates = 10_000.0 ** (-torch.arange(8, dtype=torch.float64) / 7)
    angle = level.double()[:, None] * rates
    expected = torch.cat([angle.sin(), angle.cos()], 1)
    torch.testing.assert_close(code(level).double(), expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"noise_input": "flag"}, "plane, code"),
        ({"width": 0}, "width is 0"),
        ({"conditional": False, "noisy": False}, "see nothing"),
        ({"attention": (4,)}, "levels 0 to 3"),
        ({"axes": 4}, "2 for pictures or 3 for clips"),
        ({"attention": (0,), "axes": 3}, "for pictures"),
    ],
)
def test_impossible_networks_are_refused(wrong, told):
    with pytest.raises(ValueError, match=told):
        NetworkSettings(**wrong)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"first": 3, "last": 4}, "noisiest"),
        ({"learning_rate": 0.0}, "above 0"),
        ({"average": 1.5}, "within 0 and 1"),
        ({"prediction": "x1"}, "x0, noise"),
        ({"loss": "all"}, "hole, visible"),
        ({"frames": 0}, "frames is 0"),
    ],
)
def test_impossible_trainings_are_refused(wrong, told):
    with pytest.raises(ValueError, match=told):
        TrainingSettings(**wrong)


def test_settings_come_back_from_json():
    assert read(NetworkSettings, {"width": 8, "attention": [0, 1]}) == NetworkSettings(
        width=8, attention=(0, 1)
    )
    with pytest.raises(ValueError, match="no settings depth"):
        read(NetworkSettings, {"depth": 3})
