"""Filling holes of clips with patches."""

from . import convert, inputs
from .api import io
from .types import FieldSocket


class PatchInpaintVideo(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="InternalPatchInpaintVideo",
            display_name="Patch Inpaint Video",
            category="internal/video",
            description=(
                "Fills the hole of a clip with patches of space and time from the rest of it, so "
                "that the fill moves as the clip does. No model, no download; pixels outside the "
                "mask stay as they are, bit for bit."
            ),
            inputs=[
                inputs.clip(),
                inputs.clip_mask(),
                inputs.patch_size(
                    5,
                    "Side of the patches in pixels, and how many frames they last, odd. Larger "
                    "keeps larger structure and longer motion together, smaller follows fine "
                    "detail. The clip needs as many frames.",
                ),
                io.Int.Input(
                    "levels",
                    default=0,
                    min=0,
                    max=12,
                    tooltip=(
                        "Number of scales of the frames, each half as large as the next. 0 chooses "
                        "by the hole's width. More lets structure reach across a larger hole."
                    ),
                ),
                io.Int.Input(
                    "iterations",
                    default=10,
                    min=1,
                    max=100,
                    tooltip=(
                        "Rounds of search and vote at each scale, at most; it stops when nothing "
                        "changes. Lower it for a quick look."
                    ),
                ),
                io.Float.Input(
                    "memory_gib",
                    default=4.0,
                    min=0.1,
                    max=1024.0,
                    step=0.1,
                    tooltip=(
                        "Memory that the search may use beyond the clips themselves, in GiB. Where "
                        "the whole clip does not fit, patches come from around the hole, in space "
                        "and time."
                    ),
                ),
                inputs.seed(),
                inputs.backend(),
                io.Mask.Input(
                    "source_mask",
                    optional=True,
                    tooltip=(
                        "Take patches only from where this is white; default everywhere. One for "
                        "all frames, or as many."
                    ),
                ),
            ],
            outputs=[
                io.Image.Output(display_name="image", tooltip="The clip with its hole filled."),
                FieldSocket.Output(display_name="field", tooltip=inputs.FIELD_TOOLTIP),
            ],
        )

    @classmethod
    def execute(
        cls, image, mask, patch_size, levels, iterations, memory_gib, seed, backend,
        source_mask=None,
    ):  # fmt: skip
        from ..methods.video import inpaint_video

        device, size = convert.device(backend), convert.size_of(image)
        allowed = convert.mask(source_mask, size, device, "source_mask")
        filled, field = inpaint_video(
            convert.clip(convert.image(image, device)),
            convert.clip(convert.mask(mask, size, device)),
            patch_size=patch_size,
            levels=levels or None,
            iterations=iterations,
            source_mask=None if allowed is None else convert.clip(allowed),
            memory=int(memory_gib * 2**30),
            seed=seed,
            backend=backend,
            callback=convert.Progress(),
        )
        return io.NodeOutput(convert.to_image(filled), convert.to_field(field))
