"""The nearest-patch field as a thing of its own: search it, apply it, look at it."""

from . import convert, inputs
from .api import io
from .types import FieldSocket


class PatchField(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="InternalPatchField",
            display_name="PatchMatch Nearest-Neighbour Field",
            category="internal/patches",
            description=(
                "Finds for each patch of the target the most similar patches of the source. The "
                "field can rebuild the target from the source, or carry any map of the source over."
            ),
            inputs=[
                io.Image.Input("target", tooltip="The picture to be explained by patches."),
                io.Image.Input(
                    "source", tooltip="The picture that the patches are taken from; of any size."
                ),
                inputs.patch_size(
                    7,
                    "Side of the patches in pixels, odd. Larger asks for more structure to match.",
                ),
                io.Int.Input(
                    "iterations",
                    default=5,
                    min=0,
                    max=100,
                    tooltip=(
                        "Passes of propagation and random search. 5 is close to the end; 0 only "
                        "measures the field that is given."
                    ),
                ),
                io.Int.Input(
                    "neighbours",
                    default=1,
                    min=1,
                    max=31,
                    tooltip="How many patches of the source to find for each patch, best first.",
                ),
                io.Combo.Input(
                    "similarity",
                    options=["l2", "dot", "cosine"],
                    default="l2",
                    tooltip=(
                        "l2: sum of squared differences, for pictures. dot and cosine: for feature "
                        "maps; cosine ignores the strength."
                    ),
                ),
                io.Combo.Input(
                    "quality",
                    options=["fast", "best", "exact"],
                    default="fast",
                    tooltip=(
                        "fast and best are approximate, best spends more on finding better ones. "
                        "exact compares with every patch: slow, for small pictures."
                    ),
                ),
                inputs.wrap(
                    "For tileable pictures: the sides of target and source that meet, so that "
                    "patches reach over the border."
                ),
                inputs.seed(),
                inputs.backend(),
                io.Mask.Input(
                    "target_mask",
                    optional=True,
                    tooltip="Search only for patches centred where this is white; default all.",
                ),
                io.Mask.Input(
                    "source_mask",
                    optional=True,
                    tooltip="Take only patches that lie wholly where this is white; default all.",
                ),
                FieldSocket.Input(
                    "field",
                    optional=True,
                    tooltip="A field to start from, of a similar pair: saves passes.",
                ),
            ],
            outputs=[FieldSocket.Output(display_name="field", tooltip=inputs.FIELD_TOOLTIP)],
        )

    @classmethod
    def execute(
        cls,
        target,
        source,
        patch_size,
        iterations,
        neighbours,
        similarity,
        quality,
        wrap,
        seed,
        backend,
        target_mask=None,
        source_mask=None,
        field=None,
    ):
        from ..methods import patchmatch

        device = convert.device(backend)
        channels = min(target.shape[-1], source.shape[-1], 3)  # never matched on alpha
        wanted, asked, searched, allowed = convert.same_batch(
            target=convert.image(target, device, channels),
            target_mask=convert.mask(target_mask, convert.size_of(target), device, "target_mask"),
            source=convert.image(source, device, channels),
            source_mask=convert.mask(source_mask, convert.size_of(source), device, "source_mask"),
        )
        result = patchmatch(
            wanted,
            searched,
            patch_size=patch_size,
            iterations=iterations,
            neighbours=neighbours,
            similarity=similarity,
            exact=quality == "exact",
            quality="fast" if quality == "exact" else quality,
            target_mask=asked,
            source_mask=allowed,
            wrap=convert.wrap(wrap),
            source_wrap=convert.wrap(wrap),
            field=None if field is None else convert.field(field, device),
            seed=seed,
            backend=backend,
            callback=convert.Progress(),
        )
        return io.NodeOutput(convert.to_field(result))


class ApplyField(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="InternalApplyField",
            display_name="Apply Field to Image",
            category="internal/patches",
            description=(
                "Rebuilds the target of a field from any map of its source: the picture itself, or "
                "albedo, normals, depth, labels. One solve serves a whole material."
            ),
            inputs=[
                FieldSocket.Input("field", tooltip="From any node that gives one."),
                io.Image.Input(
                    "image",
                    tooltip=(
                        "A map of the source's size, or larger in the same proportion: then the "
                        "field is enlarged first. A batch of maps goes through one field; for a "
                        "clip's field, the batch is its frames."
                    ),
                ),
                io.Combo.Input(
                    "method",
                    options=["average", "best", "nearest"],
                    default="average",
                    tooltip=(
                        "average: of all patches over a pixel, the better ones count more; smooth. "
                        "best: the pixel of the best patch over it; sharp. nearest: the pixel at "
                        "the patch's centre; for labels."
                    ),
                ),
            ],
            outputs=[io.Image.Output(display_name="image", tooltip="The map, moved by the field.")],
        )

    @classmethod
    def execute(cls, field, image, method):
        device = convert.device("auto")
        fitting = convert.field_for(field, convert.size_of(image), device)
        values = convert.image(image, device)
        values = convert.clip(values) if len(fitting.source_size) == 3 else values
        fitting, values = convert.same_batch_of(fitting, values)
        return io.NodeOutput(convert.to_image(fitting.apply(values, method)))


class FieldPreview(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="InternalFieldPreview",
            display_name="Field Preview",
            category="internal/patches",
            description="Shows where a field points, and how well its patches match.",
            inputs=[FieldSocket.Input("field", tooltip="From any node that gives one.")],
            outputs=[
                io.Image.Output(
                    display_name="offsets",
                    tooltip=(
                        "Where each patch comes from: the hue is the direction, the strength the "
                        "distance. Even areas are copied as a whole."
                    ),
                ),
                io.Image.Output(
                    display_name="distances",
                    tooltip="How different the patches are: dark is a good match.",
                ),
            ],
        )

    @classmethod
    def execute(cls, field):
        from ..methods import distances_picture, offsets_picture

        checked = convert.field(field, "cpu")
        pictures = offsets_picture(checked), distances_picture(checked)
        return io.NodeOutput(*(convert.to_image(picture) for picture in pictures))
