"""Infusion: a small network learns one clip and fills its hole meanwhile.

Cherel et al. 2023, arXiv:2311.01090; Cherel 2024, chapter VI. The network is that of pictures with
convolutions over time as well; see `methods.diffusion`.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from torch import Tensor

from ..checks import check_clip, check_clip_mask
from ..diffusion.intervals import Course, fill_by_intervals, sampled_again
from ..diffusion.model import TrainedModel
from ..diffusion.settings import NetworkSettings, TrainingSettings
from ..diffusion.training import Checkpoint
from ..diffusion.work import Work, blended
from ..steps import Callback

CLIPS = NetworkSettings(axes=3, noise_input="code")  # the published network: 492,963 parameters
LEARNING = TrainingSettings(batch=1, masks="hole")


def infusion(
    clip: Tensor,
    mask: Tensor,
    *,
    network: NetworkSettings | None = None,
    training: TrainingSettings | None = None,
    intervals: int = 20,
    steps: int | None = 2000,
    seconds: float | None = None,
    common: float = 0.0,
    asked: int = 5,
    count: int = 1,
    seed: int = 0,
    start: Tensor | None = None,
    avoid_mask: Tensor | None = None,
    checkpoint: Checkpoint | None = None,
    kept: Callable[[TrainedModel], None] | None = None,
    callback: Callback | None = None,
) -> tuple[Tensor, TrainedModel]:
    """Fill the hole of a clip with a network that is trained on the clip meanwhile.

    The network is trained for the noisiest levels, takes the fill through them, is trained on for
    the next, and so on. What the hole covers is neither shown nor learnt from.

    clip: (1, C, T, H, W) floating, any finite range. mask: (1, 1, T or 1, H, W) in [0, 1]; where it
        is exactly 0 the clip comes back bit for bit, between, the fill is blended.
    network: of 3 axes; default the published one. training: windows are `frames` x `window` x
        `window`; `loss` "hole" counts what a training mask hides (the thesis), "visible" all that
        is known (the published code); with 1 interval all levels are trained at once, and
        `weighting` tells how they count.
    intervals: equal parts of the noise levels. common: share of the training in which all levels
        are trained, before the first interval.
    steps, seconds: of the whole training, whichever comes first; at least one of them.
    asked: times that the network is asked in an interval, of the levels there are.
    count, seed: samples and their noise; one training makes them all.
    start: (1, C, T, H, W), a fill to refine: as noisy as `training.first` it takes the place of
        noise.
    avoid_mask: (1, 1, T or 1, H, W); what is above 0 is neither learnt from nor looked at, nor is
        it filled: the outside of a stabilised clip.
    checkpoint: where training and samples are kept, and gone on from. kept: is given the network of
        each interval as it is passed, for `infusion_again`.
    callback: called with a Step after every training step and between convolutions of the
        sampling, its image now and then some frames of a quick fill; may raise.
    Returns (count, C, T, H, W), and the model as it is in the end: good for the last interval only.
    Limited by steps it repeats bit for bit on the CPU for the same number of threads, interrupted
    or not; limited by time it does not.
    Raises ValueError for shapes that do not fit, a clip without anything to learn from, a network
    for pictures, and a loss that is NaN.
    Differs from the thesis: few of the levels of an interval are asked, a learning rate that is
    twenty times as high and falls, a running average of the weights, bfloat16.
    """
    network, training = clip_settings(clip, network, training)
    _check(clip, mask, start, avoid_mask)
    return fill_by_intervals(
        clip,
        mask,
        network,
        training,
        Course(intervals, common, asked, count, seed),
        steps=steps,
        seconds=seconds,
        start=start,
        avoid_mask=avoid_mask,
        checkpoint=checkpoint,
        kept=kept,
        callback=callback,
    )


def infusion_again(
    models: Sequence[TrainedModel],
    clip: Tensor,
    mask: Tensor,
    *,
    asked: int = 5,
    count: int = 1,
    seed: int = 1,
    start: Tensor | None = None,
    avoid_mask: Tensor | None = None,
    callback: Callback | None = None,
) -> Tensor:
    """More samples without training, of the networks that `infusion` gave to `kept`.

    models: in the order in which they were given, that of falling levels; a single one of all
        levels too. The rest as of `infusion`; with its seed the same samples come out.
    Returns (count, C, T, H, W).
    Raises ValueError for models whose levels do not follow on one another, and what does not fit.
    """
    if not models:
        raise ValueError("there are no models to sample from")
    _check(clip, mask, start, avoid_mask)
    share = mask.expand(1, 1, *clip.shape[2:])
    hole = share > 0
    unknown = hole if avoid_mask is None else hole | (avoid_mask > 0)
    work = Work.of(models[0], clip, hole, start, unknown)
    course = Course(len(models), 0.0, asked, count, seed)
    return blended(clip, share, work, sampled_again(models, work, course, callback))


def clip_settings(
    clip: Tensor, network: NetworkSettings | None, training: TrainingSettings | None
) -> tuple[NetworkSettings, TrainingSettings]:
    """Those given, or the default ones for the channels of the clip."""
    check_clip(clip, "clip")
    if len(clip) != 1:
        raise ValueError(f"clip is a batch of {len(clip)}, expected 1; a network learns one clip")
    network = network or replace(CLIPS, channels=clip.shape[1])
    if network.axes != 3:
        raise ValueError("the network is one for pictures; give settings with axes=3")
    return network, training or LEARNING


def _check(clip: Tensor, mask: Tensor, start: Tensor | None, avoid_mask: Tensor | None) -> None:
    check_clip(clip, "clip")
    check_clip_mask(mask, "mask", clip)
    if avoid_mask is not None:
        check_clip_mask(avoid_mask, "avoid_mask", clip)
    if start is not None:
        check_clip(start, "start")
        if start.shape != clip.shape:
            raise ValueError(
                f"start has shape {tuple(start.shape)}, the clip {tuple(clip.shape)}; they have to "
                "be the same"
            )
