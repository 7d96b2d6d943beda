"""The nodes that train a small network, fill holes with it, and look at many fills."""

import inspect
from dataclasses import fields

import pytest
import torch

from internal_methods.headless import host
from internal_methods.methods import cost
from internal_methods.methods.diffusion import (
    NetworkSettings,
    TrainingSettings,
    diffusion_inpaint,
    interval_inpaint,
)
from internal_methods.nodes import convert
from internal_methods.nodes.diffusion import (
    UNFINISHED,
    DiffusionInpaint,
    IntervalInpaint,
    TrainDiffusion,
)
from internal_methods.nodes.diffusion_inputs import INTENSITY, KINDS
from internal_methods.nodes.sample_statistics import SampleStatistics
from internal_methods.storage.models import load_model

SMALL = {"steps": 3, "window": 16, "batch": 2, "width": 4, "levels": 1, "precision": "float32"}
QUICK = {"steps": 3}


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    monkeypatch.setattr(host, "checkpoint_folder", lambda: tmp_path / "checkpoints")
    with host.hosting(host.Host(output=tmp_path / "out", models=tmp_path / "models")):
        yield tmp_path


def defaults(node) -> dict:
    sockets = node.GET_SCHEMA().inputs
    return {s.id: s.default for s in sockets if getattr(s, "default", None) is not None}


def picture(size=(40, 48), seed=0, channels=3) -> torch.Tensor:
    return torch.rand(1, *size, channels, generator=torch.Generator().manual_seed(seed))


def hole(size=(40, 48), rows=(8, 16), columns=(20, 30)) -> torch.Tensor:
    mask = torch.zeros(1, *size)
    mask[:, slice(*rows), slice(*columns)] = 1
    return mask


def trained(image=None, mask=None, **changes):
    image = picture() if image is None else image
    with torch.inference_mode():  # as ComfyUI runs nodes
        settings = defaults(TrainDiffusion) | SMALL | changes
        return TrainDiffusion.execute(image, mask=mask, **settings).args


def filled(model, image, mask, **changes):
    with torch.inference_mode():
        settings = defaults(DiffusionInpaint) | QUICK | changes
        return DiffusionInpaint.execute(model, image, mask, **settings).args


def in_turn(image, mask, **changes):
    with torch.inference_mode():
        settings = defaults(IntervalInpaint) | SMALL | {"intervals": 3, "asked": 2} | changes
        return IntervalInpaint.execute(image, mask, **settings).args


@pytest.mark.parametrize("node", [TrainDiffusion, IntervalInpaint])
def test_widgets_begin_with_the_settings_of_the_method(node):
    widgets = defaults(node)
    for settings in (NetworkSettings, TrainingSettings):
        for field in fields(settings):
            if field.name in widgets and field.name != "attention":
                assert widgets[field.name] == field.default, field.name
    assert widgets["noisiest"] == TrainingSettings().first and widgets["attention"] == ""
    assert INTENSITY == cost.INTENSITY


@pytest.mark.parametrize(("node", "method"), [
    (DiffusionInpaint, diffusion_inpaint), (IntervalInpaint, interval_inpaint),
])  # fmt: skip
def test_widgets_begin_with_the_arguments_of_the_method(node, method):
    wanted = inspect.signature(method).parameters
    widgets = {name: value for name, value in defaults(node).items() if name in wanted}
    assert len(widgets) >= 5
    for name, value in widgets.items():
        if wanted[name].default is not None:  # else 0 or the like stands for it
            assert value == wanted[name].default, name


def test_a_model_is_trained_and_fills():
    image, mask = picture(), hole()
    model, curve, summary = trained(image, mask)
    assert len(model.losses) == 3 and model.network == NetworkSettings(width=4, levels=1)
    assert model.training.window == 16 and model.training.precision == "float32"
    assert curve.shape == (1, 360, 640, 3) and summary.startswith("3 steps")
    images, strip, words = filled(model, image, mask, count=3, strip=2)
    assert images.shape == (3, 40, 48, 3) and words.startswith("3 fills of 3 steps")
    known = (mask == 0)[..., None].expand_as(images[:1])
    assert all(torch.equal(made[known[0]], image[known]) for made in images)
    assert strip.shape[0] == 2 and not torch.equal(images[0], images[1])


