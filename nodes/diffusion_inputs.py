"""Inputs and outputs of the nodes that train small networks, and what they say to the methods."""

from typing import TYPE_CHECKING

from . import convert, inputs
from .api import io

if TYPE_CHECKING:
    from ..methods.diffusion import NetworkSettings, TrainingSettings

# name in the menu -> settings of the network
KINDS = {
    "diffusion": {},
    "unconditional": {"conditional": False},
    "regression": {"noisy": False},
}
NOISIEST = 999  # level
INTENSITY = 56.9  # gCO2eq for a kWh: France 2021
MASK_TOOLTIP = (
    "White is filled, black stays exactly, grey blends. Of the picture's size. Let it cover the "
    "object with a margin of a few pixels, shadow included."
)
STRIP_TOOLTIP = (
    "The first sample as it was thought to be at steps from first to last: how it came about."
)


def budget_inputs(steps: int) -> list:
    """How long a network learns."""
    return [
        io.Int.Input(
            "steps",
            default=steps,
            min=1,
            max=10_000_000,
            tooltip=(
                "Training steps at most. More gives sharper fills, until the loss curve is flat; "
                "the learning rate falls to 0 towards the last."
            ),
        ),
        io.Float.Input(
            "seconds",
            default=0.0,
            min=0.0,
            max=1_000_000.0,
            step=10.0,
            tooltip=(
                "Time that the training may take; 0 = no limit. A training that time ends cannot "
                "be repeated exactly."
            ),
        ),
    ]


def kind_input():
    return io.Combo.Input(
        "kind",
        options=list(KINDS),
        default="diffusion",
        tooltip=(
            "diffusion learns to fill masks with samples. unconditional learns the texture "
            "alone and meets the mask only when it fills: one model for anything, less exact. "
            "regression predicts the mean of all possible fills: blurred, for comparison."
        ),
    )


def intervals_input(default: int, more: str):
    """more: how the tooltip goes on, here and below."""
    return io.Int.Input(
        "intervals",
        default=default,
        min=1,
        max=1000,
        tooltip=f"Parts that the 1000 noise levels are cut into{more}",
    )


def common_input(default: float, more: str, optional: bool = False):
    return io.Float.Input(
        "common",
        default=default,
        min=0.0,
        max=0.99,
        step=0.05,
        optional=optional,
        tooltip=(
            "Share of the training in which all noise levels are learnt, before the first "
            f"interval{more}"
        ),
    )


def asked_input(default: int, more: str):
    return io.Int.Input(
        "asked",
        default=default,
        min=1,
        max=1000,
        tooltip=f"Times that the network is asked in each interval, of the levels there are{more}",
    )


def count_input(what: str):
    """How many samples one training gives."""
    return io.Int.Input(
        "count",
        default=1,
        min=1,
        max=256,
        tooltip=f"Different {what}; all of them come from the one training.",
    )


def _batch_input(default: int):
    return io.Int.Input(
        "batch",
        default=default,
        min=1,
        max=1024,
        tooltip="Windows in a step. More makes steps steadier and longer.",
    )


def _width_input(of_32: str):
    """of_32: how large a network of 32 channels is."""
    return io.Int.Input(
        "width",
        default=32,
        min=4,
        max=512,
        tooltip=(
            f"Channels of the network. 32 is {of_32}; both grow with the square of it, and so does "
            "the time."
        ),
    )


def learning_inputs() -> list:
    """What and how a network learns."""
    return [
        io.Combo.Input(
            "masks",
            options=["mixed", "hole", "brush"],
            default="mixed",
            tooltip=(
                "What is hidden in training. hole: pieces shaped like the mask, best for that "
                "hole. brush: random strokes, for holes to come. mixed: both in turn."
            ),
        ),
        io.Float.Input(
            "focus",
            default=0.0,
            min=0.0,
            max=1.0,
            step=0.05,
            tooltip=(
                "Share of the training that goes to places which look like the surroundings of "
                "the hole. Higher learns a small hole in fewer steps, and forgets the rest."
            ),
        ),
        io.Int.Input(
            "window",
            default=64,
            min=8,
            max=1024,
            step=8,
            tooltip=(
                "Side in pixels of the windows that a step learns from. Larger sees larger "
                "structure; the time of a step grows with its square."
            ),
        ),
        _batch_input(8),
        _width_input("160,323 parameters, 0.6 MB"),
        io.Int.Input(
            "levels",
            default=3,
            min=0,
            max=8,
            tooltip=(
                "Times that the network halves the picture. Each more doubles how far a pixel "
                "sees: 53 pixels with 3."
            ),
        ),
        io.Combo.Input(
            "prediction",
            options=["x0", "noise", "mean", "velocity"],
            default="x0",
            tooltip=(
                "What the network says of a noisy picture: the clean one (x0, sharpest here), the "
                "noise in it, the next less noisy one, or the direction between picture and noise."
            ),
        ),
        io.Combo.Input(
            "weighting",
            options=["uniform", "min_snr", "elbo"],
            default="uniform",
            tooltip=(
                "How much each noise level counts in the loss. uniform: all alike. min_snr: up to "
                "a limit as the signal exceeds the noise. elbo: the exact bound, for comparison."
            ),
        ),
        io.Combo.Input(
            "noise_input",
            options=["plane", "code"],
            default="plane",
            tooltip=(
                "How the network is told the noise level: as a plane of its strength, or as 16 "
                "sines and cosines. They do equally well."
            ),
        ),
        io.String.Input(
            "attention",
            default="",
            tooltip=(
                "Levels of the network, 0 = full resolution, where the hole may look at all that "
                "is known (PSAL), as in: 0 or 1,2. Empty: none; several times slower with it."
            ),
        ),
        io.Float.Input(
            "learning_rate",
            default=2e-3,
            min=1e-6,
            max=1.0,
            step=1e-4,
            tooltip="Of Adam at its highest. Lower it where the loss jumps or becomes NaN.",
        ),
        io.Float.Input(
            "average",
            default=0.995,
            min=0.0,
            max=0.99999,
            step=0.001,
            tooltip=(
                "What a running average of the weights keeps in a step; the average is the model. "
                "0 takes the last weights."
            ),
        ),
        io.Combo.Input(
            "precision",
            options=["auto", "float32", "bfloat16"],
            default="auto",
            tooltip=(
                "Of the convolutions. auto takes bfloat16 where the processor is faster with it. "
                "The model itself is float32."
            ),
        ),
        inputs.seed(),
    ]


