"""Inputs and outputs of the nodes that draw masks."""

from .api import io

CATEGORY = "internal/masks"


def size_inputs() -> list:
    """How large the masks are, where no image says it."""
    return [
        whole("width", 512, 1, 16384, "Width of the masks in pixels, where no image is given."),
        whole("height", 512, 1, 16384, "Height of the masks in pixels, where no image is given."),
    ]


def count_input():
    return whole(
        "count",
        1,
        1,
        4096,
        "So many masks, as a batch. Mask number i is the same in a batch of any length.",
    )


def image_input(tooltip: str = "Masks of this picture's size; width and height do not count then."):
    return io.Image.Input("image", optional=True, tooltip=tooltip)


def whole(name: str, default: int, least: int, most: int, tooltip: str):
    return io.Int.Input(name, default=default, min=least, max=most, tooltip=tooltip)


def number(name: str, default: float, least: float, most: float, step: float, tooltip: str):
    return io.Float.Input(name, default=default, min=least, max=most, step=step, tooltip=tooltip)


def masks_output(tooltip: str):
    return io.Mask.Output(display_name="mask", tooltip=tooltip)
