"""A step of a training on a clip. Of pictures: test_training.py."""

import logging

import pytest
import torch
from torch import Generator

from internal_methods.methods.diffusion.model import TrainedModel
from internal_methods.methods.diffusion.settings import NetworkSettings, TrainingSettings
from internal_methods.methods.diffusion.trainer import Trainer, window_size

SMALL = NetworkSettings(width=4, levels=1, axes=3, noise_input="code")


def trainer(clip, holes, **settings) -> Trainer:
    training = TrainingSettings(**({"window": 16, "frames": 4, "batch": 3} | settings))
    return Trainer(TrainedModel(SMALL, training, {}), clip, holes)


def clip(frames=6, height=20, width=24) -> torch.Tensor:
    return torch.rand(1, 3, frames, height, width, generator=Generator().manual_seed(0))


@pytest.mark.parametrize("loss", ["hole", "visible"])
def test_the_error_is_counted_where_it_should(loss):
    """A network that says 0 errs by the clip itself."""
    holes = torch.zeros(1, 1, 6, 20, 24)
    holes[..., 6:14, 6:18] = 1  # no window is free of it
    one = trainer(clip(), holes, loss=loss)
    with torch.no_grad():
        for values in one.parameters:
            values.zero_()
    batch = one.windows.draw(Generator().manual_seed(5))
    assert bool((batch.learnt == 0).any()) and bool((batch.hidden == 0).any())
    counted = batch.learnt * (batch.hidden if loss == "hole" else 1)
    expected = (batch.clean**2 * counted).sum() / (3 * counted.sum())
    assert torch.isclose(one._loss(Generator().manual_seed(5)), expected, rtol=1e-4)


def test_windows_lie_near_the_hole():
    holes = torch.zeros(1, 1, 6, 20, 24)
    holes[..., 4:6, 2:4] = 1
    far = torch.cat([clip(), torch.full((1, 3, 6, 20, 200), 0.5)], 4)
    one = trainer(far, torch.nn.functional.pad(holes, (0, 200)))
    assert one.images.shape[2:] == (6, 20, 4 + 2 * 16)


def test_a_window_is_as_large_as_it_can_be(caplog):
    settings = TrainingSettings(window=30, frames=9)
    with caplog.at_level(logging.WARNING):
        assert window_size(SMALL, settings, (12, 40, 41)) == (9, 30, 30)
        assert not caplog.text
        assert window_size(SMALL, settings, (5, 21, 64)) == (5, 20, 30)
    assert "windows are 5x20x30, not 9x30x30: the clip is no larger" in caplog.text
    pictures = NetworkSettings(levels=2)
    assert window_size(pictures, settings, (40, 21)) == (20, 20)
