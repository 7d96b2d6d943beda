"""Dynamic textures: water, fire, foliage, of any length and size, from one clip of them.

Cherel 2024, VI.4: a network that is told of no hole learns windows of the clip, and samples are
drawn from noise.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from ..checks import check_clip
from ..diffusion.intervals import Course, sampled_again, trained_through
from ..diffusion.model import TrainedModel
from ..diffusion.scale import Scale
from ..diffusion.settings import NetworkSettings, TrainingSettings, check_least
from ..diffusion.trainer import Trainer
from ..diffusion.training import Checkpoint, Run, check_training, finished
from ..diffusion.work import Work
from ..metrics.pixels import psnr
from ..steps import Callback
from .infusion import CLIPS, LEARNING, clip_settings

EDGE = (4, 8, 8)  # frames, rows and columns made around the result: at its ends a network sees less


def dynamic_texture(
    clip: Tensor,
    *,
    frames: int,
    size: tuple[int, int] | None = None,
    loop: bool = False,
    stationary: bool = True,
    mask: Tensor | None = None,
    network: NetworkSettings | None = None,
    training: TrainingSettings | None = None,
    intervals: int = 5,
    steps: int | None = 2000,
    seconds: float | None = None,
    common: float = 0.75,
    asked: int = 20,
    count: int = 1,
    seed: int = 0,
    checkpoint: Checkpoint | None = None,
    kept: Callable[[TrainedModel], None] | None = None,
    callback: Callback | None = None,
) -> tuple[Tensor, TrainedModel]:
    """New motion like that of a clip, made by a network that learns the clip meanwhile.

    clip: (1, C, T, H, W) floating, any finite range. frames, size: of the result, any; size is
        (height, width), default that of the clip.
    loop: the last frame leads to the first: the network sees the frames as going round.
    stationary: all places of the clip are alike, and windows of it are learnt; False = each place
        has its own look: whole frames are learnt, which takes longer, and size is the clip's.
    mask: (1, 1, T or 1, H, W), what is above 0 is not learnt.
    network: of 3 axes and not conditional. common: as of `infusion`; without it the network meets
        noise alone at first, learns to answer with one colour, and may never unlearn it. The rest
        as of `infusion`; kept is for `dynamic_texture_again`.
    Returns (count, C, frames, height, width), and the model, good for the last interval only.
    Noise is drawn by place, and what does not fit in memory is worked on in overlapping tiles,
    which changes nothing.
    Raises ValueError as `infusion` does, for a network that is told of holes, and for a size other
    than the clip's where it is not stationary.
    """
    check_clip(clip, "clip")
    network = network or replace(CLIPS, channels=clip.shape[1], conditional=False)
    network, training = clip_settings(clip, network, training or replace(LEARNING, masks="brush"))
    if network.conditional:
        raise ValueError("a texture is made by a network that is not conditional")
    own = (clip.shape[3], clip.shape[4])
    if not stationary:
        training = replace(training, window=max(own))
        if size is not None and tuple(size) != own:
            raise ValueError(
                f"size is {tuple(size)}, but a texture that is not stationary has that of the "
                f"clip, {own}"
            )
    wanted = _wanted(frames, size or own)
    holes = check_training(clip, mask, network, None)
    course = Course(intervals, common, asked, count, seed)
    with torch.inference_mode(False), torch.enable_grad():
        source, holes = clip.detach().clone().float(), holes.clone()
        settled = course.settled(training, steps)
        shell = TrainedModel(network, settled, {}, Scale.of(source, holes))
        work = _canvas(shell, wanted, source.device, loop)
        run = Run(Trainer(shell, source, holes), steps, seconds, checkpoint, callback)
        model = partial(finished, shell, run, source, holes)
        x = trained_through(run, work, course, model, kept)
        return _made(work, x, wanted, loop).to(clip.dtype), model()


def dynamic_texture_again(
    models: Sequence[TrainedModel],
    *,
    frames: int,
    size: tuple[int, int],
    loop: bool = False,
    asked: int = 20,
    count: int = 1,
    seed: int = 0,
    device: torch.device | str = "cpu",
    callback: Callback | None = None,
) -> Tensor:
    """More, longer or larger clips without training, of the networks `dynamic_texture` kept.

    models: in the order in which they were given to `kept`. The rest as there.
    Returns (count, C, frames, height, width) float32.
    Raises ValueError for models whose levels do not follow on one another.
    """
    wanted = _wanted(frames, size)
    if not models or any(m.network.axes != 3 or m.network.conditional for m in models):
        raise ValueError("give models that dynamic_texture has trained")
    work = _canvas(models[0], wanted, torch.device(device), loop)
    course = Course(len(models), 0.0, asked, count, seed)
    return _made(work, sampled_again(models, work, course, callback), wanted, loop)


def source_psnr(clips: Tensor, source: Tensor) -> Tensor:
    """(B,) float64, dB: how near new clips (B, C, T, H, W) are to their source, place by place.

    Over the frames and pixels that both have. High is suspicious: a copy (Cherel 2024, VI.4).
    """
    common = [min(pair) for pair in zip(clips.shape[2:], source.shape[2:], strict=True)]
    part = (..., *(slice(side) for side in common))
    one, other = clips[part], source[part].expand(len(clips), -1, -1, -1, -1)
    return psnr(one.flatten(3), other.flatten(3))


def _wanted(frames: int, size: tuple[int, int]) -> tuple[int, int, int]:
    for name, number in (("frames", frames), ("height", size[0]), ("width", size[1])):
        check_least(name, number, 1)
    return (frames, *size)


def _edges(loop: bool) -> tuple[int, int, int]:
    return (0 if loop else EDGE[0], *EDGE[1:])


def _canvas(
    model: TrainedModel, wanted: tuple[int, int, int], device: torch.device, loop: bool
) -> Work:
    size = [n + 2 * edge for n, edge in zip(wanted, _edges(loop), strict=True)]
    return Work.anew(model, size, device, loop)


def _made(work: Work, x: Tensor, wanted: tuple[int, int, int], loop: bool) -> Tensor:
    part = (slice(edge, edge + n) for n, edge in zip(wanted, _edges(loop), strict=True))
    return work.picture(x)[(..., *part)]
