"""The noise levels of a diffusion, and how clean picture, noise and noisy picture follow from each
other at each of them.

Levels are numbered from 0, the least noisy, to steps - 1; -1 stands for the clean picture. Ho et
al. 2020 (arXiv:2006.11239) and Cherel 2024, V.2.1, count one more. The thesis prints the weight of
x_t in the mean of the next picture, and one weight of the loss, with a slip each; right are
sqrt(alpha_t), and 1 - A_t without a square.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from .settings import PREDICTIONS, WEIGHTINGS, check_choice

Level = int | Tensor  # one for the whole batch, or (B,) int64
Factor = float | Tensor  # for the whole batch, or (B, 1, ...)

MIN_SNR = 5.0  # the limit of Hang et al. 2023


@dataclass(frozen=True)
class Schedule:
    """x_t = sqrt(A_t) x0 + sqrt(1 - A_t) noise, A the running product of 1 - beta, and beta rising
    in a straight line from `first` to `last`.

    Raises ValueError for numbers that make no schedule.
    """

    steps: int = 1000
    first: float = 1e-4
    last: float = 0.02

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"a schedule has 1 step or more, not {self.steps}")
        if not 0 < self.first <= self.last < 1:
            raise ValueError(
                f"the noise of a step goes from {self.first:g} to {self.last:g}; it has to rise, "
                "between 0 and 1"
            )

    @cached_property
    def betas(self) -> Tensor:
        """(T,) float64 on the CPU: the variance of the noise that a step adds."""
        with torch.inference_mode(False):  # so that training may use what a node has built
            return torch.linspace(self.first, self.last, self.steps, dtype=torch.float64)

    @cached_property
    def alphas(self) -> Tensor:
        """(T,) float64: the share of its variance that a picture keeps in a step."""
        with torch.inference_mode(False):
            return 1 - self.betas

    @cached_property
    def alpha_bars(self) -> Tensor:
        """(T,) float64: A, the share of its variance that a picture has kept."""
        with torch.inference_mode(False):
            return self.alphas.cumprod(0)

    @cached_property
    def sigmas(self) -> Tensor:
        """(T,) float64: sqrt(1 - A), the standard deviation of the noise in x_t."""
        with torch.inference_mode(False):
            return (1 - self.alpha_bars).sqrt()

    def alpha_bar(self, t: int) -> float:
        """A of a level; 1 for the clean picture, -1."""
        return float(self.alpha_bars[t]) if t >= 0 else 1.0

    def on(self, table: str, device: torch.device | str, dtype: torch.dtype) -> Tensor:
        """One of the tables by name, such as "sigmas", (T,) on a device, carried there once."""
        key = (table, torch.device(device), dtype)
        if key not in self._carried:
            with torch.inference_mode(False):
                # in this order: an Apple GPU has no float64
                self._carried[key] = self._tables[table].to(dtype).to(device)
        return self._carried[key]

    def noised(self, x0: Tensor, t: Level, noise: Tensor) -> Tensor:
        """x_t of x0 (B, C, [T,] H, W) and standard normal noise of its shape."""
        return self._of("signal", t, x0) * x0 + self._of("sigmas", t, x0) * noise

    def clean(self, output: Tensor, x: Tensor, t: Level, prediction: str) -> Tensor:
        """The x0 that a network's output for x = x_t amounts to.

        prediction: what the output is: "x0"; the "noise" in x; the "mean" of the picture one level
        less noisy; the "velocity" sqrt(A) noise - sqrt(1 - A) x0 (Salimans & Ho 2022,
        arXiv:2202.00512).
        """
        check_choice("prediction", prediction, PREDICTIONS)
        if prediction == "x0":
            return output
        weights = (self._of(f"{prediction} to x0, {of}", t, x) for of in ("output", "x"))
        return next(weights) * output + next(weights) * x

    def target(self, x0: Tensor, x: Tensor, noise: Tensor, t: Level, prediction: str) -> Tensor:
        """What a network should put out for x = noised(x0, t, noise)."""
        check_choice("prediction", prediction, PREDICTIONS)
        if prediction == "x0":
            return x0
        if prediction == "noise":
            return noise
        if prediction == "mean":
            return self.posterior(x0, x, t)[0]
        return self._of("signal", t, x0) * noise - self._of("sigmas", t, x0) * x0

    def posterior(self, x0: Tensor, x: Tensor, t: Level) -> tuple[Tensor, Factor]:
        """Mean and variance of the picture one level less noisy than x = x_t, where x0 is known.

        The mean is of the shape of x, the variance a number, or (B, 1, ...) for several levels.
        """
        weights = (self._of(f"posterior, {of}", t, x) for of in ("x0", "x"))
        mean = next(weights) * x0 + next(weights) * x
        return mean, self._of("posterior, variance", t, x)

    def weights(self, weighting: str, prediction: str, limit: float = MIN_SNR) -> Tensor:
        """(T,) float64: the weight of the squared error of a network's output at each level.

        weighting: "uniform": 1 whatever is predicted, the simplified loss; "elbo": the exact one,
        the bound of the likelihood; "min_snr": the ratio of signal to noise, at most `limit`, for
        the error of x0 and what it amounts to for that of another output (Hang et al. 2023,
        arXiv:2303.09556).
        At level 0 the exact weight is infinite, for nothing random is left; it is taken with the
        variance of level 1, as Ho et al. do.
        """
        check_choice("weighting", weighting, WEIGHTINGS)
        check_choice("prediction", prediction, PREDICTIONS)
        ones, noise = torch.ones_like(self.betas), 1 - self.alpha_bars
        if weighting == "uniform":
            return ones
        ratio, mean = self.alpha_bars / noise, self._tables["posterior, x0"]
        if weighting == "elbo":
            variance = self._tables["posterior, variance"].clone()
            variance[0] = variance[1] if self.steps > 1 else self.betas[0]
            of_x0 = mean**2 / (2 * variance)
        else:
            of_x0 = ratio.clamp(max=limit)
        if prediction == "x0":
            return of_x0
        return of_x0 * self._tables[f"{prediction} to x0, output"] ** 2

    def intervals(
        self, count: int, first: int | None = None, last: int = 0
    ) -> list[tuple[int, int]]:
        """(highest, lowest) levels of `count` equal parts of `first` to `last`, noisiest first."""
        first = self.steps - 1 if first is None else first
        length = first - last + 1
        if not 1 <= count <= length:
            raise ValueError(f"{length} noise levels make 1 to {length} parts, not {count}")
        ends = [first + 1 - length * part // count for part in range(count + 1)]
        return [(high - 1, low) for high, low in zip(ends, ends[1:], strict=False)]

    def levels(
        self, count: int, first: int | None = None, last: int = 0, bend: float = 1.0
    ) -> list[int]:
        """`count` levels, or all there are, from `first` (the noisiest) down to `last`.

        bend: 1 = at equal distances; higher, closer to each other the less noise there is, as a
        solver of higher order needs it: the ratio of signal to noise changes fastest there.
        """
        first = self.steps - 1 if first is None else first
        if not 0 <= last <= first < self.steps:
            raise ValueError(
                f"levels go from {first} down to {last}; both have to be within 0 and "
                f"{self.steps - 1}"
            )
        if count < 1:
            raise ValueError(f"{count} steps; 1 or more are needed")
        count = min(count, first - last + 1)
        below = [count - 1 - i for i in range(count)]  # levels that have yet to find a place
        shares = [(n / max(1, count - 1)) ** bend for n in below]
        shares[0] = 1.0
        places = [last + round(share * (first - last)) for share in shares]
        return [max(place, last + n) for place, n in zip(places, below, strict=True)]

    @cached_property
    def _carried(self) -> dict[tuple[str, torch.device, torch.dtype], Tensor]:
        return {}

    @cached_property
    def _tables(self) -> dict[str, Tensor]:
        """(T,) float64: the four of above, and what x0, x and outputs are multiplied by in sums."""
        with torch.inference_mode(False):
            kept, noise = self.alpha_bars, 1 - self.alpha_bars
            before = torch.cat([torch.ones(1, dtype=torch.float64), kept[:-1]])
            of_x0 = self.betas * before.sqrt() / noise
            of_x = (1 - before) * self.alphas.sqrt() / noise
            return {
                "betas": self.betas,
                "alphas": self.alphas,
                "alpha_bars": kept,
                "signal": kept.sqrt(),
                "sigmas": self.sigmas,
                "posterior, x0": of_x0,
                "posterior, x": of_x,
                "posterior, variance": self.betas * (1 - before) / noise,
                "noise to x0, output": -(noise / kept).sqrt(),
                "noise to x0, x": kept.rsqrt(),
                "mean to x0, output": 1 / of_x0,
                "mean to x0, x": -of_x / of_x0,
                "velocity to x0, output": -self.sigmas,
                "velocity to x0, x": kept.sqrt(),
            }

    def _of(self, factor: str, t: Level, like: Tensor) -> Factor:
        """A factor at a level, to multiply `like` by."""
        if isinstance(t, int):
            self._check(t)
            return float(self._tables[factor][t])
        table = self.on(factor, like.device, like.dtype)
        return table[t.to(like.device)].view(-1, *(1 for _ in like.shape[1:]))

    def _check(self, t: int) -> None:
        if not 0 <= t < self.steps:
            raise ValueError(f"level {t} is not within 0 and {self.steps - 1}")


def steps_of(levels: Sequence[int], stop: int) -> list[tuple[int, int]]:
    """(from, to) of the steps through falling `levels` and on to `stop`; -1 is the clean picture.

    Raises ValueError where they do not fall.
    """
    ends = [*levels, stop]
    if len(ends) < 2 or any(high <= low for high, low in zip(ends, ends[1:], strict=False)):
        raise ValueError(f"noise levels {list(levels)}, and then {stop}, do not fall")
    return list(zip(ends, ends[1:], strict=False))
