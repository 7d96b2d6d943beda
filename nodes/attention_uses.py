"""What patch attention is good for on pictures: rebuilding one from another, enlarging one."""

from . import convert, inputs
from .api import io
from .metrics import SCORES_TOOLTIP
from .types import FieldSocket, ScoresSocket


class Reconstruct(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="InternalReconstruct",
            display_name="PSAL Reconstruct from Image",
            category="internal/attention",
            description=(
                "Rebuilds a picture out of the pixels of another one by patch-based stochastic "
                "attention, and measures how near it comes: what attention can and cannot carry "
                "over, seen without a network."
            ),
            inputs=[
                io.Image.Input("target", tooltip="The picture to be rebuilt: it asks (queries)."),
                io.Image.Input(
                    "source",
                    tooltip="The picture that answers (keys and values); of any size.",
                ),
                inputs.patch_size(
                    7, "Side of the patches in pixels, odd. Larger asks for more structure."
                ),
                io.Int.Input(
                    "neighbours",
                    default=3,
                    min=1,
                    max=31,
                    tooltip="Keys for each query. 3 is as good as more in most pictures.",
                ),
                io.Boolean.Input(
                    "aggregate",
                    default=False,
                    tooltip=(
                        "Let all patches over a pixel have their say, not its own alone: a smaller "
                        "error, a little softer."
                    ),
                ),
                io.Combo.Input(
                    "similarity",
                    options=["l2", "dot", "cosine"],
                    default="l2",
                    tooltip=(
                        "What patches are compared by. l2 suits pictures; dot finds what is "
                        "bright, cosine ignores the strength of the light."
                    ),
                ),
                io.Float.Input(
                    "temperature",
                    default=1.0,
                    min=0.0001,
                    max=10000.0,
                    step=0.01,
                    tooltip=(
                        "Of the softmax over the neighbours: lower takes the best one alone, "
                        "higher averages them all. In units of the similarity over the patch."
                    ),
                ),
                io.Int.Input(
                    "iterations",
                    default=5,
                    min=0,
                    max=100,
                    tooltip="Passes of the search. 5 is close to the end.",
                ),
                quality(
                    "fast and best are approximate, best searches longer. exact compares with "
                    "every patch: slow, for small pictures."
                ),
                inputs.method("reconstruction"),
                inputs.seed(),
                inputs.backend(),
                FieldSocket.Input(
                    "field",
                    optional=True,
                    tooltip="A field to start from, of a similar pair: saves passes.",
                ),
            ],
            outputs=[
                io.Image.Output(
                    display_name="image", tooltip="The target, made of the source's pixels."
                ),
                io.Image.Output(
                    display_name="error_map",
                    tooltip="Where it differs from the target and how visibly (FLIP), in colours.",
                ),
                ScoresSocket.Output(display_name="scores", tooltip=SCORES_TOOLTIP),
                io.String.Output(
                    display_name="error", tooltip="The mean squared error and the PSNR in words."
                ),
                FieldSocket.Output(display_name="field", tooltip=inputs.FIELD_TOOLTIP),
            ],
        )

    @classmethod
    def execute(
        cls,
        target,
        source,
        patch_size,
        neighbours,
        aggregate,
        similarity,
        temperature,
        iterations,
        quality,
        method,
        seed,
        backend,
        field=None,
    ):
        from ..methods import patch_attention
        from ..methods.metrics import compare
        from ..methods.metrics.error_map import error_map, false_colours

        device = convert.device(backend)
        channels = 3 if min(target.shape[-1], source.shape[-1]) >= 3 else 1  # never the alpha
        queries, keys, values = convert.same_batch(
            target=convert.image(target, device, channels),
            source=convert.image(source, device, channels),
            values=convert.image(source, device),
        )
        made, found = patch_attention(
            queries,
            keys,
            values,
            patch_size=patch_size,
            neighbours=neighbours,
            iterations=iterations,
            similarity=similarity,
            temperature=temperature,
            aggregate=aggregate,
            exact=quality == "exact",
            quality="fast" if quality == "exact" else quality,
            field=None if field is None else convert.field(field, device),
            seed=seed,
            backend=backend,
            callback=convert.Progress(),
        )
        measured = convert.measuring_device(backend)
        result = made[:, :channels].to(measured)
        wanted = convert.image(target, measured, channels)
        scores = compare(
            result, wanted, metrics=["l2", "psnr", "flip"], method=method, backend=backend
        )
        return io.NodeOutput(
            convert.to_image(made),
            convert.to_image(false_colours(error_map(result, wanted))),
            scores,
            in_words(scores),
            convert.to_field(found),
        )


