"""Drawing random masks: to train with, to test with, to compare methods on."""

from . import convert, inputs
from .api import io
from .mask_inputs import (
    CATEGORY,
    count_input,
    image_input,
    masks_output,
    number,
    size_inputs,
    whole,
)

OWN = " -1: the kind's own."


class BrushMask(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="InternalBrushMask",
            display_name="Brush Stroke Mask",
            category=CATEGORY,
            description=(
                "Random zigzag strokes, as of somebody who wipes something out (free-form masks of "
                "Yu et al. 2019). The same seed draws the same strokes."
            ),
            inputs=[
                *size_inputs(),
                count_input(),
                inputs.seed(),
                whole("min_strokes", 1, 1, 1000, "A mask has at least so many strokes."),
                whole("max_strokes", 3, 1, 1000, "A mask has at most so many strokes."),
                whole("min_segments", 4, 1, 1000, "A stroke has at least so many straight parts."),
                whole("max_segments", 12, 1, 1000, "A stroke has at most so many straight parts."),
                number(
                    "min_angle", 48.0, -360.0, 360.0, 1.0,
                    "Least angle to the vertical, in degrees; every second part is mirrored.",
                ),
                number(
                    "max_angle", 96.0, -360.0, 360.0, 1.0,
                    "Greatest angle to the vertical, in degrees. Near 90 the brush goes to and "
                    "fro; near 0 it goes straight.",
                ),
                number(
                    "min_length", 0.0, 0.0, 16384.0, 1.0, "Least length of a part, in pixels."
                ),
                number(
                    "max_length", 0.0, 0.0, 16384.0, 1.0,
                    "Greatest length of a part, in pixels. 0: a quarter of the diagonal.",
                ),
                number(
                    "min_thickness", 12.0, 1.0, 16384.0, 1.0,
                    "Least thickness of a stroke, in pixels; raise it for large pictures.",
                ),
                number(
                    "max_thickness", 40.0, 1.0, 16384.0, 1.0,
                    "Greatest thickness of a stroke, in pixels; raise it for large pictures.",
                ),
                image_input(),
            ],
            outputs=[masks_output("The masks, white = hole.")],
        )  # fmt: skip

    @classmethod
    def execute(
        cls,
        width,
        height,
        count,
        seed,
        min_strokes,
        max_strokes,
        min_segments,
        max_segments,
        min_angle,
        max_angle,
        min_length,
        max_length,
        min_thickness,
        max_thickness,
        image=None,
    ):
        from ..methods.masks import brush_masks

        masks = brush_masks(
            (height, width) if image is None else convert.size_of(image),
            count=count,
            seed=seed,
            strokes=(min_strokes, max_strokes),
            segments=(min_segments, max_segments),
            angle=(min_angle, max_angle),
            length=(min_length, max_length),
            width=(min_thickness, max_thickness),
        )
        return io.NodeOutput(masks[:, 0])


