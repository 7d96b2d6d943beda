"""The node that colours."""

import pytest
import torch
from torch.nn.functional import interpolate

from internal_methods.nodes.colorization import LAYERS, GuidedColorization


def scene(frames=1, size=(24, 30)) -> torch.Tensor:
    """Frames that move to the right, [T, H, W, 3]; the colour follows from the grey."""
    coarse = torch.rand((1, 1, 6, 9), generator=torch.Generator().manual_seed(0))
    wide = interpolate(coarse, (size[0], size[1] + 2 * frames), mode="bilinear")[0, 0]
    light = torch.stack([wide[:, 2 * i : 2 * i + size[1]] for i in range(frames)])
    return torch.stack([0.8 - 0.6 * light, 0.5 * light + 0.2, light], -1)


def grey(image: torch.Tensor) -> torch.Tensor:
    light = image @ torch.tensor([0.299, 0.587, 0.114])
    return light[..., None].expand(*light.shape, 3).contiguous()


def colour(image, reference, **changes):
    settings = {
        "layer": "PSAL-3",
        "similarity": "l2",
        "steps": 2,
        "training_size": 24,
        "working_size": 0,
        "keep_luma": True,
        "final_layer": "as trained",
        "seed": 0,
        "backend": "auto",
    }
    with torch.inference_mode():  # as ComfyUI runs nodes
        return GuidedColorization.execute(image, reference, **(settings | changes)).args


def test_a_picture_gets_the_colours_of_its_reference_and_keeps_its_luma():
    wanted, reference = scene(2).split(1)
    made, curve, summary = colour(grey(wanted), reference)
    assert made.shape == wanted.shape and made.dtype == torch.float32
    assert (made - wanted).square().mean() < 0.1 * (grey(wanted) - wanted).square().mean()
    assert torch.allclose(grey(made), grey(wanted), atol=1e-5)
    assert curve.shape == (1, 360, 640, 3) and summary.startswith("2 steps")


def test_training_changes_the_result_and_is_repeatable():
    wanted, reference = scene(2).split(1)
    none, few, same, other = (
        colour(wanted, reference, steps=steps, seed=seed, keep_luma=False)[0]
        for steps, seed in ((0, 0), (5, 0), (5, 0), (5, 1))
    )
    assert torch.equal(few, same) and not torch.equal(few, none) and not torch.equal(few, other)


@pytest.mark.parametrize("layer", LAYERS)
def test_every_layer_runs(layer):
    frames = scene(2)
    made = colour(frames[:1], frames[1:], layer=layer, steps=1)[0]
    assert made.shape == frames[:1].shape and torch.isfinite(made).all()


def test_the_layer_may_change_after_the_training():
    wanted, reference = scene(2).split(1)
    dense = colour(wanted, reference, layer="dense")[0]
    swapped = colour(wanted, reference, layer="dense", final_layer="PSAL-1")[0]
    lone = colour(wanted, reference, layer="PSAL-1")[0]
    assert not torch.equal(swapped, dense) and not torch.equal(swapped, lone)


def test_clips_key_frames_and_training_frames():
    frames = scene(5)
    made = colour(grey(frames), frames[::2])[0]
    assert made.shape == frames.shape
    assert (made - frames).square().mean() < 0.1 * (grey(frames) - frames).square().mean()
    lone = colour(grey(frames[:1]), frames[4:], keep_luma=False)[0]
    other = colour(grey(frames[:1]), frames[4:], keep_luma=False, training_frames=frames)[0]
    assert not torch.equal(lone, other)


def test_other_sizes_one_channel_and_alpha():
    wanted, reference = scene(1, (40, 50)), scene(1)
    single = grey(wanted)[..., :1]
    made = colour(single, reference, working_size=24)[0]
    assert made.shape == (1, 40, 50, 3)
    alpha = torch.rand(1, 40, 50, 1, generator=torch.Generator().manual_seed(1))
    kept = colour(torch.cat([grey(wanted), alpha], -1), reference, layer="local")[0]
    assert torch.equal(kept[..., 3:], alpha)
    narrow = colour(scene(1, (8, 200)), reference, training_size=16, working_size=64)[0]
    assert narrow.shape == (1, 8, 200, 3)


def test_bad_input_is_said_in_words():
    frames = scene(1)
    with pytest.raises(ValueError, match="1 channels, expected 3"):
        colour(frames, frames[..., :1])
    with pytest.raises(ValueError, match="patch_size 7"):
        colour(frames, scene(1, (6, 30)))
    with pytest.raises(ValueError, match="NaN or infinite"):
        colour(frames * torch.nan, frames)