class SuperResolve(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="InternalSuperResolve",
            display_name="PSAL Super-Resolve",
            category="internal/attention",
            description=(
                "Enlarges a picture with the fine detail that its own patches have at another "
                "scale: no training, no model, nothing from elsewhere. Best where structure "
                "repeats: buildings, fabric, print, edges."
            ),
            inputs=[
                io.Image.Input("image", tooltip="The picture to enlarge; alpha goes along."),
                io.Float.Input(
                    "scale",
                    default=2.0,
                    min=1.0,
                    max=16.0,
                    step=0.25,
                    tooltip="Factor of both sides. Beyond 4 little new detail can be found.",
                ),
                quality(
                    "best averages two results made in fewer and in more steps. exact compares "
                    "with every patch: slow, for tiny pictures.",
                    default="best",
                ),
                inputs.patch_size(
                    5,
                    "Side of the patches in pixels, odd. Larger only where structure is large and "
                    "regular.",
                ),
                io.Int.Input(
                    "neighbours",
                    default=5,
                    min=1,
                    max=31,
                    tooltip="Patches that each patch learns from. More is smoother and slower.",
                ),
                io.Boolean.Input(
                    "turned",
                    default=True,
                    tooltip=(
                        "Learn from the picture's mirrored and turned copies too. Off is faster, "
                        "and better for strictly upright patterns such as rows of windows."
                    ),
                ),
                io.Int.Input(
                    "back_projection",
                    default=5,
                    min=0,
                    max=50,
                    tooltip=(
                        "Corrections that make the result, reduced again, equal to the picture. 0 "
                        "for noisy or JPEG-damaged pictures, whose faults it would sharpen."
                    ),
                ),
                inputs.seed(),
                inputs.backend(),
            ],
            outputs=[io.Image.Output(display_name="image", tooltip="The enlarged picture.")],
        )

    @classmethod
    def execute(
        cls,
        image,
        scale,
        quality,
        patch_size,
        neighbours,
        turned,
        back_projection,
        seed,
        backend,
    ):
        import torch

        from ..methods import superresolve

        pictures, progress = convert.image(image, convert.device(backend)), convert.Progress()
        results = [
            superresolve(
                picture,
                scale,
                patch_size=patch_size,
                neighbours=neighbours,
                turned=turned,
                back_projection=back_projection,
                exact=quality == "exact",
                quality="fast" if quality == "exact" else quality,
                seed=seed,
                backend=backend,
                callback=progress,
            )
            for picture in pictures.split(1)
        ]
        return io.NodeOutput(convert.to_image(torch.cat(results)))


def quality(tooltip: str, default: str = "fast"):
    return io.Combo.Input(
        "quality", options=["fast", "best", "exact"], default=default, tooltip=tooltip
    )


def in_words(scores) -> str:
    """A line for every picture, of its mean squared error and its PSNR."""
    values = {(row.image, row.metric): row.value for row in scores}
    pictures = dict.fromkeys(row.image for row in scores)
    return "\n".join(
        f"picture {name}: mean squared error {values[name, 'l2']:.6f}, "
        f"PSNR {values[name, 'psnr']:.2f} dB"
        for name in pictures
    )
