"""Drawing random masks: to train with, to test with, to compare methods on."""

from . import convert, inputs
from .api import io

CATEGORY = "internal/masks"
OWN = " -1: the kind's own."


def _size() -> list:
    """How large the masks are, where no image says it."""
    return [
        _whole("width", 512, 1, 16384, "Width of the masks in pixels, where no image is given."),
        _whole("height", 512, 1, 16384, "Height of the masks in pixels, where no image is given."),
    ]


def _count():
    return _whole(
        "count",
        1,
        1,
        4096,
        "So many masks, as a batch. Mask number i is the same in a batch of any length.",
    )


def _image(tooltip: str = "Masks of this picture's size; width and height do not count then."):
    return io.Image.Input("image", optional=True, tooltip=tooltip)


def _whole(name: str, default: int, least: int, most: int, tooltip: str):
    return io.Int.Input(name, default=default, min=least, max=most, tooltip=tooltip)


def _number(name: str, default: float, least: float, most: float, step: float, tooltip: str):
    return io.Float.Input(name, default=default, min=least, max=most, step=step, tooltip=tooltip)


def _masks_output(tooltip: str):
    return io.Mask.Output(display_name="mask", tooltip=tooltip)


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
                *_size(),
                _count(),
                inputs.seed(),
                _whole("min_strokes", 1, 1, 1000, "A mask has at least so many strokes."),
                _whole("max_strokes", 3, 1, 1000, "A mask has at most so many strokes."),
                _whole("min_segments", 4, 1, 1000, "A stroke has at least so many straight parts."),
                _whole("max_segments", 12, 1, 1000, "A stroke has at most so many straight parts."),
                _number(
                    "min_angle", 48.0, -360.0, 360.0, 1.0,
                    "Least angle to the vertical, in degrees; every second part is mirrored.",
                ),
                _number(
                    "max_angle", 96.0, -360.0, 360.0, 1.0,
                    "Greatest angle to the vertical, in degrees. Near 90 the brush goes to and "
                    "fro; near 0 it goes straight.",
                ),
                _number(
                    "min_length", 0.0, 0.0, 16384.0, 1.0, "Least length of a part, in pixels."
                ),
                _number(
                    "max_length", 0.0, 0.0, 16384.0, 1.0,
                    "Greatest length of a part, in pixels. 0: a quarter of the diagonal.",
                ),
                _number(
                    "min_thickness", 12.0, 1.0, 16384.0, 1.0,
                    "Least thickness of a stroke, in pixels; raise it for large pictures.",
                ),
                _number(
                    "max_thickness", 40.0, 1.0, 16384.0, 1.0,
                    "Greatest thickness of a stroke, in pixels; raise it for large pictures.",
                ),
                _image(),
            ],
            outputs=[_masks_output("The masks, white = hole.")],
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
                *_size(),
                _count(),
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
                _number(
                    "scale", 1.0, 0.05, 50.0, 0.05,
                    "Times the published lengths, which already grow with the picture. 0.5 gives "
                    "smaller holes.",
                ),
                _whole("min_strokes", -1, -1, 1000, "A mask has at least so many strokes." + OWN),
                _whole("max_strokes", -1, -1, 1000, "A mask has at most so many strokes." + OWN),
                _whole(
                    "min_segments", -1, -1, 1000, "A stroke has at least so many parts." + OWN
                ),
                _whole(
                    "max_segments", -1, -1, 1000, "A stroke has at most so many parts." + OWN
                ),
                _whole(
                    "angles", -1, -1, 6,
                    "Number of directions that the parts take, 1 radian apart." + OWN,
                ),
                _whole("min_length", -1, -1, 16384, "Least length of a part in pixels." + OWN),
                _whole("max_length", -1, -1, 16384, "Greatest length of a part in pixels." + OWN),
                _whole("min_thickness", -1, -1, 16384, "Least thickness in pixels." + OWN),
                _whole("max_thickness", -1, -1, 16384, "Greatest thickness in pixels." + OWN),
                _number(
                    "box_share", -1.0, -1.0, 1.0, 0.05,
                    "Share of the masks that are made of boxes instead of strokes, 0 to 1." + OWN,
                ),
                _whole("min_boxes", -1, -1, 1000, "Such a mask has at least so many boxes." + OWN),
                _whole("max_boxes", -1, -1, 1000, "Such a mask has at most so many boxes." + OWN),
                _whole("min_box", -1, -1, 16384, "Shortest side of a box in pixels." + OWN),
                _whole("max_box", -1, -1, 16384, "Longest side of a box in pixels." + OWN),
                _whole(
                    "margin", -1, -1, 16384,
                    "Pixels between the boxes and the sides of the picture." + OWN,
                ),
                _image(),
            ],
            outputs=[_masks_output("The masks, white = hole.")],
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
                *_size(),
                _count(),
                io.Combo.Input(
                    "place",
                    options=["centre", "at", "random"],
                    default="centre",
                    tooltip="centre: in the middle. at: upper left corner at x, y. random: by seed",
                ),
                _whole("box_width", 256, 1, 16384, "Width of the box in pixels."),
                _whole("box_height", 256, 1, 16384, "Height of the box in pixels."),
                _whole("x", 0, -16384, 16384, "Left side of the box in pixels, for place: at."),
                _whole("y", 0, -16384, 16384, "Upper side of the box in pixels, for place: at."),
                _whole(
                    "margin", 0, 0, 16384,
                    "Least distance to the sides of the picture in pixels, for place: random.",
                ),
                inputs.seed(),
                _image(),
            ],
            outputs=[_masks_output("The masks, white = hole.")],
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


