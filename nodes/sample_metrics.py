"""Measuring what was made out of one picture."""

from . import convert, inputs
from .api import io
from .metrics import SCORES_TOOLTIP
from .types import ScoresSocket
from .weights import weights


class SingleImageScore(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="InternalSingleImageScore",
            display_name="Single Image Score",
            category="internal/metrics",
            description=(
                "How faithful pictures are to the one they were made from, wherever things lie: "
                "transport of patches, coherence and completeness, single-image Frechet distances, "
                "and how much is copied."
            ),
            inputs=[
                io.Image.Input("images", tooltip="The pictures to measure, one or a batch."),
                io.Image.Input(
                    "reference", tooltip="The one picture they were made from; of any size."
                ),
                inputs.metrics("patch_ot, coherence, copy_rate"),
                inputs.patch_size(
                    11,
                    "Side of the patches in pixels, odd. Larger asks for larger structure, and "
                    "costs more; compare numbers of one size only.",
                ),
                io.Int.Input(
                    "samples",
                    default=0,
                    min=0,
                    max=2048,
                    tooltip=(
                        "Patches of each picture that patch_ot is taken between. 0: all of them, "
                        "or 2048 of very many. Fewer is quicker; numbers of different samples do "
                        "not compare."
                    ),
                ),
                inputs.method("result"),
                inputs.seed(),
                inputs.backend(),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip=(
                        "White where to look, for pictures of the reference's size: adds rows for "
                        "the region inside."
                    ),
                ),
            ],
            outputs=[ScoresSocket.Output(display_name="scores", tooltip=SCORES_TOOLTIP)],
        )

    @classmethod
    def execute(
        cls,
        images,
        reference,
        metrics,
        patch_size,
        samples,
        method,
        seed,
        backend,
        mask=None,
    ):
        from ..methods.metrics import METRICS, compare

        device, size = convert.measuring_device(backend), convert.size_of(images)
        everywhere = [metric.name for metric in METRICS.values() if not metric.aligned]
        scores = compare(
            convert.image(images, device, channels=3),
            convert.image(reference, device, channels=3),
            mask=convert.mask(mask, size, device),
            metrics=convert.names(metrics) or everywhere,
            only=None if mask is None else ("all", "inside"),
            weights=weights(),
            method=method,
            patch_size=patch_size,
            samples=samples,
            seed=seed,
            backend=backend,
            callback=convert.Progress(),
        )
        return io.NodeOutput(scores)


class Diversity(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="InternalDiversity",
            display_name="Sample Diversity",
            category="internal/metrics",
            description=(
                "How much samples differ from each other: the standard deviation of every pixel, "
                "as a number and as a picture. Something that never changes stays dark."
            ),
            inputs=[
                io.Image.Input(
                    "images", tooltip="The samples, a batch of at least two of one size."
                ),
                inputs.method("result"),
                io.Image.Input(
                    "reference",
                    optional=True,
                    tooltip=(
                        "The picture they were made from. With it diversity comes as well: the "
                        "deviation divided by that of the reference's own pixels."
                    ),
                ),
            ],
            outputs=[
                ScoresSocket.Output(
                    display_name="scores",
                    tooltip="Rows for a score table: pixel_deviation, and diversity.",
                ),
                io.Image.Output(
                    display_name="deviation",
                    tooltip=(
                        "Twice the standard deviation of every pixel and channel: white where the "
                        "samples are as different as values from 0 to 1 can be."
                    ),
                ),
                io.Image.Output(
                    display_name="mean",
                    tooltip=(
                        "The average of the samples: what PSNR likes best, and rarely what one "
                        "wants."
                    ),
                ),
            ],
        )

    @classmethod
    def execute(cls, images, method, reference=None):
        from ..methods.metrics.diversity import deviation_picture, diversity_scores

        device = convert.measuring_device()
        samples = convert.image(images, device, channels=3)
        source = None if reference is None else convert.image(reference, device, channels=3)
        rows = diversity_scores(samples, source, method)
        deviation = convert.to_image(2 * deviation_picture(samples))
        return io.NodeOutput(rows, deviation, convert.to_image(samples.mean(dim=0, keepdim=True)))
