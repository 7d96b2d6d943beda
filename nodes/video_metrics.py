"""Measuring clips."""

from . import convert, inputs
from .api import io
from .metrics import PATCHES, SCORES_TOOLTIP
from .types import ScoresSocket
from .weights import weights


def clip_metric_names() -> list[str]:
    """What can be asked of VideoCompare."""
    from ..methods.metrics import CLIP_METRICS, METRICS

    return [*METRICS, *CLIP_METRICS]


class VideoCompare(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="InternalVideoCompare",
            display_name="Compare Clips",
            category="internal/metrics",
            description=(
                "Measures a clip: frame by frame against a reference where there is one, and as a "
                "clip, by warping error, flicker, grain inside the mask against around it, and "
                "SVFID."
            ),
            inputs=[
                io.Image.Input("result", tooltip="The clip to measure: a batch of its frames."),
                inputs.metrics(),
                inputs.ring(),
                inputs.method("result"),
                inputs.seed(),
                inputs.backend(),
                io.Image.Input(
                    "reference",
                    optional=True,
                    tooltip=(
                        "What the clip should be, as many frames of the same size. Without it "
                        "come those metrics that need none."
                    ),
                ),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip=(
                        "White where the clip was filled: one for all frames, or as many. Flicker, "
                        "grain and SVFID inside against outside need it."
                    ),
                ),
            ],
            outputs=[ScoresSocket.Output(display_name="scores", tooltip=SCORES_TOOLTIP)],
        )

    @classmethod
    def execute(cls, result, metrics, ring, method, seed, backend, reference=None, mask=None):
        from ..methods.metrics import compare_clips

        device, size = convert.measuring_device(backend), convert.size_of(result)
        frames = convert.image(result, device, channels=3)
        wanted = None if reference is None else convert.image(reference, device, channels=3)
        hole = convert.mask(mask, size, device)
        scores = compare_clips(
            convert.clip(frames),
            None if wanted is None else convert.clip(wanted),
            mask=None if hole is None else convert.clip(hole),
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
