"""What several fills of one hole have in common."""

from . import convert
from .api import io


class SampleStatistics(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="InternalSampleStatistics",
            display_name="Sample Statistics",
            category="internal/diffusion",
            description=(
                "The mean of several fills, and a map of how much they differ: dark where the "
                "surroundings leave no choice, bright where anything goes."
            ),
            inputs=[
                io.Image.Input("images", tooltip="Fills of one picture, two or more."),
                io.Float.Input(
                    "gain",
                    default=0.0,
                    min=0.0,
                    max=1_000_000.0,
                    step=1.0,
                    tooltip=(
                        "Multiplies the variance in its picture. 0: the largest is the brightest. "
                        "A fixed gain makes several maps comparable."
                    ),
                ),
                io.Combo.Input(
                    "colours",
                    options=["magma", "grey"],
                    default="magma",
                    tooltip="magma: black, purple, orange, pale yellow. grey: for computing with.",
                ),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="White where the fills are; the numbers are then those of this region.",
                ),
            ],
            outputs=[
                io.Image.Output(
                    display_name="mean",
                    tooltip=(
                        "The average of the fills: what PSNR likes best, blurred wherever they "
                        "differ."
                    ),
                ),
                io.Image.Output(
                    display_name="variance", tooltip="The variance of every pixel as a picture."
                ),
                io.Mask.Output(
                    display_name="map",
                    tooltip="The variance itself, mean of the channels, without gain.",
                ),
                io.String.Output(
                    display_name="summary", tooltip="Mean and largest variance in words."
                ),
            ],
        )

    @classmethod
    def execute(cls, images, gain, colours, mask=None):
        from ..methods.diffusion import sample_statistics, variance_words
        from ..methods.metrics.error_map import false_colours

        device = convert.measuring_device()
        samples = convert.image(images, device)
        region = convert.mask(mask, convert.size_of(images), device)
        mean, variance = sample_statistics(samples)
        values = variance.mean(1, keepdim=True)
        bright = values * (gain or 1 / float(values.max().clamp(min=1e-12)))
        shown = false_colours(bright) if colours == "magma" else bright.expand(-1, 3, -1, -1)
        words = variance_words(values, region, len(samples))
        pictures = (convert.to_image(mean), convert.to_image(shown))
        return io.NodeOutput(*pictures, values[:, 0].cpu(), words)
