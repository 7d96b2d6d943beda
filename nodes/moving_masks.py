"""Drawing masks that move: a hole for each frame of a clip."""

from . import convert, inputs
from .api import io
from .mask_inputs import CATEGORY, image_input, masks_output, number, size_inputs, whole


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
                *size_inputs(),
                whole(
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
                number(
                    "min_size", 0.5, 0.01, 1.0, 0.01,
                    "Least width and height, as a share of the picture's." + like,
                ),
                number(
                    "max_size", 1.0, 0.01, 1.0, 0.01,
                    "Greatest width and height, as a share of the picture's." + like,
                ),
                number(
                    "min_speed", 0.0, 0.0, 1000.0, 0.1,
                    "Least speed at the beginning, in pixels per frame." + like,
                ),
                number(
                    "max_speed", 2.0, 0.0, 1000.0, 0.1,
                    "Greatest speed at the beginning, in pixels per frame." + like,
                ),
                number(
                    "acceleration", 1.0, 0.0, 1000.0, 0.1,
                    "How much the speed changes from frame to frame (standard deviation)." + like,
                ),
                number(
                    "turn", 0.25, 0.0, 3.2, 0.05,
                    "How much the direction changes from frame to frame, in radians (standard "
                    "deviation)." + like,
                ),
                number(
                    "bounce", 3.0, 0.0, 1000.0, 0.1,
                    "Greatest speed after it has met a side." + like,
                ),
                whole("min_edges", 6, 3, 100, "The outline has at least so many curves."),
                whole("max_edges", 8, 3, 100, "The outline has at most so many curves."),
                number(
                    "min_jitter", 0.6, 0.0, 1.0, 0.05,
                    "Least roughness of the outline; 0 is an ellipse.",
                ),
                number(
                    "max_jitter", 0.8, 0.0, 1.0, 0.05,
                    "Greatest roughness of the outline; 1 lets spikes reach the middle.",
                ),
                image_input(
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
            outputs=[masks_output("A mask for each frame, white = hole.")],
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
