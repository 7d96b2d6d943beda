"""The colorization network: its training, its pairs, its layers and what it makes of pictures."""

import pytest
import torch
from torch import Generator
from torch.nn.functional import interpolate

from internal_methods.methods.colorize import (
    ColorizeNetwork,
    Layer,
    colorize,
    frame_pairs,
    mirrored_pairs,
    train_colorizer,
)
from internal_methods.methods.features import luma

SMALL = {"patch_size": 3, "window": 5}
LAYERS = [
    Layer(neighbours=1, **SMALL),
    Layer(**SMALL),
    Layer(neighbours=1, aggregate=True, **SMALL),
    Layer(similarity="dot", **SMALL),
    Layer("dense", **SMALL),
    Layer("local", **SMALL),
    Layer("linear", **SMALL),
]


def name(layer: Layer) -> str:
    return f"{layer.kind} {layer.neighbours} {layer.similarity} {layer.aggregate}"


def scene(shift=0, size=(20, 24)):
    """A picture whose colour follows from its grey: red where dark, blue where light."""
    coarse = torch.rand((1, 1, 6, 9), generator=Generator().manual_seed(0))
    light = interpolate(coarse, (size[0], size[1] + 8), mode="bicubic").clamp(0, 1)
    light = light[..., shift : shift + size[1]]
    return torch.cat([0.8 - 0.6 * light, 0.5 * light + 0.2, light], 1)


def train(layer=LAYERS[1], pairs=None, **settings):
    pairs = pairs or frame_pairs(torch.cat([scene(0), scene(4)]))
    return train_colorizer(pairs, layer=layer, **({"steps": 40, "copies": False} | settings))


@pytest.mark.parametrize("layer", LAYERS, ids=name)
def test_training_lowers_the_error(layer):
    losses = train(layer, steps=60).losses
    assert len(losses) == 60
    hard = layer.similarity == "dot" or layer.kind == "linear"
    assert sum(losses[-10:]) < (0.99 if hard else 0.8) * sum(losses[:10])


def test_training_is_that_of_torch():
    """Against the same network written out, with dense attention by cdist."""
    picture, reference = scene(0)[..., :10, :12], scene(4)[..., :10, :12]
    layer = Layer("dense", patch_size=1, stride=1)
    trained = train_colorizer(lambda _: (picture, reference), layer=layer, steps=3, copies=False)
    network = ColorizeNetwork(Generator().manual_seed(0), copies=False)
    optimizer, losses = torch.optim.Adam(network.parameters(), lr=1e-3), []
    for _ in range(3):
        q, k = (network.query(luma(x)).flatten(2).transpose(1, 2) for x in (picture, reference))
        weights = (-torch.cdist(q, k).square()).softmax(2)
        found = weights @ network.value(reference).flatten(2).transpose(1, 2)
        found = found.transpose(1, 2).unflatten(2, picture.shape[2:])
        loss = (luma(picture) + network.colour(found) - picture).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert trained.losses == pytest.approx(losses, rel=1e-4)
    assert torch.allclose(trained.network.value.weight, network.value.weight, atol=1e-5)


def test_psal_1_leaves_queries_and_keys_as_they_were():
    drawn = ColorizeNetwork(Generator().manual_seed(3), shared=False, copies=False)
    lone = train(LAYERS[0], seed=3, shared=False, steps=3).network
    assert torch.equal(lone.query.weight, drawn.query.weight)
    assert torch.equal(lone.key.weight, drawn.key.weight)
    assert not torch.equal(lone.value.weight, drawn.value.weight)
    three = train(LAYERS[1], seed=3, shared=False, steps=3).network
    assert not torch.equal(three.query.weight, drawn.query.weight)
    assert not torch.equal(three.key.weight, drawn.key.weight)


def test_queries_and_keys_share_their_convolution_or_not():
    together, apart = (ColorizeNetwork(Generator(), shared) for shared in (True, False))
    assert together.key is together.query and apart.key is not apart.query


def test_a_seed_repeats_and_leaves_the_global_generator_alone():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first, second, other = train(seed=1), train(seed=1), train(seed=2)
    assert torch.equal(torch.get_rng_state(), before)
    assert first.losses == second.losses and first.losses != other.losses


def test_training_under_inference_mode():
    with torch.inference_mode():
        frames = torch.cat([scene(0), scene(4)])
        trained = train(pairs=frame_pairs(frames), steps=60)
        made = colorize(luma(frames[:1]), frames[1:], trained.network, layer=LAYERS[1])
    assert sum(trained.losses[-10:]) < 0.8 * sum(trained.losses[:10])
    assert made.shape == (1, 3, 20, 24) and not made.requires_grad


