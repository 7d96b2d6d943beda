"""From noise to a picture, with any function that says what a noisy picture looks like clean.

A step from level t to level s, where the clean picture is thought to be x0, is a weighted sum of x,
x0, for the solver of second order the x0 of the step before, and fresh noise. Weights are computed
in double precision on the CPU, so that a step waits for nothing.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from .schedule import Schedule, steps_of
from .settings import check_choice

Denoise = Callable[[Tensor, int], Tensor]  # x_t (B, C, [T,] H, W), t -> x0
Noise = Callable[[int], Tensor]  # t -> standard normal noise for the step that leaves level t
Seen = Callable[[int, Tensor], None]  # t, and what the picture was thought to be at that level

SAMPLERS = ("ancestral", "ddim", "dpm2")


def sample(
    denoise: Denoise,
    x: Tensor,
    schedule: Schedule,
    *,
    levels: Sequence[int],
    noise: Noise,
    stop: int = -1,
    sampler: str = "ancestral",
    known: tuple[Tensor, Tensor] | None = None,
    clip: tuple[float, float] | None = (-1.0, 1.0),
    callback: Seen | None = None,
) -> Tensor:
    """Take x, a picture as noisy as the first of `levels`, through them down to `stop`.

    denoise: called once a level. x: (B, C, [T,] H, W), pictures or clips, scaled to about
        [-1, 1], and noise.
    levels: falling, at which `denoise` is asked; the last step ends at `stop`, -1 = without noise.
    sampler: "ancestral" (Ho et al. 2020), fresh noise in every step; "ddim" (Song et al. 2021,
        arXiv:2010.02502), none; "dpm2", a solver of second order for the same path (DPM-Solver++
        2M, Lu et al. 2022, arXiv:2211.01095), which needs the fewest steps.
    known: pictures of that scale and masks, 1 = unknown; each x0 gets back what is known of it.
    noise: asked for by "ancestral" alone, by the level that is left; the last step to -1 has none.
    clip: least and greatest value of each x0. callback: hears of each x0; may raise to end it all.
    Returns x as noisy as `stop`. Going on from there with the levels below equals one run, bit for
    bit, except that "dpm2" begins anew with a step of first order.
    Raises ValueError for an unknown sampler, and for levels that do not fall.
    """
    check_choice("sampler", sampler, SAMPLERS)
    hole = None if known is None else known[1] > 0.5
    previous: tuple[int, Tensor] | None = None
    for t, s in steps_of(levels, stop):
        x0 = denoise(x, t)
        if clip is not None:
            x0 = x0.clamp(*clip)
        if known is not None and hole is not None:
            x0 = torch.where(hole, x0, known[0])
        if callback is not None:
            callback(t, x0)
        if sampler == "ancestral":
            of_x, of_x0, deviation = ancestral_weights(schedule, t, s)
            x = of_x * x + of_x0 * x0
            if deviation > 0:
                x = x + deviation * noise(t)
            continue
        towards = x0
        if sampler == "dpm2" and previous is not None and s >= 0:
            more = _extrapolation(schedule, previous[0], t, s)
            towards = (1 + more) * x0 - more * previous[1]
        of_x, of_x0 = path_weights(schedule, t, s)
        x = of_x * x + of_x0 * towards
        previous = (t, x0)
    return x


def ancestral_weights(schedule: Schedule, t: int, s: int) -> tuple[float, float, float]:
    """Weights of x_t and x0 in the mean of x_s, s < t, and its standard deviation."""
    kept, wanted = schedule.alpha_bar(t), schedule.alpha_bar(s)
    share = kept / wanted
    of_x = math.sqrt(share) * (1 - wanted) / (1 - kept)
    of_x0 = math.sqrt(wanted) * (1 - share) / (1 - kept)
    return of_x, of_x0, math.sqrt((1 - share) * (1 - wanted) / (1 - kept))


def path_weights(schedule: Schedule, t: int, s: int) -> tuple[float, float]:
    """Weights of x_t and x0 in x_s where the noise stays what it is."""
    kept, wanted = schedule.alpha_bar(t), schedule.alpha_bar(s)
    of_x = math.sqrt((1 - wanted) / (1 - kept))
    return of_x, math.sqrt(wanted) - of_x * math.sqrt(kept)


def _extrapolation(schedule: Schedule, before: int, t: int, s: int) -> float:
    """How far beyond x0 of level t, seen from that of `before`, lies the one midway on to s."""
    earlier, here, there = (_log_ratio(schedule.alpha_bar(level)) for level in (before, t, s))
    return (there - here) / (2 * (here - earlier))


def _log_ratio(kept: float) -> float:
    """Logarithm of the ratio of signal to noise, of amplitudes."""
    return 0.5 * math.log(kept / (1 - kept))