class MovingMask(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        like = " Does not count where like is given."
        return io.Schema(
            node_id="InternalMovingMask",
            display_name="Moving Mask (clip)",
            category=CATEGORY,
            description=(
                "A random smooth shape that stands still, or moves and bounces off the sides: a "
                "hole for each frame of a clip. It may take over size and motion of a given mask."
            ),
            inputs=[
                *_size(),
                _whole(
                    "frames", 24, 1, 4096,
                    "Length of the clip, where neither a clip nor a mask of several frames is "
                    "given.",
                ),
                io.Combo.Input(
                    "motion",
                    options=["both", "static", "moving"],
                    default="both",
                    tooltip="both: the seed decides, half of them stand still.",
                ),
                inputs.seed(),
                _number(
                    "min_size", 0.5, 0.01, 1.0, 0.01,
                    "Least width and height, as a share of the picture's." + like,
                ),
                _number(
                    "max_size", 1.0, 0.01, 1.0, 0.01,
                    "Greatest width and height, as a share of the picture's." + like,
                ),
                _number(
                    "min_speed", 0.0, 0.0, 1000.0, 0.1,
                    "Least speed at the beginning, in pixels per frame." + like,
                ),
                _number(
                    "max_speed", 2.0, 0.0, 1000.0, 0.1,
                    "Greatest speed at the beginning, in pixels per frame." + like,
                ),
                _number(
                    "acceleration", 1.0, 0.0, 1000.0, 0.1,
                    "How much the speed changes from frame to frame (standard deviation)." + like,
                ),
                _number(
                    "turn", 0.25, 0.0, 3.2, 0.05,
                    "How much the direction changes from frame to frame, in radians (standard "
                    "deviation)." + like,
                ),
                _number(
                    "bounce", 3.0, 0.0, 1000.0, 0.1,
                    "Greatest speed after it has met a side." + like,
                ),
                _whole("min_edges", 6, 3, 100, "The outline has at least so many curves."),
                _whole("max_edges", 8, 3, 100, "The outline has at most so many curves."),
                _number(
                    "min_jitter", 0.6, 0.0, 1.0, 0.05,
                    "Least roughness of the outline; 0 is an ellipse.",
                ),
                _number(
                    "max_jitter", 0.8, 0.0, 1.0, 0.05,
                    "Greatest roughness of the outline; 1 lets spikes reach the middle.",
                ),
                _image(
                    "A clip or picture: the masks have its size, and its length where it has "
                    "several frames."
                ),
                io.Mask.Input(
                    "like",
                    optional=True,
                    tooltip=(
                        "A mask, best one per frame: the shape becomes as large as its hole and "
                        "moves as fast."
                    ),
                ),
            ],
            outputs=[_masks_output("A mask for each frame, white = hole.")],
        )  # fmt: skip

    @classmethod
    def execute(
        cls,
        width,
        height,
        frames,
        motion,
        seed,
        min_size,
        max_size,
        min_speed,
        max_speed,
        acceleration,
        turn,
        bounce,
        min_edges,
        max_edges,
        min_jitter,
        max_jitter,
        image=None,
        like=None,
    ):
        from ..methods.moving_masks import Motion, moving_masks

        size = (height, width)
        if like is not None:
            size = (like.shape[-2], like.shape[-1])
            like = like.reshape(1, 1, -1, *size)
            frames = like.shape[2] if like.shape[2] > 1 else frames
        if image is not None:
            size, frames = convert.size_of(image), len(image) if len(image) > 1 else frames
        if like is None:
            numbers = Motion(
                (min_size * size[0], max_size * size[0]),
                (min_size * size[1], max_size * size[1]),
                (min_speed, max_speed),
                acceleration,
                turn,
                bounce,
            )
        else:
            numbers = Motion.of(like.float().cpu())
        clip = moving_masks(
            size,
            frames,
            seed=seed,
            motion=motion,
            like=numbers,
            edges=(min_edges, max_edges),
            jitter=(min_jitter, max_jitter),
        )
        return io.NodeOutput(clip[0, 0])
