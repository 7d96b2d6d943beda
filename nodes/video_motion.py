"""Clips along their motion: held still, brought back, and filled with what other frames show."""

from . import convert
from .api import io
from .types import TransformsSocket

CATEGORY = "internal/video"
MODELS = ["homography", "affine", "similarity", "translation"]


def _model():
    return io.Combo.Input(
        "model",
        options=MODELS,
        default="homography",
        tooltip=(
            "How the camera may have moved. homography: in any way, before something flat or far "
            "away; similarity: it turned, zoomed and shifted. Fewer freedoms are steadier where "
            "there is little to see."
        ),
    )


class Stabilize(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="InternalStabilize",
            display_name="Stabilise Clip",
            category=CATEGORY,
            description=(
                "Measures how the camera moves and lays all frames on one larger canvas, on which "
                "the background stands still. Nothing is cut off; Unstabilise Clip goes back."
            ),
            inputs=[
                io.Image.Input("image", tooltip="The clip: a batch of its frames."),
                _model(),
                io.Float.Input(
                    "largest_canvas",
                    default=8.0,
                    min=1.0,
                    max=1000.0,
                    step=0.5,
                    tooltip=(
                        "The canvas may be so many times as large as a frame, and takes as much "
                        "more memory. A camera that goes further is an error that says where to "
                        "cut the clip."
                    ),
                ),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip=(
                        "White over what moves by itself, or is to be filled: it does not take "
                        "part in measuring the motion. One for all frames, or as many."
                    ),
                ),
            ],
            outputs=[
                io.Image.Output(
                    display_name="image", tooltip="The frames on the canvas, black around them."
                ),
                io.Mask.Output(
                    display_name="mask",
                    tooltip="The mask on the canvas, with all that has mixed with it.",
                ),
                io.Mask.Output(
                    display_name="outside",
                    tooltip="White where a frame does not reach: nothing to learn or copy there.",
                ),
                TransformsSocket.Output(
                    display_name="transforms", tooltip="The way back, for Unstabilise Clip."
                ),
                io.String.Output(
                    display_name="report",
                    tooltip="How far the camera moves, and frames that could not be measured.",
                ),
            ],
        )

    @classmethod
    def execute(cls, image, model, largest_canvas, mask=None):
        from ..methods.video import stabilize

        device, size = convert.network_device(), convert.size_of(image)
        hole = convert.mask(mask, size, device)
        held = stabilize(
            convert.clip(convert.image(image, device)),
            None if hole is None else convert.clip(hole),
            model=model,
            largest=largest_canvas,
            callback=convert.Progress(),
        )
        return io.NodeOutput(
            convert.to_image(held.clip),
            convert.to_mask(held.mask),
            convert.to_mask(held.outside),
            held.transforms,
            held.report,
        )


class Unstabilize(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="InternalUnstabilize",
            display_name="Unstabilise Clip",
            category=CATEGORY,
            description=(
                "Brings what was done on a stabilised clip back into the original frames, inside "
                "the mask; everything else stays as it was, bit for bit."
            ),
            inputs=[
                io.Image.Input(
                    "image", tooltip="The stabilised clip, filled or changed, at its full size."
                ),
                TransformsSocket.Input("transforms", tooltip="From the Stabilise Clip before."),
                io.Image.Input(
                    "original", tooltip="The clip that was stabilised: what is outside the mask."
                ),
                io.Mask.Input(
                    "mask",
                    tooltip=(
                        "Of the original's size: white takes the result, black stays exactly, grey "
                        "blends. One for all frames, or as many."
                    ),
                ),
            ],
            outputs=[io.Image.Output(display_name="image", tooltip="The clip as it was shot.")],
        )

    @classmethod
    def execute(cls, image, transforms, original, mask):
        from ..methods.video import unstabilize

        device = convert.network_device()
        composed = unstabilize(
            convert.clip(convert.image(image, device)),
            transforms,
            convert.clip(convert.image(original, device)),
            convert.clip(convert.mask(mask, convert.size_of(original), device)),
            callback=convert.Progress(),
        )
        return io.NodeOutput(convert.to_image(composed))


class FlowFill(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="InternalFlowFill",
            display_name="Flow Fill",
            category=CATEGORY,
            description=(
                "Fills the hole of a clip with what other frames show of the same places, found "
                "along the optical flow: a clean plate, several frames a second. Says per pixel "
                "where nothing was found and how far the fill can be relied on."
            ),
            inputs=[
                io.Image.Input("image", tooltip="The clip: a batch of its frames."),
                io.Mask.Input(
                    "mask",
                    tooltip=(
                        "White is filled, black stays exactly, grey blends: one mask for all "
                        "frames, or as many. Let it cover the object with a margin of a few "
                        "pixels, shadow included."
                    ),
                ),
                io.Int.Input(
                    "reach",
                    default=48,
                    min=1,
                    max=1000,
                    tooltip=(
                        "Frames before and after each that are looked at. Raise it where the "
                        "object uncovers the background later; it takes longer only there."
                    ),
                ),
                io.Float.Input(
                    "consistency",
                    default=0.7,
                    min=0.05,
                    max=10.0,
                    step=0.05,
                    tooltip=(
                        "Pixels by which the flow there and back may miss its start. Lower trusts "
                        "less of it; raise it for large frames and blurred motion."
                    ),
                ),
                _model(),
                io.Mask.Input(
                    "avoid_mask",
                    optional=True,
                    tooltip=(
                        "Take nothing from where this is white: outside of a stabilised clip, or "
                        "something else that moves. One for all frames, or as many."
                    ),
                ),
            ],
            outputs=[
                io.Image.Output(
                    display_name="image",
                    tooltip="The clip with its hole filled; smoothly where nothing was found.",
                ),
                io.Mask.Output(
                    display_name="left",
                    tooltip="White where no frame shows what is behind: for another method.",
                ),
                io.Mask.Output(
                    display_name="confidence",
                    tooltip=(
                        "How far the fill can be relied on, from black to white; white outside the "
                        "hole. Dark on fire and water, which look new in every frame."
                    ),
                ),
            ],
        )

    @classmethod
    def execute(cls, image, mask, reach, consistency, model, avoid_mask=None):
        from ..methods.video import flow_fill

        device, size = convert.network_device(), convert.size_of(image)
        avoided = convert.clip(convert.mask(avoid_mask, size, device, "avoid_mask"))
        filled, left, confidence = flow_fill(
            convert.clip(convert.image(image, device)),
            convert.clip(convert.mask(mask, size, device)),
            avoid_mask=avoided,
            consistency=consistency,
            reach=reach,
            model=model,
            callback=convert.Progress(),
        )
        return io.NodeOutput(
            convert.to_image(filled), convert.to_mask(left), convert.to_mask(confidence)
        )