class LargeMask(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="InternalLargeMask",
            display_name="Large Mask (LaMa)",
            category=CATEGORY,
            description=(
                "The random masks that LaMa is trained and evaluated on (Suvorov et al. 2022): "
                "thin, medium or wide strokes, boxes, or both. The same seed draws the same masks."
            ),
            inputs=[
                *size_inputs(),
                count_input(),
                io.Combo.Input(
                    "kind",
                    options=["thin", "medium", "wide", "box", "mixed"],
                    default="wide",
                    tooltip=(
                        "thin, medium, wide: the three published test sets (medium and wide have "
                        "boxes in 3 of 13 masks). mixed: what LaMa is trained on, strokes or boxes "
                        "with equal odds. box: boxes alone."
                    ),
                ),
                inputs.seed(),
                number(
                    "scale", 1.0, 0.05, 50.0, 0.05,
                    "Times the published lengths, which already grow with the picture. 0.5 gives "
                    "smaller holes.",
                ),
                whole("min_strokes", -1, -1, 1000, "A mask has at least so many strokes." + OWN),
                whole("max_strokes", -1, -1, 1000, "A mask has at most so many strokes." + OWN),
                whole(
                    "min_segments", -1, -1, 1000, "A stroke has at least so many parts." + OWN
                ),
                whole(
                    "max_segments", -1, -1, 1000, "A stroke has at most so many parts." + OWN
                ),
                whole(
                    "angles", -1, -1, 6,
                    "Number of directions that the parts take, 1 radian apart." + OWN,
                ),
                whole("min_length", -1, -1, 16384, "Least length of a part in pixels." + OWN),
                whole("max_length", -1, -1, 16384, "Greatest length of a part in pixels." + OWN),
                whole("min_thickness", -1, -1, 16384, "Least thickness in pixels." + OWN),
                whole("max_thickness", -1, -1, 16384, "Greatest thickness in pixels." + OWN),
                number(
                    "box_share", -1.0, -1.0, 1.0, 0.05,
                    "Share of the masks that are made of boxes instead of strokes, 0 to 1." + OWN,
                ),
                whole("min_boxes", -1, -1, 1000, "Such a mask has at least so many boxes." + OWN),
                whole("max_boxes", -1, -1, 1000, "Such a mask has at most so many boxes." + OWN),
                whole("min_box", -1, -1, 16384, "Shortest side of a box in pixels." + OWN),
                whole("max_box", -1, -1, 16384, "Longest side of a box in pixels." + OWN),
                whole(
                    "margin", -1, -1, 16384,
                    "Pixels between the boxes and the sides of the picture." + OWN,
                ),
                image_input(),
            ],
            outputs=[masks_output("The masks, white = hole.")],
        )  # fmt: skip

    @classmethod
    def execute(
        cls,
        width,
        height,
        count,
        kind,
        seed,
        scale,
        min_strokes,
        max_strokes,
        min_segments,
        max_segments,
        angles,
        min_length,
        max_length,
        min_thickness,
        max_thickness,
        box_share,
        min_boxes,
        max_boxes,
        min_box,
        max_box,
        margin,
        image=None,
    ):
        from ..methods.masks import large_masks, published_large_masks

        size = (height, width) if image is None else convert.size_of(image)
        numbers = published_large_masks(kind, size).scaled(scale)
        numbers = numbers.changed(
            strokes=(min_strokes, max_strokes),
            segments=(min_segments, max_segments),
            angles=angles,
            length=(min_length, max_length),
            width=(min_thickness, max_thickness),
            box_share=box_share,
            boxes=(min_boxes, max_boxes),
            box_size=(min_box, max_box),
            margin=margin,
        )
        masks = large_masks(size, kind, count=count, seed=seed, numbers=numbers)
        return io.NodeOutput(masks[:, 0])


class BoxMask(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="InternalBoxMask",
            display_name="Box Mask",
            category=CATEGORY,
            description=(
                "A box in the middle, at a place of your own, or at random: the hole that papers "
                "test on."
            ),
            inputs=[
                *size_inputs(),
                count_input(),
                io.Combo.Input(
                    "place",
                    options=["centre", "at", "random"],
                    default="centre",
                    tooltip="centre: in the middle. at: upper left corner at x, y. random: by seed",
                ),
                whole("box_width", 256, 1, 16384, "Width of the box in pixels."),
                whole("box_height", 256, 1, 16384, "Height of the box in pixels."),
                whole("x", 0, -16384, 16384, "Left side of the box in pixels, for place: at."),
                whole("y", 0, -16384, 16384, "Upper side of the box in pixels, for place: at."),
                whole(
                    "margin", 0, 0, 16384,
                    "Least distance to the sides of the picture in pixels, for place: random.",
                ),
                inputs.seed(),
                image_input(),
            ],
            outputs=[masks_output("The masks, white = hole.")],
        )  # fmt: skip

    @classmethod
    def execute(
        cls, width, height, count, place, box_width, box_height, x, y, margin, seed, image=None
    ):
        from ..methods.masks import box_masks

        masks = box_masks(
            (height, width) if image is None else convert.size_of(image),
            (box_height, box_width),
            place=place,
            at=(y, x),
            margin=margin,
            count=count,
            seed=seed,
        )
        return io.NodeOutput(masks[:, 0])
