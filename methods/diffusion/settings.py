"""What a small diffusion network is, and how it is trained."""

from dataclasses import dataclass, fields
from typing import Any

CODE = 16  # channels of a sine and cosine code of the noise level
NOISE_INPUTS = {"plane": 1, "code": CODE}
PREDICTIONS = ("x0", "noise", "mean", "velocity")
WEIGHTINGS = ("uniform", "elbo", "min_snr")
MASKS = ("hole", "brush", "mixed")
PRECISIONS = ("auto", "float32", "bfloat16")
LOSSES = ("hole", "visible")


@dataclass(frozen=True)
class NetworkSettings:
    """A UNet of one width; the defaults are those of Cherel 2024, V.2.2: 160,323 parameters.

    channels: of the pictures. width: channels of every inner convolution. levels: times that the
    picture is halved. noise_input: the noise level as a "plane" of its standard deviation, or as
    a "code" of sines and cosines. conditional: it sees what is known, and the mask. noisy: it sees
    the noisy picture and the noise level; without them it is the regression baseline. attention:
    levels (0 = full resolution) with an attention block to the known pixels. axes: 2 for pictures,
    3 for clips, whose convolutions reach over time and whose frames alone are halved; the published
    network for clips has the code of noise levels: 492,963 parameters (VI.2.1).
    Raises ValueError for what makes no network.
    """

    channels: int = 3
    width: int = 32
    levels: int = 3
    noise_input: str = "plane"
    conditional: bool = True
    noisy: bool = True
    attention: tuple[int, ...] = ()
    axes: int = 2

    def __post_init__(self) -> None:
        check_choice("noise_input", self.noise_input, tuple(NOISE_INPUTS))
        for name, least in (("channels", 1), ("width", 1), ("levels", 0)):
            check_least(name, getattr(self, name), least)
        if not (self.conditional or self.noisy):
            raise ValueError("a network without noise has to be conditional: it would see nothing")
        if self.axes not in (2, 3):
            raise ValueError(f"axes is {self.axes}, has to be 2 for pictures or 3 for clips")
        if self.attention and self.axes != 2:
            raise ValueError("attention blocks are for pictures; a network for clips has none")
        if any(not 0 <= level <= self.levels for level in self.attention):
            raise ValueError(
                f"attention at levels {self.attention}, but the network has levels 0 to "
                f"{self.levels}"
            )

    @property
    def inputs(self) -> int:
        """Channels that the network is given."""
        noisy = self.channels + NOISE_INPUTS[self.noise_input] if self.noisy else 0
        return noisy + (self.channels + 1 if self.conditional else 0)

    @property
    def multiple(self) -> int:
        """Sides have to be divisible by this."""
        return 2**self.levels

    @property
    def receptive_field(self) -> int:
        """An output pixel sees inputs at most so many pixels away."""
        twice = [2 * 2**level for level in range(self.levels)]  # reach of two convolutions
        return 2 + 2 * sum(twice) + 2 * self.multiple + self.multiple - 1  # the last: pooling cells

    @property
    def multiples(self) -> tuple[int, ...]:
        """What (T,) H and W have to be divisible by."""
        return (*(1,) * (self.axes - 2), self.multiple, self.multiple)

    @property
    def reach(self) -> tuple[int, ...]:
        """How far an output pixel sees: (frames,) rows and columns."""
        convolutions = 4 * (self.levels + 1)
        side = self.receptive_field
        return (*(convolutions,) * (self.axes - 2), side, side)


@dataclass(frozen=True)
class TrainingSettings:
    """How a network is trained.

    prediction: what it puts out: the clean picture "x0", the "noise", the "mean" of the next less
        noisy picture, or the "velocity" (Salimans & Ho 2022, arXiv:2202.00512).
    weighting: of the squared error of x0 by noise level: "uniform", "elbo", "min_snr" (Hang et al.
        2023, arXiv:2303.09556).
    window: side in pixels of the training windows. batch: windows in a step.
    masks: what windows hide: pieces of a shape like the "hole", "brush" strokes, or both, "mixed".
    focus: share of the windows that are drawn by how alike they are to the hole's surroundings.
    first, last: noise levels trained, the noisiest and the least noisy of 0 to 999.
    learning_rate: of Adam at its highest; it rises over the first steps and falls to the end.
    average: weight that the running average of the weights keeps in a step; 0 = no average.
    precision: of convolutions; "auto" takes bfloat16 where the processor multiplies it.
    frames: length of the windows of clips. loss: the error is counted where a mask hides what is
        known, the "hole", or on all that is known, "visible".
    Raises ValueError for what is none of this.
    """

    prediction: str = "x0"
    weighting: str = "uniform"
    window: int = 64
    batch: int = 8
    masks: str = "mixed"
    focus: float = 0.0
    first: int = 999
    last: int = 0
    learning_rate: float = 2e-3
    average: float = 0.995
    precision: str = "auto"
    seed: int = 0
    frames: int = 12
    loss: str = "hole"

    def __post_init__(self) -> None:
        check_choice("prediction", self.prediction, PREDICTIONS)
        check_choice("weighting", self.weighting, WEIGHTINGS)
        check_choice("masks", self.masks, MASKS)
        check_choice("precision", self.precision, PRECISIONS)
        check_choice("loss", self.loss, LOSSES)
        for name, least in (("window", 1), ("frames", 1), ("batch", 1), ("last", 0)):
            check_least(name, getattr(self, name), least)
        if not self.last <= self.first:
            raise ValueError(f"first {self.first} is the noisiest level, below last {self.last}")
        if not 0 < self.learning_rate:
            raise ValueError(f"learning_rate is {self.learning_rate:g}, has to be above 0")
        for name in ("focus", "average"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name):g}, has to be within 0 and 1")


def read(kind: type, values: dict[str, Any]):
    """Settings from a dict as of `dataclasses.asdict` that went through JSON.

    Raises ValueError for names that there are not, and for impossible values.
    """
    known = {field.name for field in fields(kind)}
    if set(values) - known:
        raise ValueError(f"there are no settings {', '.join(sorted(set(values) - known))}")
    lists = {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
    return kind(**{**values, **lists})


def check_choice(name: str, value: str, options: tuple[str, ...]) -> None:
    if value not in options:
        raise ValueError(f"{name} is {value!r}, has to be one of {', '.join(options)}")


def check_least(name: str, value: int, least: int) -> None:
    if value < least:
        raise ValueError(f"{name} is {value}, has to be {least} or more")
