"""The nodes that learn a clip: what goes in and comes out, and that they go on where they were."""

import inspect

import pytest
import torch

from internal_methods.headless import host
from internal_methods.methods.diffusion import NetworkSettings
from internal_methods.methods.video import dynamic_texture, infusion
from internal_methods.methods.video.infusion import CLIPS, LEARNING
from internal_methods.nodes import convert
from internal_methods.nodes.video_diffusion import DynamicTexture, IntervalTrainAndSampleVideo

SMALL = {"steps": 4, "window": 16, "window_frames": 3, "width": 4, "levels": 1, "intervals": 2}
SMALL |= {"asked": 1, "precision": "float32"}


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    monkeypatch.setattr(host, "checkpoint_folder", lambda: tmp_path / "checkpoints")
    with host.hosting(host.Host(output=tmp_path / "out", models=tmp_path / "models")):
        yield tmp_path


def defaults(node) -> dict:
    sockets = node.GET_SCHEMA().inputs
    return {s.id: s.default for s in sockets if getattr(s, "default", None) is not None}


def run(node, *given, **changes):
    with torch.inference_mode():  # as ComfyUI runs nodes
        return node.execute(*given, **(defaults(node) | SMALL | changes)).args


def frames(count=5, size=(24, 32), channels=3) -> torch.Tensor:
    return torch.rand(count, *size, channels, generator=torch.Generator().manual_seed(0))


def hole(count=5, size=(24, 32)) -> torch.Tensor:
    mask = torch.zeros(count, *size)
    mask[:, 8:14, 10:18] = 1
    return mask


@pytest.mark.parametrize(
    ("node", "method"),
    [(IntervalTrainAndSampleVideo, infusion), (DynamicTexture, dynamic_texture)],
)
def test_widgets_begin_with_the_arguments_of_the_method(node, method):
    wanted, widgets = inspect.signature(method).parameters, defaults(node)
    for name in ("intervals", "common", "asked", "count", "steps", "seed"):
        assert widgets[name] == wanted[name].default, name
    for name in ("window", "batch", "weighting", "prediction", "learning_rate", "average"):
        assert widgets[name] == getattr(LEARNING, name), name
    assert widgets["window_frames"] == LEARNING.frames
    for name in ("width", "levels", "noise_input"):
        assert widgets[name] == getattr(CLIPS, name), name
    if node is IntervalTrainAndSampleVideo:
        assert (widgets["masks"], widgets["loss"]) == (LEARNING.masks, LEARNING.loss)


def test_a_clip_is_filled():
    image, mask = frames(), hole()
    fills, model, curve, mean, variance, words = run(
        IntervalTrainAndSampleVideo, image, mask, count=2
    )
    assert fills.shape == (10, 24, 32, 3) and curve.shape == (1, 360, 640, 3)
    assert model.network == NetworkSettings(width=4, levels=1, axes=3, noise_input="code")
    assert model.training.frames == 3 and words.startswith("4 steps")
    known = mask == 0
    for fill in fills.split(5):
        assert torch.equal(fill[known], image[known])
    assert torch.allclose(mean, (fills[:5] + fills[5:]) / 2, atol=1e-6)
    assert float(variance.max()) == 1 and not bool(variance[known].any())
    single = run(IntervalTrainAndSampleVideo, image, mask[:1])
    assert torch.equal(single[0], single[3]) and not bool(single[4].any())
    assert torch.allclose(single[0], fills[:5], atol=1e-5)


def test_what_lies_outside_of_a_stabilised_clip_is_avoided():
    image, mask, outside = frames(), hole(), torch.zeros(1, 24, 32)
    outside[:, :, :6] = 1
    fill = run(IntervalTrainAndSampleVideo, image, mask, avoid_mask=outside)[0]
    black = torch.where(outside[..., None] > 0, 0.0, image)
    again = run(IntervalTrainAndSampleVideo, black, mask, avoid_mask=outside)[0]
    assert torch.equal(again[mask > 0], fill[mask > 0])
    assert torch.equal(again[mask == 0], black[mask == 0])


def test_a_mask_of_other_length_is_refused():
    with pytest.raises(ValueError, match="mask has 3 frames, the clip 5"):
        run(IntervalTrainAndSampleVideo, frames(), hole(3))


def test_a_texture_of_any_size():
    made, model, curve, words = run(
        DynamicTexture, frames(), frames=4, width_pixels=20, height_pixels=9, count=2
    )
    assert made.shape == (8, 9, 20, 3) and curve.shape == (1, 360, 640, 3)
    assert not model.network.conditional and "PSNR against the clip" in words
    same = run(DynamicTexture, frames(channels=4), frames=2, mask=hole(1))[0]
    assert same.shape == (2, 24, 32, 4)


@pytest.mark.parametrize("node", [IntervalTrainAndSampleVideo, DynamicTexture])
def test_a_cancelled_run_goes_on(node, folders, monkeypatch):
    given = (frames(), hole()) if node is IntervalTrainAndSampleVideo else (frames(),)
    more = {} if node is IntervalTrainAndSampleVideo else {"frames": 3}
    whole = run(node, *given, **more)[0]

    class Cancelled(Exception):
        pass

    def cancel(self, step):
        if step.done == 3:
            raise Cancelled

    with monkeypatch.context() as patch:
        patch.setattr(convert.Progress, "__call__", cancel)
        with pytest.raises(Cancelled):
            run(node, *given, **more)
    assert len(list((folders / "checkpoints").glob("*.safetensors"))) == 1
    assert torch.equal(run(node, *given, **more)[0], whole)
    assert not list((folders / "checkpoints").glob("*.safetensors"))
