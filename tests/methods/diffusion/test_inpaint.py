"""Filling with a model: against the same sampling written out for the whole picture."""

import logging
from dataclasses import replace

import pytest
import torch
from torch import Generator

from internal_methods.backends import random
from internal_methods.methods.diffusion import inpaint as module
from internal_methods.methods.diffusion import work
from internal_methods.methods.diffusion.inpaint import diffusion_inpaint
from internal_methods.methods.diffusion.model import SCHEDULE, TrainedModel
from internal_methods.methods.diffusion.network import UNet
from internal_methods.methods.diffusion.sampling import sample
from internal_methods.methods.diffusion.scale import Scale
from internal_methods.methods.diffusion.settings import NetworkSettings, TrainingSettings


def model(seed=0, training=None, **network) -> TrainedModel:
    """With weights that nobody has trained, made larger so that they say something."""
    settings = NetworkSettings(**({"width": 8, "levels": 1} | network))
    net = UNet(settings, Generator().manual_seed(seed))
    weights = {name: 1.5 * value.detach() for name, value in net.state_dict().items()}
    return TrainedModel(settings, training or TrainingSettings(), weights)


def picture(size=(24, 32), seed=1, channels=3, batch=1) -> torch.Tensor:
    return torch.rand((batch, channels, *size), generator=Generator().manual_seed(seed))


def box(size=(24, 32), rows=(9, 15), columns=(12, 20)) -> torch.Tensor:
    mask = torch.zeros(1, 1, *size)
    mask[..., slice(*rows), slice(*columns)] = 1
    return mask


def written_out(trained, image, mask, steps, seed=0, number=0, sampler="dpm2", bend=2.0):
    """One sample of a picture whose sides are even, all of it at once."""
    height, width = image.shape[2:]

    def noise(t):
        places = (torch.arange(3)[:, None, None], torch.arange(height)[:, None])
        return random.normal_at(seed, t, number, *places, torch.arange(width))[None]

    hole = (mask > 0).float()
    known = (2 * image - 1) * (1 - hole)
    made = sample(
        trained.denoiser(known, hole, "cpu"), noise(1000), SCHEDULE, noise=noise, sampler=sampler,
        levels=SCHEDULE.levels(steps, bend=bend), known=(known, hole),
    )  # fmt: skip
    return torch.where(mask > 0, image + mask * ((made + 1) / 2 - image), image)


@pytest.mark.parametrize(
    "rows,columns", [((9, 15), (12, 20)), ((0, 5), (27, 32)), ((20, 24), (0, 32))]
)
def test_the_crop_changes_nothing(rows, columns):
    trained, image, mask = model(), picture(), box(rows=rows, columns=columns)
    made = diffusion_inpaint(trained, image, mask, steps=5)
    assert torch.allclose(made, written_out(trained, image, mask, 5), atol=1e-5)
    assert float((made - image)[mask.expand_as(image) > 0].abs().mean()) > 0.05


@pytest.mark.parametrize("sampler,bend", [("ancestral", 1.0), ("ddim", 2.0)])
def test_other_samplers(sampler, bend):
    trained, image, mask = model(), picture(), box()
    made = diffusion_inpaint(trained, image, mask, steps=9, seed=4, sampler=sampler)
    wanted = written_out(trained, image, mask, 9, 4, sampler=sampler, bend=bend)
    assert torch.allclose(made, wanted, atol=1e-5)


def test_tiles_change_nothing(monkeypatch):
    trained, image, mask = model(), picture((40, 48)), box((40, 48), (3, 37), (2, 44))
    mask[..., 10:30, 10:30] = 0  # some of the tiles have nothing to do
    whole = diffusion_inpaint(trained, image, mask, steps=4)
    monkeypatch.setattr(work, "TILE", 9)
    assert torch.allclose(diffusion_inpaint(trained, image, mask, steps=4), whole, atol=1e-5)


def test_a_small_hole_in_a_large_picture_is_worked_on_alone():
    seen, image, mask = [], picture((400, 300)), box((400, 300), (200, 210), (100, 110))
    diffusion_inpaint(model(), image, mask, steps=2, callback=seen.append)
    assert max(seen[-1].image.shape[2:]) < 80


def test_known_pixels_come_back_and_grey_ones_are_blended():
    trained, image = model(), picture()
    mask = box() * 0.25
    mask[..., 10:12, 14:16] = 1
    image[..., 10, 11] = -0.0  # known, beside the hole: its sign is a bit too
    made, whole = (
        diffusion_inpaint(trained, image, m, steps=4) for m in (mask, (mask > 0).float())
    )
    known = (mask == 0).expand_as(image)
    assert torch.equal(made[known].view(torch.int32), image[known].view(torch.int32))
    assert torch.allclose(made, image + mask * (whole - image), atol=1e-6)


