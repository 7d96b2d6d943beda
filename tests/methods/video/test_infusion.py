"""Infusion: what is known stays, what is hidden is never seen, an interrupted run ends alike."""

import logging
from dataclasses import replace

import pytest
import torch
from torch import Generator

from internal_methods.methods.diffusion import diffusion_inpaint, work
from internal_methods.methods.diffusion.model import TrainedModel
from internal_methods.methods.diffusion.provenance import model_words
from internal_methods.methods.diffusion.settings import NetworkSettings
from internal_methods.methods.video import infusion, infusion_again
from internal_methods.methods.video.infusion import LEARNING

SMALL = NetworkSettings(width=6, levels=1, axes=3, noise_input="code")
QUICK = replace(LEARNING, window=16, frames=4, precision="float32")
TOLD = {"network": SMALL, "training": QUICK, "intervals": 3, "common": 0.5, "asked": 2}


class Kept:
    """A checkpoint in memory."""

    held = None

    def load(self):
        return self.held

    def save(self, tensors, described):
        self.held = ({name: values.clone() for name, values in tensors.items()}, dict(described))


class Stop(Exception):
    pass


def clip(frames: int = 6, height: int = 28, width: int = 40) -> torch.Tensor:
    """Slanted stripes of two colours that move, and some grain."""
    t, y, x = torch.meshgrid(*(torch.arange(n) for n in (frames, height, width)), indexing="ij")
    stripe = ((x + y + 2 * t) % 16 < 8).float()
    colours = torch.tensor([0.9, 0.5, 0.1]).view(3, 1, 1, 1)
    grain = torch.rand(3, frames, height, width, generator=Generator().manual_seed(0))
    return (stripe * colours + (1 - stripe) * (1 - colours) + 0.05 * grain).clamp(0, 1)[None]


def hole(frames: int = 6, height: int = 28, width: int = 40) -> torch.Tensor:
    mask = torch.zeros(1, 1, frames, height, width)
    for frame in range(frames):
        mask[:, :, frame, 10:18, 12 + frame : 20 + frame] = 1
    return mask


def test_what_is_to_be_avoided_is_neither_learnt_from_nor_looked_at_nor_filled():
    image, mask, avoid = clip(), hole(), torch.zeros(1, 1, 1, 28, 40)
    avoid[..., 16:22, :14] = 1  # beside the hole, and over a corner of it
    fill, _ = infusion(image, mask, avoid_mask=avoid, steps=6, **TOLD)
    outside = (mask == 0).expand_as(image)
    assert torch.equal(fill[outside], image[outside])
    other = torch.where((avoid > 0).expand_as(image), 5.0, image)
    again, _ = infusion(other, mask, avoid_mask=avoid, steps=6, **TOLD)
    assert torch.equal(again[~outside], fill[~outside]) and torch.equal(
        again[outside], other[outside]
    )
    looked_at, _ = infusion(image, mask, steps=6, **TOLD)
    assert not torch.equal(looked_at[~outside], fill[~outside])
    begun = [
        infusion(image, mask, avoid_mask=avoid, start=start, steps=2, **TOLD)[0][~outside]
        for start in (image, torch.where((avoid > 0) & (mask == 0), 5.0, image))
    ]
    assert torch.equal(*begun)
    models = []
    infusion(image, mask, avoid_mask=avoid, steps=6, kept=models.append, **TOLD)
    more = infusion_again(models, image, mask, avoid_mask=avoid, asked=2, seed=0)
    assert torch.equal(more, fill)


def test_what_is_known_comes_back_and_grey_is_blended():
    image, mask = clip(), hole()
    mask[:, :, 2] *= 0.25
    image[..., 0, 9, 12] = -0.0  # known, beside the hole: its sign is a bit too
    before = image.clone()
    fills, model = infusion(image, mask, steps=6, count=2, **TOLD)
    assert fills.shape == (2, *image.shape[1:]) and len(model.losses) == 6
    known = (mask == 0).expand_as(image)
    for fill in fills.split(1):
        assert torch.equal(fill[known].view(torch.int32), image[known].view(torch.int32))
    assert torch.equal(image, before)
    whole, _ = infusion(image, (mask > 0).float(), steps=6, count=2, **TOLD)
    assert torch.allclose(fills, image + mask * (whole - image), atol=1e-6)
    assert not torch.allclose(fills[0], fills[1], atol=1e-3)


def test_it_learns_to_fill():
    image, mask = clip(8, 48, 48), hole(8, 48, 48)
    told = TOLD | {"training": replace(QUICK, window=32, frames=8, batch=2, precision="auto")}
    told["network"] = replace(SMALL, width=12, levels=2)
    fills, model = infusion(image * (1 - mask), mask, steps=150, **told | {"asked": 6})
    assert sum(model.losses[-10:]) < 0.3 * sum(model.losses[:10])
    grey = torch.where(mask > 0, torch.full_like(image, 0.5), image)
    error, before = ((each - image).square().mean() for each in (fills, grey))
    assert error < 0.6 * before


@pytest.mark.parametrize(
    "settings", [{}, {"masks": "brush"}, {"loss": "visible"}, {"focus": 0.5}, {"window": 32}]
)
def test_what_the_hole_hides_changes_nothing(settings):
    image, mask = clip(), hole()
    other = torch.where(mask > 0, torch.rand_like(image), image)
    told = TOLD | {"training": replace(QUICK, **settings)}
    (first, one), (second, two) = (infusion(each, mask, steps=4, **told) for each in (image, other))
    assert one.losses == two.losses and torch.equal(first, second)