def clip_learning_inputs() -> list:
    """What and how a network for clips learns."""
    own = {
        "batch": _batch_input(1),
        "width": _width_input("492,963 parameters, 2 MB"),
        "noise_input": io.Combo.Input(
            "noise_input",
            options=["code", "plane"],
            default="code",
            tooltip=(
                "How the network is told the noise level: as 16 sines and cosines, as Infusion "
                "does, or as a plane of its strength."
            ),
        ),
    }
    left_out = ("attention", "masks")
    given = [own.get(each.id, each) for each in learning_inputs() if each.id not in left_out]
    length = io.Int.Input(
        "window_frames",
        default=12,
        min=1,
        max=1024,
        tooltip=(
            "Length of the windows. The network sees 16 frames either way; of a shorter clip "
            "windows are as long as it is."
        ),
    )
    return [length, *given]


def noisiest_input():
    return io.Int.Input(
        "noisiest",
        default=NOISIEST,
        min=0,
        max=NOISIEST,
        optional=True,
        tooltip=(
            "Highest noise level that is trained. Below 999 only a fill that is given as start can "
            "be refined, and that is learnt faster."
        ),
    )


def start_input():
    return io.Image.Input(
        "start",
        optional=True,
        tooltip=(
            "A fill to refine, such as that of Patch Inpaint, of the picture's size. Default: "
            "sampling begins from noise."
        ),
    )


def cost_inputs() -> list:
    return [
        io.Float.Input(
            "watts",
            default=0.0,
            min=0.0,
            max=100_000.0,
            step=1.0,
            optional=True,
            tooltip=(
                "Power of the device at work, for the energy in the summary; 0 = a usual value: "
                "65 W for a processor, 250 W for an NVIDIA GPU."
            ),
        ),
        io.Float.Input(
            "gco2_per_kwh",
            default=INTENSITY,
            min=0.0,
            max=10_000.0,
            step=0.1,
            optional=True,
            tooltip="CO2 of the electricity, in grams for a kWh: France 56.9; see your supplier.",
        ),
    ]


def loss_curve_output():
    return io.Image.Output(display_name="loss_curve", tooltip="The loss of each step.")


def summary_output(tooltip: str = "Steps, loss, seconds, energy and memory in words."):
    return io.String.Output(display_name="summary", tooltip=tooltip)


def settings(channels: int, **chosen) -> "tuple[NetworkSettings, TrainingSettings]":
    """What the widgets of a training say."""
    from ..methods.diffusion import NetworkSettings, TrainingSettings

    of_network = {name: chosen.pop(name) for name in ("width", "levels", "noise_input")}
    attention = convert.whole_numbers(chosen.pop("attention"), "attention")
    kind, noisiest = chosen.pop("kind", "diffusion"), chosen.pop("noisiest", NOISIEST)
    network = NetworkSettings(channels=channels, attention=attention, **of_network, **KINDS[kind])
    return network, TrainingSettings(first=noisiest, **chosen)


def clip_settings(channels: int, **chosen) -> "tuple[NetworkSettings, TrainingSettings]":
    """What the widgets of a training on a clip say. conditional: whether there are holes."""
    from ..methods.diffusion import NetworkSettings, TrainingSettings

    of_network = {
        name: chosen.pop(name) for name in ("width", "levels", "noise_input", "conditional")
    }
    chosen["frames"] = chosen.pop("window_frames")
    network = NetworkSettings(channels=channels, axes=3, **of_network)
    return network, TrainingSettings(first=chosen.pop("noisiest", NOISIEST), **chosen)