def test_a_mask_is_not_needed_to_train():
    model = trained(torch.cat([picture(), picture(seed=1)]))[0]
    assert model.provenance["trained_on"]["pictures"] == 2


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_fills(kind):
    image, mask = picture(), hole()
    model = trained(image, mask, kind=kind)[0]
    assert (model.network.conditional, model.network.noisy) == (
        kind != "unconditional",
        kind != "regression",
    )
    images = filled(model, image, mask, count=2, resamples=2)[0]
    assert bool(torch.isfinite(images).all())
    assert torch.equal(images[0], images[1]) == (kind == "regression")


def test_more_steps_change_the_model_and_a_start_model_is_gone_on_with():
    image, mask = picture(), hole()
    short, long = (trained(image, mask, steps=steps)[0] for steps in (1, 4))
    assert not torch.equal(short.weights["first.weight"], long.weights["first.weight"])
    begun = trained(image, mask, start_model=long, steps=1, learning_rate=1e-6)[0]
    near, far = (
        (begun.weights["first.weight"] - model.weights["first.weight"]).abs().max()
        for model in (long, short)
    )
    assert near < 1e-5 < far
    with pytest.raises(ValueError, match="another network"):
        trained(image, mask, start_model=long, width=8)


def test_the_stated_power_is_in_the_summary_and_in_the_provenance():
    model, _, summary = trained(watts=1000.0, gco2_per_kwh=400.0)
    assert "at 1000 W" in summary and "400 g/kWh" in summary
    assert model.provenance["cost"]["watts"] == 1000
    image, mask = picture(), hole()
    assert "at 65 W" in filled(model, image, mask)[2] or torch.cuda.is_available()


def test_training_and_filling_in_turn():
    image, mask = picture(), hole()
    images, curve, summary = in_turn(image, mask, count=2, steps=6)
    assert images.shape == (2, 40, 48, 3) and curve.shape == (1, 360, 640, 3)
    assert summary.startswith("6 steps") and not torch.equal(images[0], images[1])
    outside = mask[0] == 0
    assert all(torch.equal(made[outside], image[0][outside]) for made in images)
    refined = in_turn(image, mask, start=picture(seed=3), noisiest=300)[0]
    assert bool(torch.isfinite(refined).all())
    with pytest.raises(ValueError, match="mask covers everything"):
        in_turn(image, torch.ones_like(mask))


def test_attention_is_put_in_where_asked():
    image, mask = picture(), hole()
    model = trained(image, mask, attention="0, 1")[0]
    assert model.network.attention == (0, 1)
    assert bool(torch.isfinite(filled(model, image, mask)[0]).all())
    with pytest.raises(ValueError, match="attention is 'middle'; give whole numbers"):
        trained(image, mask, attention="middle")
    with pytest.raises(ValueError, match="levels 0 to 1"):
        trained(image, mask, attention="5")


class Stop(Exception):
    pass


def test_cancel_keeps_the_training_and_the_model(folders, monkeypatch):
    image, mask = picture(), hole()
    whole = trained(image, mask, steps=40)[0]

    class Cancelled(convert.Progress):
        def __call__(self, step):
            if step.done == 17:
                raise Stop

    with monkeypatch.context() as patched:
        patched.setattr(convert, "Progress", Cancelled)
        with pytest.raises(Stop):
            trained(image, mask, steps=40)
    assert len(list((folders / "checkpoints").glob("*.safetensors"))) == 1
    left = load_model(folders / "models" / f"{UNFINISHED}.safetensors")
    assert len(left.losses) == 17
    assert bool(torch.isfinite(filled(left, image, mask)[0]).all())
    resumed = trained(image, mask, steps=40)[0]
    assert resumed.losses == whole.losses
    for name, weight in whole.weights.items():
        assert torch.equal(resumed.weights[name], weight), name
    assert not list((folders / "checkpoints").glob("*.safetensors"))


