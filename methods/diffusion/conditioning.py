"""Filling with a network that knows pictures and nothing of holes: one model for any mask.

Wherever the network is asked, what is known of the picture takes its place in the noisy one, as
noisy as it is there (Song et al. 2021, arXiv:2011.13456). So the hole is made to suit a known part
of which noise hides much, and agrees with it too little; going back up the noise levels and down
again lets the two agree (RePaint, Lugmayr et al. 2022, arXiv:2201.09865).
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from .sampling import Denoise, Noise, Seen, sample
from .schedule import Schedule

JUMP = 10  # of Lugmayr et al. 2022, for 250 levels


def conditioned(
    denoise: Denoise,
    schedule: Schedule,
    known: tuple[Tensor, Tensor],
    noise: Noise,
    *,
    fresh: bool = True,
) -> Denoise:
    """`denoise` with what is known in the place of what the hole's surroundings are in x.

    known: pictures and masks, 1 = unknown. noise: of what is known at a level.
    fresh: the noise of a level is its own, as in an ancestral sampling; otherwise it is the same
        one at all levels, that of -1, as along the path of a deterministic one.
    What comes back has the known pixels as they are.
    """
    picture, hole = known[0], known[1] > 0.5
    same = None if fresh else noise(-1)

    def asked(x: Tensor, t: int) -> Tensor:
        there = schedule.noised(picture, t, noise(t) if same is None else same)
        return torch.where(hole, denoise(torch.where(hole, x, there), t), picture)

    return asked


def sample_conditioned(
    denoise: Denoise,
    x: Tensor,
    schedule: Schedule,
    *,
    levels: Sequence[int],
    known: tuple[Tensor, Tensor],
    noise: Noise,
    stop: int = -1,
    sampler: str = "ancestral",
    jump: int = JUMP,
    times: int = 1,
    clip: tuple[float, float] | None = (-1.0, 1.0),
    callback: Seen | None = None,
) -> Tensor:
    """`sample` with an unconditional network: x with its hole filled to suit what is known.

    denoise: of the network, which is not told of the hole. levels, stop, sampler, clip, callback:
        see `sample`. known: pictures (B or 1, C, H, W) and masks (B or 1, 1, H, W), 1 =
        unknown.
    times: how often each `jump` levels are gone through, 1 = once; each time x is made as noisy
        again as it was before them. Takes `times` times as long.
    noise: as in `sample`, and for the known pixels and for further rounds of numbers that are no
        levels: -1, and those from the schedule's `steps` on.
    Raises ValueError as `sample` does, and for a jump or times below 1.
    """
    if jump < 1 or times < 1:
        raise ValueError(f"jump is {jump} and times {times}; both have to be 1 or more")
    for first in range(0, len(levels), jump):
        part = levels[first : first + jump]
        end = levels[first + jump] if first + jump < len(levels) else stop
        for time in range(times):
            if time:
                x = noisier(
                    x, schedule, end, part[0], _kind(noise, schedule, 3 * time - 1)(part[0])
                )
            steps, kept = (_kind(noise, schedule, 3 * time + n) for n in (0, 1))
            x = sample(
                conditioned(denoise, schedule, known, kept, fresh=sampler == "ancestral"),
                x,
                schedule,
                levels=part,
                noise=steps,
                stop=end,
                sampler=sampler,
                known=known,
                clip=clip,
                callback=callback,
            )
    return x


def noisier(x: Tensor, schedule: Schedule, s: int, t: int, noise: Tensor) -> Tensor:
    """x, as noisy as level s (-1 = not at all), made as noisy as t."""
    kept = schedule.alpha_bar(t) / schedule.alpha_bar(s)
    return math.sqrt(kept) * x + math.sqrt(1 - kept) * noise


def _kind(noise: Noise, schedule: Schedule, kind: int) -> Noise:
    """Noise of its own for a kind of use, 0 being the one that is given; levels from -1."""
    return lambda t: noise(kind * (schedule.steps + 1) + t)