def test_a_sample_does_not_depend_on_the_others(monkeypatch):
    trained, images, mask = model(), picture(batch=2), box()
    many = diffusion_inpaint(trained, images, mask, steps=4, count=3, seed=2)
    assert many.shape[0] == 6 and not torch.allclose(many[0], many[1], atol=1e-3)
    first = diffusion_inpaint(trained, images[:1], mask, steps=4, seed=2)
    assert torch.allclose(many[:1], first, atol=1e-6)
    alone = diffusion_inpaint(trained, images[1:], mask, steps=4, count=2, seed=2)
    assert torch.allclose(many[3:5], alone, atol=1e-6)
    monkeypatch.setattr(module, "PIXELS", {"cpu": 1})  # one at a time
    single = diffusion_inpaint(trained, images, mask, steps=4, count=3, seed=2)
    assert torch.allclose(single, many, atol=1e-6)
    other = diffusion_inpaint(trained, images, mask, steps=4, count=3, seed=3)
    assert not torch.allclose(other, many, atol=1e-3)


@pytest.mark.parametrize("size", [(5, 7), (1, 9), (25, 33)])
def test_sides_that_do_not_divide(size):
    """Continued by their mirror image: as if the mirrored picture were given."""
    trained, image, mask = model(), picture(size), torch.zeros(1, 1, *size)
    mask[..., : max(1, size[0] // 2), 2:5] = 1
    made = diffusion_inpaint(trained, image, mask, steps=4)
    assert made.shape == image.shape and bool(torch.isfinite(made).all())
    known = (mask == 0).expand_as(image)
    assert torch.equal(made[known], image[known])
    extra = [n % 2 for n in size]
    rows, columns = (
        [*range(n), *([max(0, n - 2)] if more else [])] for n, more in zip(size, extra, strict=True)
    )
    larger, hidden = (t[:, :, rows][..., columns] for t in (image, mask))
    wanted = diffusion_inpaint(trained, larger, hidden, steps=4)[..., : size[0], : size[1]]
    assert torch.allclose(made, wanted, atol=1e-5)


def test_one_step_is_the_mean_at_the_noisiest_level():
    trained, image, mask = model(), picture(), box()
    made = diffusion_inpaint(trained, image, mask, steps=1, seed=5)
    places = (torch.arange(3)[:, None, None], torch.arange(24)[:, None], torch.arange(32))
    x = random.normal_at(5, 1000, 0, *places)[None]
    mean = trained.denoiser((2 * image - 1) * (1 - mask), mask, "cpu")(x, 999).clamp(-1, 1)
    assert torch.allclose(made, torch.where(mask > 0, (mean + 1) / 2, image), atol=1e-5)


def test_a_start_is_refined_from_its_noise_level_on():
    trained, image, mask, fill = model(), picture(), box(), picture(seed=9)
    made = diffusion_inpaint(trained, image, mask, steps=1, start=fill, start_level=40, seed=5)
    begun = torch.where(mask > 0, fill, image)
    places = (torch.arange(3)[:, None, None], torch.arange(24)[:, None], torch.arange(32))
    x = SCHEDULE.noised(2 * begun - 1, 40, random.normal_at(5, 1000, 0, *places)[None])
    mean = trained.denoiser((2 * image - 1) * (1 - mask), mask, "cpu")(x, 40).clamp(-1, 1)
    assert torch.allclose(made, torch.where(mask > 0, (mean + 1) / 2, image), atol=1e-5)


def test_a_model_for_little_noise_wants_a_start():
    trained, image, mask = model(training=TrainingSettings(first=300)), picture(), box()
    with pytest.raises(ValueError, match="levels up to 300 of 999.*as start"):
        diffusion_inpaint(trained, image, mask)
    made = diffusion_inpaint(trained, image, mask, steps=3, start=image)
    same = diffusion_inpaint(trained, image, mask, steps=3, start=image, start_level=300)
    assert torch.equal(made, same)
    with pytest.raises(ValueError, match="start_level 500 is not within 0 and 300"):
        diffusion_inpaint(trained, image, mask, start=image, start_level=500)


def test_a_regression_has_one_answer():
    trained, image, mask = model(noisy=False), picture(), box()
    made = diffusion_inpaint(trained, image, mask, count=2, seed=8)
    said = trained.denoiser((2 * image - 1) * (1 - mask), mask, "cpu")(image, 0).clamp(-1, 1)
    assert torch.equal(made[0], made[1])
    assert torch.allclose(made[:1], torch.where(mask > 0, (said + 1) / 2, image), atol=1e-6)


def test_alpha_is_left_alone_or_filled_by_a_model_that_knows_it():
    image, mask = picture(channels=4), box()
    made = diffusion_inpaint(model(), image, mask, steps=3)
    assert torch.equal(made[:, 3:], image[:, 3:])
    colours = diffusion_inpaint(model(), image[:, :3].contiguous(), mask, steps=3)
    assert torch.allclose(made[:, :3], colours, atol=1e-6)
    both = diffusion_inpaint(model(channels=4), image, mask, steps=3)
    assert not torch.equal(both[:, 3:], image[:, 3:])
    with pytest.raises(ValueError, match="image has 1 channels, but the model was trained on 3"):
        diffusion_inpaint(model(), image[:, :1], mask)
    with pytest.raises(ValueError, match="image has 3 channels, but the model was trained on 1"):
        diffusion_inpaint(model(channels=1), image[:, :3], mask)


def test_other_ranges_and_types():
    trained, image, mask = model(), picture(), box()
    image[..., 0, 0], image[..., 0, 1] = 0, 1  # known: the range is 0 to 1
    made = diffusion_inpaint(trained, image, mask, steps=3)
    wide = diffusion_inpaint(trained, image * 300 - 100, mask, steps=3)
    assert torch.allclose(wide, made * 300 - 100, atol=1e-2)
    double = diffusion_inpaint(trained, image.double(), mask, steps=3)
    assert double.dtype == torch.float64 and torch.allclose(double.float(), made, atol=1e-5)
    shifted = replace(trained, scale=Scale(50.0, 150.0, -100.0, 200.0))
    assert torch.allclose(diffusion_inpaint(shifted, image * 300 - 100, mask, steps=3), wide)
    flat = diffusion_inpaint(trained, torch.full_like(image, 40.0), mask, steps=3)
    assert bool(torch.isfinite(flat).all()) and float(flat.max()) <= 41


def test_an_unconditional_model_is_told_what_is_known_as_it_goes():
    trained, image, mask = model(conditional=False), picture(), box()
    made, again, other = (
        diffusion_inpaint(trained, i, mask, steps=6, resamples=times)
        for i, times in ((image, 1), (image, 3), (1 - image, 1))
    )
    known = (mask == 0).expand_as(image)
    assert torch.equal(made[known], image[known]) and torch.equal(again[known], image[known])
    assert not torch.allclose(made[~known], again[~known], atol=1e-4)
    assert not torch.allclose(made[~known], other[~known], atol=1e-4)


def test_the_callback_gets_a_strip_and_may_end_it():
    steps, trained, image, mask = [], model(), picture(), box()
    diffusion_inpaint(trained, image, mask, steps=9, count=2, strip=4, callback=steps.append)
    marked = [step for step in steps if step.level_done]
    assert [step.level for step in marked] == [0, 1, 2, 3] and marked[0].levels == 4
    assert steps[-1].done == steps[-1].total
    made = diffusion_inpaint(trained, image, mask, steps=9)
    rows, columns = marked[-1].image.shape[2:]
    assert (rows, columns) == (24, 32) and torch.allclose(marked[-1].image, made, atol=1e-5)

    def stop(step):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        diffusion_inpaint(trained, image, mask, steps=9, callback=stop)


def test_every_tile_can_be_interrupted(monkeypatch):
    trained, image, mask = model(), picture((40, 48)), box((40, 48), (3, 37), (2, 44))
    heard = []
    monkeypatch.setattr(work, "TILE", 20)
    diffusion_inpaint(trained, image, mask, steps=2, callback=lambda step: heard.append(step.done))
    assert heard == [0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 2]  # six tiles, and an end of each


def test_under_inference_mode_and_inputs_stay():
    image, mask = picture(), box()
    before = image.clone()
    plain = diffusion_inpaint(model(), image, mask, steps=2)
    with torch.inference_mode():
        assert torch.equal(diffusion_inpaint(model(), image, mask, steps=2), plain)
    assert torch.equal(image, before)


def test_an_empty_mask_is_said(caplog):
    image, masks = picture(batch=2), torch.cat([box(), torch.zeros_like(box())])
    with caplog.at_level(logging.WARNING):
        made = diffusion_inpaint(model(), image, masks, steps=2, count=2)
    assert "the mask is empty" in caplog.text
    assert torch.equal(made[2:], image[1:].expand(2, -1, -1, -1))
    assert not torch.equal(made[:1], image[:1])


def test_the_whole_picture_may_be_made_anew():
    image = picture((16, 16))
    made = diffusion_inpaint(model(), image, torch.ones(1, 1, 16, 16), steps=3)
    assert not bool((made == image).any()) and 0 <= float(made.min()) <= float(made.max()) <= 1


def test_bad_input_is_said_in_words():
    image, mask = picture(), box()
    with pytest.raises(ValueError, match="steps is 0, has to be 1 or more"):
        diffusion_inpaint(model(), image, mask, steps=0)
    with pytest.raises(ValueError, match="sampler is 'euler'"):
        diffusion_inpaint(model(), image, mask, sampler="euler")
    with pytest.raises(ValueError, match="mask is 32x32, the image 24x32"):
        diffusion_inpaint(model(), image, torch.ones(1, 1, 32, 32))
    with pytest.raises(ValueError, match="NaN or infinite"):
        diffusion_inpaint(model(), image * torch.nan, mask)
    with pytest.raises(ValueError, match="start has shape"):
        diffusion_inpaint(model(), image, mask, start=image[..., :8])
