"""Filling holes."""

from . import convert, inputs
from .api import io
from .types import FieldSocket


class PatchInpaint(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="InternalPatchInpaint",
            display_name="Patch Inpaint",
            category="internal/inpainting",
            description=(
                "Fills the hole with patches from the rest of the same picture, from coarse to "
                "fine. No model, no download; pixels outside the mask stay as they are, bit for "
                "bit."
            ),
            inputs=[
                io.Image.Input("image", tooltip="The picture; an alpha channel is filled too."),
                io.Mask.Input(
                    "mask",
                    tooltip=(
                        "White is filled, black stays exactly, grey blends. Of the picture's size. "
                        "Let it cover the object with a margin of a few pixels, shadow included."
                    ),
                ),
                inputs.patch_size(
                    7,
                    "Side of the patches in pixels, odd. Larger keeps larger structure together, "
                    "smaller follows fine detail.",
                ),
                io.Int.Input(
                    "levels",
                    default=0,
                    min=0,
                    max=12,
                    tooltip=(
                        "Number of scales, each half as large as the next. 0 chooses by the hole's "
                        "width. More lets structure reach across a larger hole."
                    ),
                ),
                io.Int.Input(
                    "iterations",
                    default=10,
                    min=1,
                    max=100,
                    tooltip=(
                        "Rounds of search and vote at each scale, at most; it stops when nothing "
                        "changes. Raise it if the coarse scales have not settled."
                    ),
                ),
                inputs.upsample(),
                inputs.wrap(
                    "For tileable pictures: the sides that meet, so that the fill fits over the "
                    "border."
                ),
                io.Float.Input(
                    "memory_gib",
                    default=2.0,
                    min=0.1,
                    max=1024.0,
                    step=0.1,
                    tooltip=(
                        "Memory that the search may use beyond the pictures themselves, in GiB. "
                        "Lower it where a very large picture does not fit."
                    ),
                ),
                inputs.seed(),
                inputs.backend(),
                io.Mask.Input(
                    "source_mask",
                    optional=True,
                    tooltip="Take patches only from where this is white; default everywhere.",
                ),
                io.Mask.Input(
                    "avoid_mask",
                    optional=True,
                    tooltip=(
                        "Take no patches from where this is white: for something that must not be "
                        "repeated in the hole."
                    ),
                ),
                io.Image.Input(
                    "guide",
                    optional=True,
                    tooltip=(
                        "A map of the picture's size that says what belongs where: a rough fill, "
                        "depth or labels. Patches are compared on it as well."
                    ),
                ),
                io.Float.Input(
                    "guide_weight",
                    default=1.0,
                    min=0.0,
                    max=100.0,
                    step=0.1,
                    optional=True,
                    tooltip="How much the guide counts against the picture; 0 ignores it.",
                ),
            ],
            outputs=[
                io.Image.Output(display_name="image", tooltip="The picture with its hole filled."),
                FieldSocket.Output(display_name="field", tooltip=inputs.FIELD_TOOLTIP),
                io.Image.Output(display_name="scales", tooltip=inputs.SCALES_TOOLTIP),
            ],
        )

    @classmethod
    def execute(
        cls,
        image,
        mask,
        patch_size,
        levels,
        iterations,
        upsample,
        wrap,
        memory_gib,
        seed,
        backend,
        source_mask=None,
        avoid_mask=None,
        guide=None,
        guide_weight=1.0,
    ):
        from ..methods import inpaint

        device, size = convert.device(backend), convert.size_of(image)
        guide = guide if guide_weight else None
        picture, hole, allowed, avoided, hint = convert.same_batch(
            image=convert.image(image, device),
            mask=convert.mask(mask, size, device),
            source_mask=convert.mask(source_mask, size, device, "source_mask"),
            avoid_mask=convert.mask(avoid_mask, size, device, "avoid_mask"),
            guide=None if guide is None else convert.image(guide, device, channels=3),
        )
        progress = convert.Progress()
        filled, field = inpaint(
            picture,
            hole,
            patch_size=patch_size,
            levels=levels or None,
            iterations=iterations,
            upsample=upsample,
            wrap=convert.wrap(wrap),
            source_mask=allowed,
            avoid_mask=avoided,
            guide=hint,
            guide_weight=guide_weight,
            memory=int(memory_gib * 2**30),
            seed=seed,
            backend=backend,
            callback=progress,
        )
        scales = progress.scales(filled)
        return io.NodeOutput(convert.to_image(filled), convert.to_field(field), scales)