@pytest.mark.parametrize("at", [3, 11, 16])
def test_a_run_that_was_interrupted_ends_alike(at):
    whole, model = infusion(clip(), hole(), steps=16, count=2, **TOLD)
    kept, seen = Kept(), []

    def stop(step):
        seen.append(step.done)
        if step.done >= at and len(seen) > at + 4:  # the last ones while a fill is sampled
            raise Stop

    with pytest.raises(Stop):
        infusion(clip(), hole(), steps=16, count=2, checkpoint=kept, callback=stop, **TOLD)
    assert kept.held is not None
    again, resumed = infusion(clip(), hole(), steps=16, count=2, checkpoint=kept, **TOLD)
    assert torch.equal(whole, again) and model.losses == resumed.losses


def test_the_kept_networks_make_the_same_fills_and_more():
    models, image, mask = [], clip(), hole()
    fills, _ = infusion(image, mask, steps=8, count=2, kept=models.append, **TOLD)
    assert [(m.training.first, m.training.last) for m in models] == [
        (999, 667), (666, 334), (333, 0),
    ]  # fmt: skip
    same = infusion_again(models, image, mask, asked=2, count=2, seed=0)
    assert torch.equal(same, fills)
    other = infusion_again(models, image, mask, asked=2, seed=3)
    assert not torch.allclose(other, fills[:1], atol=1e-3)
    with pytest.raises(ValueError, match="do not follow"):
        infusion_again(models[::-1], image, mask)


def test_tiles_change_nothing(monkeypatch):
    models, image = [], clip(9, 24, 48)
    mask = torch.zeros(1, 1, 9, 24, 48)
    mask[..., 4:20, 4:44] = 1
    whole, _ = infusion(image, mask, steps=3, kept=models.append, **TOLD)
    tiles = work.Work.of(models[0], image, mask > 0, None).tiles
    monkeypatch.setattr(work, "VOXELS", 7000)
    cut = work.Work.of(models[0], image, mask > 0, None).tiles
    assert len(tiles) == 1 and len(cut) > 1
    made = infusion_again(models, image, mask, asked=2, seed=0)
    assert torch.allclose(made, whole, atol=1e-5)


def test_a_model_of_a_clip_survives_its_dictionary_and_says_what_it_is():
    _, model = infusion(clip(), hole(), steps=2, **TOLD)
    again = TrainedModel.from_dict(*model.to_dict())
    assert (again.network, again.training) == (model.network, model.training)
    assert "trained on: a clip of 6 frames of 40x28 pixels, 3 channels" in model_words(again)
    with pytest.raises(ValueError, match="the model was trained on a clip"):
        diffusion_inpaint(again, clip()[:, :, 0], hole()[:, :, 0])


def test_a_start_is_refined():
    image, mask = clip(), hole()
    told = TOLD | {"training": replace(QUICK, first=60, prediction="noise")}
    near, far = (
        infusion(image * (1 - mask), mask, steps=3, start=start, **told)[0]
        for start in (image, 1 - image)
    )
    error = [((each - image) * mask).abs().sum() for each in (near, far)]
    assert error[0] < 0.7 * error[1]


def test_it_can_be_stopped_within_a_step_of_the_sampling():
    """Between the convolutions: tiles of clips are large."""
    heard = []
    infusion(clip(), hole(), steps=3, callback=heard.append, **TOLD)
    assert heard[-1].done == 3
    assert len(heard) > 3 * 2 * 10  # three intervals, two steps, ten convolutions
    assert heard[-1].image.dim() == 4 and heard[-1].image.shape[1] == 3


def test_one_mask_for_all_frames_and_windows_larger_than_the_clip(caplog):
    image, mask = clip(3), hole()[:, :, :1]
    with caplog.at_level(logging.WARNING):
        fill, _ = infusion(image, mask, steps=2, **TOLD)
    every, _ = infusion(image, mask.expand(-1, -1, 3, -1, -1), steps=2, **TOLD)
    assert torch.equal(fill, every)
    assert "windows are 3x16x16, not 4x16x16" in caplog.text


def test_under_inference_mode():
    plain, _ = infusion(clip(), hole(), steps=2, **TOLD)
    with torch.inference_mode():
        assert torch.equal(infusion(clip(), hole(), steps=2, **TOLD)[0], plain)


def test_what_does_not_fit_is_said_in_words():
    image, mask = clip(), hole()
    for given, told in (
        ((image, mask[:, :, :4]), "mask has 4 frames, the clip 6"),
        ((image, mask[..., :20]), "mask is 28x20, the clip 28x40"),
        ((image.repeat(2, 1, 1, 1, 1), mask), "batch of 2"),
        ((image[:, :, 0], mask), "expected .B, C, T, H, W."),
        ((image, torch.ones_like(mask)), "nothing is left"),
        ((image, torch.zeros_like(mask)), "nothing to fill"),
    ):
        with pytest.raises(ValueError, match=told):
            infusion(*given, steps=1, **TOLD)
    with pytest.raises(ValueError, match="axes=3"):
        infusion(image, mask, steps=1, network=NetworkSettings())
    with pytest.raises(ValueError, match="start has shape"):
        infusion(image, mask, steps=1, start=image[:, :, 1:], **TOLD)
    with pytest.raises(ValueError, match="sees noise and holes"):
        infusion(image, mask, steps=1, network=replace(SMALL, conditional=False))
