"""Fitting what was pasted in to its surroundings."""

from . import convert, inputs
from .api import io
from .types import FieldSocket


class Harmonise(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="InternalHarmonise",
            display_name="Harmonise",
            category="internal/editing",
            description=(
                "Makes a pasted object belong to its surroundings: its coarse shape and colours "
                "stay, its texture is made of patches of the reference. Outside the mask nothing "
                "changes."
            ),
            inputs=[
                io.Image.Input("image", tooltip="The picture with the object pasted in."),
                io.Mask.Input(
                    "mask", tooltip="White over the pasted object and a few pixels around it."
                ),
                io.Int.Input(
                    "scales",
                    default=4,
                    min=1,
                    max=8,
                    tooltip=(
                        "Number of scales, each half as large as the next. More reaches larger "
                        "structure."
                    ),
                ),
                io.Int.Input(
                    "start_scale",
                    default=1,
                    min=0,
                    max=7,
                    tooltip=(
                        "Scale to begin with, 0 = coarsest. Lower changes the object more, higher "
                        "only its fine texture."
                    ),
                ),
                inputs.patch_size(
                    7,
                    "Side of the patches in pixels, odd. Larger brings larger pieces of the "
                    "reference's structure.",
                ),
                io.Int.Input(
                    "bands",
                    default=2,
                    min=0,
                    max=8,
                    tooltip=(
                        "How many of the coarse bands of the pasted object are kept: its colours "
                        "and shading, with more its drawing too. 0 keeps none of it."
                    ),
                ),
                inputs.seed(),
                inputs.backend(),
                io.Image.Input(
                    "reference",
                    optional=True,
                    tooltip=(
                        "Where the patches come from; default the picture itself outside the mask."
                    ),
                ),
            ],
            outputs=[
                io.Image.Output(
                    display_name="image",
                    tooltip="The harmonised picture; outside the mask as it was.",
                ),
                FieldSocket.Output(display_name="field", tooltip=inputs.FIELD_TOOLTIP),
            ],
        )

    @classmethod
    def execute(
        cls,
        image,
        mask,
        scales,
        start_scale,
        patch_size,
        bands,
        seed,
        backend,
        reference=None,
    ):
        from ..methods import harmonise

        device, channels = convert.device(backend), image.shape[-1]
        pictures, objects, sources = convert.same_batch(
            image=convert.image(image, device),
            mask=convert.mask(mask, convert.size_of(image), device),
            reference=None if reference is None else convert.image(reference, device, channels),
        )
        progress = convert.Progress()
        results, field = convert.joined(
            harmonise(
                pictures[i : i + 1],
                objects[i : i + 1],
                reference=None if sources is None else sources[i : i + 1],
                scales=scales,
                start_scale=start_scale,
                patch_size=patch_size,
                bands=bands,
                seed=seed,
                backend=backend,
                callback=progress,
            )
            for i in range(len(pictures))
        )
        return io.NodeOutput(convert.to_image(results), convert.to_field(field))
