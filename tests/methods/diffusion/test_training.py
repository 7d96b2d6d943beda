"""Training: what it sees, that it learns, that it goes on where it was."""

from dataclasses import replace

import pytest
import torch
from torch import Generator

from internal_methods.methods.diffusion.intervals import interval_inpaint
from internal_methods.methods.diffusion.model import TrainedModel
from internal_methods.methods.diffusion.settings import NetworkSettings, TrainingSettings
from internal_methods.methods.diffusion.training import train

SMALL = NetworkSettings(width=6, levels=2)
QUICK = TrainingSettings(window=16, batch=4, learning_rate=3e-3, average=0.9, precision="float32")
SEEN = {"network": SMALL, "training": QUICK}


class Kept:
    """A checkpoint in memory."""

    def __init__(self):
        self.held = None

    def load(self):
        return self.held

    def save(self, tensors, described):
        copies = {name: values.clone() for name, values in tensors.items()}
        self.held = (copies, dict(described))


class Stop(Exception):
    pass


def stop_at(number: int):
    def callback(step):
        if step.done == number:
            raise Stop

    return callback


def picture(height: int = 32, width: int = 40) -> torch.Tensor:
    """Slanted stripes of two colours and some grain."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    stripe = ((x + y) % 8 < 4).float()
    colours = torch.tensor([0.9, 0.5, 0.1]).view(3, 1, 1)
    grain = torch.rand(3, height, width, generator=Generator().manual_seed(0))
    return (stripe * colours + (1 - stripe) * (1 - colours) + 0.05 * grain).clamp(0, 1)[None]


def hole(height: int = 32, width: int = 40) -> torch.Tensor:
    mask = torch.zeros(1, 1, height, width)
    mask[..., 10:22, 14:26] = 1
    return mask


def test_the_loss_falls():
    losses = train(picture(), hole(), steps=150, **SEEN).losses
    assert sum(losses[-20:]) < 0.5 * sum(losses[:20])


def test_what_the_hole_hides_changes_nothing():
    image, mask = picture(), hole()
    other = torch.where(mask > 0, torch.rand_like(image), image)
    for settings in (QUICK, replace(QUICK, focus=0.5), replace(QUICK, window=32)):
        seen = {"network": SMALL, "training": settings}
        first = train(image, mask, steps=4, **seen)
        second = train(other, mask, steps=4, **seen)
        assert first.losses == second.losses
        for name, weight in first.weights.items():
            assert torch.equal(weight, second.weights[name])


def test_the_same_seed_repeats_and_another_does_not():
    first, again = (train(picture(), hole(), steps=5, **SEEN) for _ in range(2))
    other = train(picture(), hole(), steps=5, network=SMALL, training=replace(QUICK, seed=1))
    for name, weight in first.weights.items():
        assert torch.equal(weight, again.weights[name])
    assert other.losses != first.losses


@pytest.mark.parametrize("at", [1, 23])
def test_a_training_goes_on_where_it_was(at):
    whole = train(picture(), hole(), steps=40, **SEEN)
    kept, told = Kept(), []
    with pytest.raises(Stop):
        train(
            picture(), hole(), steps=40, checkpoint=kept, callback=stop_at(at),
            interrupted=told.append, **SEEN,
        )  # fmt: skip
    assert len(told[0].losses) == at
    resumed = train(picture(), hole(), steps=40, checkpoint=kept, **SEEN)
    assert resumed.losses == whole.losses
    for name, weight in whole.weights.items():
        assert torch.equal(weight, resumed.weights[name])


def test_intervals_go_on_where_they_were():
    told = {"network": SMALL, "training": QUICK, "intervals": 4, "steps": 40, "asked": 3}
    whole, _ = interval_inpaint(picture(), hole(), count=2, **told)
    kept = Kept()
    with pytest.raises(Stop):
        interval_inpaint(picture(), hole(), count=2, checkpoint=kept, callback=stop_at(27), **told)
    resumed, _ = interval_inpaint(picture(), hole(), count=2, checkpoint=kept, **told)
    assert torch.equal(whole, resumed)


def test_intervals_keep_what_is_known_and_fill_the_rest():
    image, mask = picture(), hole()
    told = {"network": SMALL, "training": QUICK, "intervals": 3, "steps": 240}
    samples, model = interval_inpaint(image, mask, count=2, **told)
    known = (mask == 0).expand_as(image)
    for sample in samples:
        assert torch.equal(sample[None][known], image[known])
    assert not torch.equal(samples[0], samples[1])
    grey = torch.where(mask > 0, torch.full_like(image, 0.5), image)
    error, before = ((each - image).square().mean() for each in (samples, grey))
    assert error < 0.5 * before
    assert len(model.losses) == 240


def test_it_trains_in_inference_mode():
    with torch.inference_mode():
        model = train(picture().clone(), hole().clone(), steps=3, **SEEN)
    start = train(picture(), hole(), steps=1, **SEEN)
    assert any(not torch.equal(w, start.weights[n]) for n, w in model.weights.items())


def test_a_time_budget_ends_it():
    model = train(picture(), hole(), seconds=0.5, **SEEN)
    assert model.losses
    assert model.provenance["limited_by"] == "time"


def test_a_model_survives_its_dictionary():
    model = train(picture(), hole(), steps=2, **SEEN)
    again = TrainedModel.from_dict(*model.to_dict())
    assert (again.network, again.training) == (model.network, model.training)
    assert again.losses == model.losses
    with pytest.raises(ValueError, match="does not describe"):
        TrainedModel.from_dict({}, model.to_dict()[1])


def test_a_start_model_is_where_it_begins():
    start = train(picture(), hole(), steps=150, **SEEN)
    cold = train(picture(), hole(), steps=10, **SEEN)
    warm = train(picture(), hole(), steps=10, start=start, **SEEN)
    assert sum(warm.losses) < 0.7 * sum(cold.losses)


@pytest.mark.parametrize(
    "settings",
    [
        {"prediction": "noise"}, {"prediction": "velocity"}, {"prediction": "mean"},
        {"weighting": "min_snr"}, {"weighting": "elbo"}, {"masks": "brush"}, {"masks": "hole"},
        {"precision": "bfloat16"},
    ],
)  # fmt: skip
def test_every_way_of_training_runs(settings):
    model = train(picture(), hole(), steps=2, network=SMALL, training=replace(QUICK, **settings))
    assert all(loss > 0 for loss in model.losses)


@pytest.mark.parametrize("network", [{"noisy": False}, {"conditional": False}])
def test_other_networks_learn_too(network):
    losses = train(
        picture(), hole(), steps=60, network=replace(SMALL, **network), training=QUICK
    ).losses
    assert sum(losses[-10:]) < 0.9 * sum(losses[:10])


def test_several_pictures_and_no_mask():
    images = torch.cat([picture(), picture().flip(3)])
    assert len(train(images, steps=2, **SEEN).losses) == 2


def test_small_and_grey_pictures_are_padded(caplog):
    small = torch.rand(1, 1, 3, 5, generator=Generator().manual_seed(0))
    model = train(small, steps=2, network=replace(SMALL, channels=1), training=QUICK)
    assert len(model.losses) == 2
    assert "padded" in caplog.text


@pytest.mark.parametrize(
    ("image", "mask", "told"),
    [
        (picture(), torch.ones(1, 1, 32, 40), "nothing is left"),
        (torch.full((1, 3, 32, 40), 0.25), None, "one value 0.25"),
        (picture()[:, :2], None, "2 channels"),
        (picture() / 0, None, "NaN or infinite"),
        (picture(), torch.ones(1, 1, 8, 8), "8x8"),
    ],
)
def test_what_cannot_be_learnt_from_is_refused(image, mask, told):
    with pytest.raises(ValueError, match=told):
        train(image, mask, steps=1, **SEEN)


def test_a_training_needs_an_end():
    with pytest.raises(ValueError, match="needs an end"):
        train(picture(), **SEEN)


def test_a_loss_that_is_no_number_stops_it_and_is_not_kept():
    told, kept = [], Kept()
    with pytest.raises(ValueError, match="loss of step .* lower the learning rate"):
        train(
            picture(), hole(), steps=200, network=SMALL, interrupted=told.append, checkpoint=kept,
            training=replace(QUICK, learning_rate=1e30),
        )  # fmt: skip
    assert not told and kept.held is None