def test_a_changed_input_begins_anew(folders, monkeypatch):
    image, mask = picture(), hole()

    class Cancelled(convert.Progress):
        def __call__(self, step):
            raise Stop

    with monkeypatch.context() as patched:
        patched.setattr(convert, "Progress", Cancelled)
        with pytest.raises(Stop):
            trained(image, mask)
    kept = list((folders / "checkpoints").glob("*.safetensors"))
    for changes in ({"seed": 1}, {"steps": 4}, {"masks": "brush"}):
        assert trained(image, mask, **changes)[0].losses != []
        assert list((folders / "checkpoints").glob("*.safetensors")) == kept


def test_the_start_level_says_how_much_of_a_start_stays():
    image, mask, fill = picture(), hole(), picture(seed=4)
    model = trained(image, mask)[0]
    apart = []
    for level in (0, 300, 999):
        made = filled(model, image, mask, start=fill, start_level=level, steps=1)[0]
        apart.append(float((made - filled(model, image, mask, steps=1)[0]).abs().max()))
    assert apart[0] > apart[1] > apart[2]


def test_a_fill_is_refined():
    image, mask = picture(), hole()
    model = trained(image, mask, noisiest=200)[0]
    assert model.training.first == 200
    made = filled(model, image, mask, start=picture(seed=4))[0]
    assert bool(torch.isfinite(made).all())
    with pytest.raises(ValueError, match="give it one as start"):
        filled(model, image, mask)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_channels_are_learnt_as_they_are(channels):
    image, mask = picture(channels=channels), hole()
    model = trained(image, mask)[0]
    assert model.network.channels == channels
    made = filled(model, image, mask)[0]
    assert made.shape == image.shape
    outside = mask[0] == 0
    assert torch.equal(made[0][outside], image[0][outside])


def test_bad_input_is_said_in_words():
    image, mask = picture(), hole()
    with pytest.raises(ValueError, match="mask covers everything"):
        trained(image, torch.ones_like(mask))
    with pytest.raises(ValueError, match="nothing to learn"):
        trained(torch.full_like(image, 0.5), mask)
    with pytest.raises(ValueError, match="32x32, but the image is 48x40"):
        trained(image, torch.ones(1, 32, 32))
    with pytest.raises(ValueError, match="NaN or infinite"):
        trained(image * torch.nan, mask)
    with pytest.raises(ValueError, match="loss of step .* is (nan|inf).*learning rate"):
        trained(image, mask, steps=60, learning_rate=1e30)
    grey = trained(image[..., :1], mask)[0]
    with pytest.raises(ValueError, match="image has 3 channels, but the model was trained on 1"):
        filled(grey, image, mask)


@pytest.mark.parametrize("size", [(5, 7), (9, 41)])
def test_pictures_smaller_than_the_network_asks_for(size):
    image, mask = picture(size), torch.zeros(1, *size)
    mask[:, 1:3, 2:4] = 1
    model = trained(image, mask, levels=3)[0]
    made = filled(model, image, mask)[0]
    assert made.shape == image.shape and bool(torch.isfinite(made).all())


def test_a_hole_larger_than_what_is_left():
    image, mask = picture(), hole(rows=(4, 40), columns=(0, 48))
    model = trained(image, mask)[0]
    assert bool(torch.isfinite(filled(model, image, mask)[0]).all())


def test_statistics_of_samples():
    images = torch.cat([picture(seed=seed) for seed in range(4)])
    mean, shown, values, words = SampleStatistics.execute(images, 0.0, "magma", hole()).args
    assert torch.allclose(mean[0], images.mean(0), atol=1e-6) and shown.shape == mean.shape
    assert torch.allclose(values[0], images.var(0).mean(-1), atol=1e-6)
    assert words.startswith("4 samples")
    grey = SampleStatistics.execute(images, 2.0, "grey").args[1]
    assert torch.allclose(grey[0, ..., 1], 2 * values[0], atol=1e-6)
    with pytest.raises(ValueError, match="2 or more"):
        SampleStatistics.execute(images[:1], 0.0, "magma")
