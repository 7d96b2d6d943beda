"""New pictures made of the patches of one."""

from . import convert, inputs
from .api import io
from .types import FieldSocket


class Generate(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="InternalGenerate",
            display_name="PSin Generate",
            category="internal/generation",
            description=(
                "New pictures of any size whose every patch comes from the one reference: "
                "variations, other formats, textures, a painted layout made real. No model, no "
                "training."
            ),
            inputs=[
                io.Image.Input("reference", tooltip="The one picture that everything comes from."),
                io.Combo.Input(
                    "method",
                    options=["psin", "psinot"],
                    default="psin",
                    tooltip=(
                        "psin is fast. psinot (optimal transport at the coarse scales) keeps the "
                        "shares of the reference: nothing goes missing and nothing takes over."
                    ),
                ),
                io.Int.Input(
                    "width",
                    default=0,
                    min=0,
                    max=16384,
                    tooltip="Of the result in pixels; 0 = that of the reference. Any proportion.",
                ),
                io.Int.Input(
                    "height",
                    default=0,
                    min=0,
                    max=16384,
                    tooltip="Of the result in pixels; 0 = that of the reference. Any proportion.",
                ),
                io.Int.Input(
                    "scales",
                    default=4,
                    min=1,
                    max=8,
                    tooltip=(
                        "Number of scales, each half as large as the next. Fewer gives freer "
                        "layouts, more keeps closer to the reference's."
                    ),
                ),
                inputs.patch_size(
                    11,
                    "Side of the patches in pixels, odd. Larger keeps larger structure together, "
                    "smaller mixes more freely.",
                ),
                io.Int.Input(
                    "iterations",
                    default=10,
                    min=1,
                    max=100,
                    tooltip=(
                        "Rounds of search and vote at each scale, at most; fewer is quicker, with "
                        "more visible seams."
                    ),
                ),
                io.Int.Input(
                    "count",
                    default=1,
                    min=1,
                    max=64,
                    tooltip="Number of variants; variant n of seed s is that of seed s + n.",
                ),
                inputs.wrap("Make the result tile: left meets right (x), top meets bottom (y)."),
                inputs.upsample(),
                io.Float.Input(
                    "texture",
                    default=5.0,
                    min=0.0,
                    max=100.0,
                    step=0.5,
                    tooltip=(
                        "How much the strength of the texture counts against the colour when "
                        "patches are compared. 0 compares colours alone."
                    ),
                ),
                io.Int.Input(
                    "start_scale",
                    default=-1,
                    min=-1,
                    max=7,
                    tooltip=(
                        "Scale to begin with, 0 = coarsest; -1 = 0, or 1 with a guide. With a "
                        "guide: the higher, the closer the result keeps to its layout."
                    ),
                ),
                inputs.seed(),
                inputs.backend(),
                io.Image.Input(
                    "guide",
                    optional=True,
                    tooltip=(
                        "A rough picture of the wanted layout in the reference's colours, of any "
                        "size: it takes the place of the noise at the start."
                    ),
                ),
                io.Image.Input(
                    "keep",
                    optional=True,
                    tooltip="A picture of the result's size, of which some pixels are kept.",
                ),
                io.Mask.Input(
                    "keep_mask",
                    optional=True,
                    tooltip=(
                        "White: the result has exactly the pixels of `keep`, and what is around is "
                        "made to fit them."
                    ),
                ),
            ],
            outputs=[
                io.Image.Output(display_name="images", tooltip="The variants, as a batch."),
                FieldSocket.Output(display_name="field", tooltip=inputs.FIELD_TOOLTIP),
                io.Image.Output(display_name="scales", tooltip=inputs.SCALES_TOOLTIP),
            ],
        )

    @classmethod
    def execute(
        cls,
        reference,
        method,
        width,
        height,
        scales,
        patch_size,
        iterations,
        count,
        wrap,
        upsample,
        texture,
        start_scale,
        seed,
        backend,
        guide=None,
        keep=None,
        keep_mask=None,
    ):
        from ..methods import generate

        device, own = convert.device(backend), convert.size_of(reference)
        size = (height or own[0], width or own[1])
        channels = reference.shape[-1]
        progress = convert.Progress()
        images, field = generate(
            convert.image(reference, device),
            method=method,
            size=size,
            scales=scales,
            patch_size=patch_size,
            count=count,
            iterations=iterations,
            wrap=convert.wrap(wrap),
            upsample=upsample,
            texture=texture,
            guide=None if guide is None else convert.image(guide, device, channels),
            start_scale=None if start_scale < 0 else start_scale,
            keep=None if keep is None else convert.image(keep, device, channels),
            keep_mask=convert.mask(keep_mask, size, device, "keep_mask"),
            seed=seed,
            backend=backend,
            callback=progress,
            with_field=True,
        )
        pictures = progress.scales(images)
        return io.NodeOutput(convert.to_image(images), convert.to_field(field), pictures)
