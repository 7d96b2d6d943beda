"""Trying methods on the user's own picture before one is chosen."""

from . import convert, inputs
from .api import io
from .types import ScoresSocket
from .weights import weights

CANDIDATES = """\
patch 7: method=patch patch_size=7
patch 5: method=patch patch_size=5
patch 11: method=patch patch_size=11
patch 7 smooth: method=patch patch_size=7 upsample=image
"""


class SelfTest(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="InternalSelfTest",
            display_name="Self-Test",
            category="internal/metrics",
            description=(
                "Which settings fill holes best in this very picture? Hides known regions of the "
                "hole's shape elsewhere, has each candidate fill them, and measures who comes "
                "nearest to what was there."
            ),
            inputs=[
                io.Image.Input("image", tooltip="The picture, or the frames of a clip."),
                io.Mask.Input(
                    "mask",
                    tooltip=(
                        "The hole, white. It is neither looked at nor measured; its shape is "
                        "hidden elsewhere. For a clip one mask, or one per frame."
                    ),
                ),
                io.String.Input(
                    "candidates",
                    default=CANDIDATES,
                    multiline=True,
                    tooltip=(
                        "One a line: name: method=patch patch_size=7 levels=3 iterations=10 "
                        "upsample=field. What is left out is as in Patch Inpaint."
                    ),
                ),
                io.Int.Input(
                    "trials",
                    default=3,
                    min=1,
                    max=50,
                    tooltip="Number of places to hide the shape at. More is surer and slower.",
                ),
                io.Int.Input(
                    "margin",
                    default=16,
                    min=0,
                    max=1024,
                    tooltip=(
                        "Least distance in pixels between a hidden region and the hole. Lower it "
                        "where the mask leaves too little room."
                    ),
                ),
                io.String.Input(
                    "metrics",
                    default="",
                    tooltip=(
                        "Names, separated by commas. Empty: those that judge a fill (LPIPS, DISTS, "
                        "FLIP, patch transport, sharpness), and PSNR and SSIM to look at."
                    ),
                ),
                io.Boolean.Input(
                    "as_clip",
                    default=False,
                    tooltip=(
                        "The batch is a clip: the moving hole is hidden in all its frames at once."
                    ),
                ),
                inputs.seed(),
                inputs.backend(),
            ],
            outputs=[
                ScoresSocket.Output(
                    display_name="scores",
                    tooltip="A row for every candidate, place and metric. For Score Table.",
                ),
                io.Image.Output(
                    display_name="sheet",
                    tooltip="What was hidden, and what each candidate made of it.",
                ),
                io.String.Output(
                    display_name="recommended", tooltip="The name of the best candidate."
                ),
                io.String.Output(
                    display_name="reason", tooltip="How it was chosen, and the others' ranks."
                ),
            ],
        )

    @classmethod
    def execute(cls, image, mask, candidates, trials, margin, metrics, as_clip, seed, backend):
        from ..methods.candidates import read_candidates
        from ..methods.self_test import self_test

        device, size = convert.measuring_device(backend), convert.size_of(image)
        if len(image) > 1 and not as_clip:
            raise ValueError(
                f"there are {len(image)} pictures; test one at a time, or switch as_clip on if "
                "they are the frames of a clip"
            )
        frames, hole = convert.same_batch(
            image=convert.image(image, device), mask=convert.mask(mask, size, device)
        )
        if len(frames) > len(image):
            raise ValueError(f"there are {len(frames)} masks for one picture; give one")
        found = self_test(
            frames,
            hole,
            read_candidates(candidates, backend=backend),
            trials=trials,
            margin=margin,
            metrics=convert.names(metrics),
            weights=weights(),
            seed=seed,
            callback=convert.Progress(),
        )
        sheet = convert.to_image(found.sheet)
        return io.NodeOutput(found.rows, sheet, found.recommended, found.reason)
