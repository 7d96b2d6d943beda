"""Dynamic textures: size, length, loops, what is not learnt from."""

from dataclasses import replace

import pytest
import torch
from torch import Generator

from internal_methods.methods.diffusion import work
from internal_methods.methods.diffusion.settings import NetworkSettings
from internal_methods.methods.video import dynamic_texture, dynamic_texture_again, source_psnr
from internal_methods.methods.video.infusion import LEARNING

SMALL = NetworkSettings(width=6, levels=1, axes=3, noise_input="code", conditional=False)
QUICK = replace(LEARNING, window=16, frames=4, masks="brush", precision="float32")
TOLD = {"network": SMALL, "training": QUICK, "intervals": 2, "common": 0.5, "asked": 3}


def clip(frames: int = 8, height: int = 24, width: int = 32) -> torch.Tensor:
    t, y, x = torch.meshgrid(*(torch.arange(n) for n in (frames, height, width)), indexing="ij")
    stripe = ((x + y + 2 * t) % 8 < 4).float()
    colours = torch.tensor([0.9, 0.5, 0.1]).view(3, 1, 1, 1)
    return (stripe * colours + (1 - stripe) * (1 - colours))[None]


def test_any_length_and_size_and_the_same_again():
    models = []
    made, model = dynamic_texture(
        clip(), frames=5, size=(7, 21), steps=4, count=2, kept=models.append, **TOLD
    )
    assert made.shape == (2, 3, 5, 7, 21) and len(model.losses) == 4
    assert 0 <= float(made.min()) and float(made.max()) <= 1
    assert not torch.allclose(made[0], made[1], atol=1e-3)
    settings = {"frames": 5, "size": (7, 21), "asked": 3}
    assert torch.equal(dynamic_texture_again(models, count=2, **settings), made)
    other = dynamic_texture_again(models, seed=1, **settings)
    assert not torch.allclose(other, made[:1], atol=1e-3)


def jumps(made: torch.Tensor) -> torch.Tensor:
    """(T,) how much each frame differs from the one before, that of the first from the last."""
    return (made - made.roll(1, 2)).abs().mean((0, 1, 3, 4))


@pytest.fixture
def one_thread():
    """What a network learns depends a little on the number of threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_a_loop_has_no_seam(one_thread):
    models = []
    told = TOLD | {"network": replace(SMALL, width=12, levels=2)}
    told["training"] = replace(QUICK, window=24, frames=8, precision="auto")
    looped, _ = dynamic_texture(
        clip(8, 32, 32), frames=12, loop=True, steps=120, kept=models.append, **told
    )
    steps = jumps(looped)
    assert float(steps[0]) < 1.3 * float(steps[1:].mean())
    assert float(steps.min()) > 0.02  # it moves
    straight = dynamic_texture_again(models, frames=12, size=(32, 32), asked=3)
    ends = jumps(straight)
    assert float(ends[0]) > 1.3 * float(ends[1:].mean())


def test_a_loop_goes_round_exactly(monkeypatch):
    """Turned noise gives the turned loop: no frame is the first."""
    models = []
    dynamic_texture(clip(), frames=6, loop=True, steps=2, kept=models.append, **TOLD)
    made = dynamic_texture_again(models, frames=6, size=(16, 16), loop=True, asked=3)
    plain = work.Work.noise
    monkeypatch.setattr(work.Work, "noise", lambda *given: plain(*given).roll(2, 2))
    turned = dynamic_texture_again(models, frames=6, size=(16, 16), loop=True, asked=3)
    assert torch.allclose(turned, made.roll(2, 2), atol=1e-5)


@pytest.mark.parametrize("loop", [False, True])
def test_tiles_change_nothing(monkeypatch, loop):
    models = []
    made, _ = dynamic_texture(
        clip(), frames=10, size=(26, 8), loop=loop, steps=2, kept=models.append, **TOLD
    )
    whole = (10 if loop else 18) * 42 * 24  # with what is around it
    monkeypatch.setattr(work, "VOXELS", whole - 1)
    settings = {"frames": 10, "size": (26, 8), "loop": loop, "asked": 3}
    cut = dynamic_texture_again(models, **settings)
    size, cpu = (10 if loop else 18, 42, 24), torch.device("cpu")
    assert len(work.Work.anew(models[0], size, cpu, loop).tiles) == 2
    assert torch.allclose(cut, made, atol=1e-5)


def test_what_is_masked_is_not_learnt():
    image, mask = clip(), torch.zeros(1, 1, 1, 24, 32)
    mask[..., 8:14, 10:20] = 1
    other = torch.where(mask > 0, torch.rand_like(image), image)
    (first, one), (second, two) = (
        dynamic_texture(each, frames=4, mask=mask, steps=4, **TOLD) for each in (image, other)
    )
    assert one.losses == two.losses and torch.equal(first, second)


def test_a_texture_that_is_not_stationary_learns_whole_frames():
    model = dynamic_texture(clip(), frames=5, stationary=False, steps=2, **TOLD)[1]
    assert model.training.window == 32
    with pytest.raises(ValueError, match="not stationary has that of the clip"):
        dynamic_texture(clip(), frames=5, size=(24, 40), stationary=False, steps=2, **TOLD)


def test_the_psnr_flags_a_copy():
    source, draw = clip(), Generator().manual_seed(0)
    grain = source + 0.1 * torch.randn(source.shape, generator=draw)
    assert abs(float(source_psnr(grain, source)) - 20) < 0.2
    assert float(source_psnr(source[:, :, :5, :9].repeat(2, 1, 1, 1, 1), source)[1]) > 100


def test_bad_input_is_said_in_words():
    with pytest.raises(ValueError, match="frames is 0"):
        dynamic_texture(clip(), frames=0, steps=1, **TOLD)
    with pytest.raises(ValueError, match="not conditional"):
        dynamic_texture(clip(), frames=2, steps=1, network=replace(SMALL, conditional=True))
    with pytest.raises(ValueError, match="that dynamic_texture has trained"):
        dynamic_texture_again([], frames=2, size=(8, 8))
