"""Making a photo of a texture tile, and measuring whether it does."""

from . import convert, inputs
from .api import io
from .types import FieldSocket, ScoresSocket


class MakeTileable(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="InternalMakeTileable",
            display_name="Make Tileable",
            category="internal/tiling",
            description=(
                "Makes a photo of a texture tile without a visible seam: a band along the sides "
                "that meet is made anew from patches of the photo, the middle stays bit for bit."
            ),
            inputs=[
                io.Image.Input(
                    "image", tooltip="A photo of a texture, evenly lit, seen straight on."
                ),
                io.Combo.Input(
                    "axes",
                    options=["both", "x", "y"],
                    default="both",
                    tooltip="x: the left side meets the right one. y: top meets bottom.",
                ),
                io.Float.Input(
                    "band",
                    default=0.25,
                    min=0.02,
                    max=0.9,
                    step=0.01,
                    tooltip=(
                        "Share of the side that is made anew, half of it at either end. More for "
                        "coarse patterns, less to keep more of the photo."
                    ),
                ),
                inputs.patch_size(
                    7,
                    "Side of the patches in pixels, odd. About the size of the smallest element "
                    "that must stay whole (a joint, a leaf).",
                ),
                inputs.seed(),
                inputs.backend(),
            ],
            outputs=[
                io.Image.Output(display_name="image", tooltip="The tile, of the photo's size."),
                FieldSocket.Output(display_name="field", tooltip=inputs.FIELD_TOOLTIP),
                io.Image.Output(
                    display_name="tiled", tooltip="The tile two by two, to look at the seams."
                ),
            ],
        )

    @classmethod
    def execute(cls, image, axes, band, patch_size, seed, backend):
        from ..methods import make_tileable

        progress = convert.Progress()
        tiles, field = convert.joined(
            make_tileable(
                picture[None],
                axes=convert.wrap(axes),
                band=band,
                patch_size=patch_size,
                seed=seed,
                backend=backend,
                callback=progress,
            )
            for picture in convert.image(image, convert.device(backend))
        )
        tile = convert.to_image(tiles)
        return io.NodeOutput(tile, convert.to_field(field), tile.repeat(1, 2, 2, 1))


class Tileability(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="InternalTileability",
            display_name="Tileability",
            category="internal/metrics",
            description=(
                "How plainly a seam shows where the picture repeats: the break across its opposite "
                "sides, against the breaks inside it. About 1 is no seam, 2 and more is one."
            ),
            inputs=[
                io.Image.Input("image", tooltip="The tile, or a batch of them; at least 8 pixels."),
                inputs.method("tile"),
            ],
            outputs=[
                ScoresSocket.Output(
                    display_name="scores",
                    tooltip="seam_x (left meets right) and seam_y (top meets bottom), lower is "
                    "better. For Score Table.",
                ),
                io.Image.Output(
                    display_name="rolled",
                    tooltip="The picture rolled by half its size, so that the seams cross in the "
                    "middle.",
                ),
            ],
        )

    @classmethod
    def execute(cls, image, method):
        from ..methods.metrics.tileability import tileability

        picture = convert.image(image, convert.device("cpu"))
        height, width = convert.size_of(image)
        rolled = picture.roll((height // 2, width // 2), (2, 3))
        return io.NodeOutput(tileability(picture, method=method), convert.to_image(rolled))
