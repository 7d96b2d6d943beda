"""Inputs that several nodes have, described once."""

from .api import io
from .convert import BACKENDS, WRAPS


def patch_size(default: int, tooltip: str):
    return io.Int.Input("patch_size", default=default, min=1, max=31, step=2, tooltip=tooltip)


def clip():
    """A clip whose hole is filled."""
    return io.Image.Input(
        "image", tooltip="The clip: a batch of its frames; an alpha is filled too."
    )


def clip_mask(optional: bool = False):
    return io.Mask.Input(
        "mask",
        optional=optional,
        tooltip=(
            "White is filled, black stays exactly, grey blends: one mask for all frames, or as "
            "many. Let it cover the object with a margin of a few pixels, shadow included."
        ),
    )


def wrap(tooltip: str):
    return io.Combo.Input("wrap", options=WRAPS, default="none", tooltip=tooltip)


def upsample():
    return io.Combo.Input(
        "upsample",
        options=["field", "image"],
        default="field",
        tooltip=(
            "What is carried from a scale to the next finer one. field keeps the places where the "
            "patches come from: sharp, faithful to the source. image enlarges the picture and "
            "matches it anew: smoother layouts, softer detail."
        ),
    )


def seed():
    return io.Int.Input(
        "seed",
        default=0,
        min=0,
        max=0xFFFFFFFFFFFFFFFF,
        control_after_generate=True,
        tooltip="The same seed gives the same result; change it for another one.",
    )


def backend():
    return io.Combo.Input(
        "backend",
        options=BACKENDS,
        default="auto",
        tooltip=(
            "Where it is computed. auto picks the fastest that is here: cuda (Triton) on an NVIDIA "
            "GPU, else cpu (numba). eager is plain PyTorch: slow, but runs anywhere. A backend "
            "named here is never replaced by another."
        ),
    )


def blocks():
    return io.String.Input(
        "blocks",
        default="all",
        tooltip=(
            "Which attentions. all; for a UNet its parts, as in: input 1,2; middle; output 9-11; "
            "for other models numbers in the order of the calls, as in: 0-7, 12."
        ),
    )


def _percent(name: str, default: float, tooltip: str):
    return io.Float.Input(name, default=default, min=0.0, max=1.0, step=0.01, tooltip=tooltip)


def start_percent():
    tooltip = "Share of the sampling, from 0 (noise), at which the change begins."
    return _percent("start_percent", 0.0, tooltip)


def end_percent():
    tooltip = "Share of the sampling, to 1 (the picture), at which the change ends."
    return _percent("end_percent", 1.0, tooltip)


def check_percents(start_percent: float, end_percent: float) -> None:
    """Raise ValueError if the change would end before it begins."""
    if start_percent > end_percent:
        raise ValueError(
            f"start_percent {start_percent:g} is after end_percent {end_percent:g}; sampling "
            "goes from 0 to 1, so lower the one or raise the other"
        )


SCALES_TOOLTIP = (
    "The result at every scale, coarsest first, enlarged to one size (at most 1024 pixels): shows "
    "how it came about."
)
FIELD_TOOLTIP = (
    "Which patch of the source each patch of the result is. Apply Field to Image carries other "
    "maps along with it."
)
METHOD_TOOLTIP = "What the rows are called in the table: the method or setting that was measured."


def method(default: str):
    return io.String.Input("method", default=default, tooltip=METHOD_TOOLTIP)


def metrics(examples: str = "psnr, ssim, flip, lpips_alex"):
    return io.String.Input(
        "metrics",
        default="",
        tooltip=(
            f"Names, separated by commas: {examples}, ... (the help page lists "
            "them). Empty takes all; those whose weights are missing say so in the table."
        ),
    )


def ring():
    return io.Int.Input(
        "ring",
        default=16,
        min=1,
        max=1024,
        tooltip="Width in pixels of the ring around the mask that is measured by itself.",
    )
