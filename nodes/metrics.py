"""Measuring pictures, and what was measured as a table."""

from . import convert, inputs
from .api import io
from .types import ScoresSocket
from .weights import weights

MAPS = ["flip", "l1", "ssim", "lpips_alex", "lpips_vgg"]
SHOWN_REGIONS = ["auto", "all", "inside", "ring", "outside"]
PATCHES = 1024  # that patch_ot takes of every picture and region: seconds instead of a minute
SCORES_TOOLTIP = "Rows for a score table: one for every picture, metric and region."


def metric_names() -> list[str]:
    """What can be asked of Compare."""
    from ..methods.metrics import METRICS

    return list(METRICS)


class Compare(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="InternalCompare",
            display_name="Compare with Reference",
            category="internal/metrics",
            description=(
                "Measures pictures against what they should be: PSNR, SSIM, MS-SSIM, FLIP, LPIPS, "
                "DISTS and more, over the whole picture and, with a mask, inside it, in a ring "
                "around it and outside."
            ),
            inputs=[
                io.Image.Input("result", tooltip="The pictures to measure, one or a batch."),
                io.Image.Input(
                    "reference",
                    tooltip="What they should be, of the same size: one for all, or as many.",
                ),
                inputs.metrics(),
                inputs.ring(),
                inputs.method("result"),
                inputs.seed(),
                inputs.backend(),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip=(
                        "White where the picture was filled. Then the metrics come for the "
                        "regions inside, ring and outside as well."
                    ),
                ),
            ],
            outputs=[ScoresSocket.Output(display_name="scores", tooltip=SCORES_TOOLTIP)],
        )

    @classmethod
    def execute(cls, result, reference, metrics, ring, method, seed, backend, mask=None):
        from ..methods.metrics import compare

        device, size = convert.measuring_device(backend), convert.size_of(result)
        pictures, wanted, hole = convert.same_batch(
            result=convert.image(result, device, channels=3),
            reference=convert.image(reference, device, channels=3),
            mask=convert.mask(mask, size, device),
        )
        scores = compare(
            pictures,
            wanted,
            mask=hole,
            metrics=convert.names(metrics),
            ring=ring,
            weights=weights(),
            method=method,
            samples=PATCHES,
            seed=seed,
            backend=backend,
            callback=convert.Progress(),
        )
        return io.NodeOutput(scores)


class ErrorMap(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="InternalErrorMap",
            display_name="Error Map",
            category="internal/metrics",
            description=(
                "Shows where two pictures differ, and how visibly: FLIP's map of what one sees on "
                "flipping between them, or those of other metrics."
            ),
            inputs=[
                io.Image.Input("result", tooltip="The pictures to look at, one or a batch."),
                io.Image.Input("reference", tooltip="What they should be, of the same size."),
                io.Combo.Input(
                    "metric",
                    options=MAPS,
                    default="flip",
                    tooltip=(
                        "flip: visible differences, 0 to 1. l1: differences of the values. ssim: "
                        "loss of structure around the pixel. lpips: perceptual, needs weights in "
                        "models/metrics."
                    ),
                ),
                io.Float.Input(
                    "gain",
                    default=1.0,
                    min=0.01,
                    max=1000.0,
                    step=0.1,
                    tooltip="Multiplies the map: raise it to see faint differences.",
                ),
                io.Combo.Input(
                    "colours",
                    options=["magma", "grey"],
                    default="magma",
                    tooltip="magma: black, purple, orange, pale yellow. grey: for computing with.",
                ),
            ],
            outputs=[
                io.Image.Output(display_name="image", tooltip="The map as a picture."),
                io.Mask.Output(display_name="map", tooltip="Its values, times the gain."),
            ],
        )

    @classmethod
    def execute(cls, result, reference, metric, gain, colours):
        from ..methods.metrics.error_map import error_map, false_colours

        device = convert.measuring_device()
        pictures, wanted = convert.same_batch(
            result=convert.image(result, device, channels=3),
            reference=convert.image(reference, device, channels=3),
        )
        values = error_map(pictures, wanted, metric, weights()) * gain
        shown = false_colours(values) if colours == "magma" else values.expand(-1, 3, -1, -1)
        return io.NodeOutput(convert.to_image(shown), values[:, 0].cpu())


class ScoreTable(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="InternalScoreTable",
            display_name="Score Table",
            category="internal/metrics",
            description=(
                "Puts scores side by side: one column for every method, as text, CSV, JSON and a "
                "plot. Link one table into the next to gather several methods."
            ),
            inputs=[
                ScoresSocket.Input("scores", tooltip="From any node that measures."),
                io.Combo.Input(
                    "plot_region",
                    options=SHOWN_REGIONS,
                    default="auto",
                    tooltip=(
                        "The region that the plot shows. auto: inside the mask where a metric has "
                        "that, else the whole picture. The text and the files hold all."
                    ),
                ),
                ScoresSocket.Input(
                    "table",
                    optional=True,
                    tooltip="Another score table, whose rows come before these.",
                ),
            ],
            outputs=[
                ScoresSocket.Output(display_name="table", tooltip="All rows, for another table."),
                io.String.Output(
                    display_name="text", tooltip="For reading: means over the pictures, * = best."
                ),
                io.String.Output(display_name="csv", tooltip="One line for every row."),
                io.String.Output(display_name="json", tooltip="A list of rows."),
                io.Image.Output(
                    display_name="plot",
                    tooltip="A panel for every metric: bars, or boxes where there are more images.",
                ),
            ],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, scores, plot_region, table=None):
        from ..methods.metrics.plot import plot
        from ..methods.metrics.table import as_csv, as_json, as_text

        rows = [*(table or []), *scores]
        text, picture = as_text(rows), convert.to_image(plot(rows, plot_region))
        shown = {"text": (text,), "scores": [row.as_row() for row in rows]}
        return io.NodeOutput(rows, text, as_csv(rows), as_json(rows), picture, ui=shown)