def test_a_trained_network_gives_colours_with_other_layers():
    trained, picture, reference = train(LAYERS[4], steps=250, seed=1), scene(0), scene(4)
    grey = (luma(picture) - picture).square().mean()
    for layer in LAYERS[:3]:
        made = colorize(picture, reference, trained.network, layer=layer)
        assert (made - picture).square().mean() < 0.6 * grey


def copier(**settings):
    return ColorizeNetwork(Generator().manual_seed(0), **settings)


def test_an_untrained_network_matches_grey_patches_and_copies_colours():
    picture, reference = scene(0), scene(4)
    layer = Layer(neighbours=1, patch_size=5)
    made = colorize(luma(picture), reference, copier(), layer=layer)
    inner = (..., slice(2, -2), slice(6, -2))  # what the reference has too
    assert (made - picture)[inner].abs().max() < 1e-5
    grey = (luma(picture) - picture).square().mean()
    assert (made - picture).square().mean() < 0.1 * grey


def test_training_departs_from_copying_for_something_better():
    colourful, reference = scene(0), scene(4)
    pale = luma(colourful) + 0.5 * (colourful - luma(colourful))
    losses = train(pairs=lambda _: (pale, reference), copies=True, steps=100).losses
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.parametrize("side", [0, 12])
def test_the_luma_stays(side):
    picture, reference = scene(0, (21, 25)), scene(4)
    network = train(steps=5).network
    made = colorize(picture, reference, network, layer=LAYERS[1], side=side)
    assert torch.allclose(luma(made), luma(picture), atol=1e-6)
    assert made.min() >= 0 and made.max() <= 1
    free = colorize(picture, reference, network, layer=LAYERS[1], keep_luma=False)
    assert not torch.allclose(luma(free), luma(picture), atol=1e-4)


def test_luma_beyond_the_range_stays_too():
    picture = scene(0) * 3 - 1
    made = colorize(picture, scene(4), copier(), layer=LAYERS[1])
    assert torch.allclose(luma(made), luma(picture), atol=1e-5)


def test_references_are_key_frames():
    frames = torch.cat([scene(0)] * 5)
    red, blue = torch.zeros(1, 3, 20, 24), torch.zeros(1, 3, 20, 24)
    red[:, 0], blue[:, 2] = 0.5, 0.5
    made = colorize(frames, torch.cat([red, blue]), copier(), layer=LAYERS[0])
    redder = [bool((m[0] > m[2]).float().mean() > 0.5) for m in made]
    assert redder[:2] == [True, True] and redder[3:] == [False, False]


def test_pairs_are_near_and_never_the_same():
    frames = torch.arange(8.0).view(8, 1, 1, 1).expand(8, 3, 2, 2)
    draw, generator = frame_pairs(frames, gap=2), Generator().manual_seed(0)
    drawn = {tuple(int(x[0, 0, 0, 0]) for x in draw(generator)) for _ in range(400)}
    assert drawn == {(i, j) for i in range(8) for j in range(8) if 0 < abs(i - j) <= 2}
    picture = scene()
    draw = mirrored_pairs(picture)
    mirrored = [draw(generator)[0] for _ in range(40)]
    for axes in ((2,), (3,), (2, 3)):
        assert any(torch.equal(picture.flip(axes), x) for x in mirrored)
    assert not any(torch.equal(picture, x) for x in mirrored)


def test_the_callback_hears_of_it_and_may_end_it():
    steps = []
    train(steps=12, callback=steps.append)
    ends = [step for step in steps if step.level_done]
    assert len(ends) == 1 and ends[0].done == ends[0].total == 12
    assert steps[-1].image.shape == (1, 3, 20, 24)

    def stop(step):
        if step.done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(callback=stop)


def test_inputs_are_not_written_to():
    frames = torch.cat([scene(0), scene(4)])
    before = frames.clone()
    network = train(pairs=frame_pairs(frames), steps=3).network
    colorize(frames, frames, network, layer=LAYERS[1])
    assert torch.equal(frames, before)


def test_bad_input_is_said_in_words():
    with pytest.raises(ValueError, match="kind 'full'"):
        train(Layer("full"), steps=1)
    with pytest.raises(ValueError, match="references have 1 channels, expected 3"):
        colorize(scene(), luma(scene()), copier())
    with pytest.raises(ValueError, match="images have 2 channels, expected 1 or 3"):
        colorize(scene()[:, :2], scene(), copier())
    with pytest.raises(ValueError, match="NaN or infinite"):
        colorize(scene() * torch.nan, scene(), copier())
    with pytest.raises(ValueError, match="the error of step 0 is inf"):
        train(pairs=lambda _: (scene() * 1e30, scene()), layer=LAYERS[4], steps=1)
