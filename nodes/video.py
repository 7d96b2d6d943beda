"""Removing things from clips, with whatever engine suits each pixel."""

from typing import TYPE_CHECKING

from . import convert, inputs, videos
from .api import io

if TYPE_CHECKING:  # torch is imported when a node runs, not when it is listed
    from ..methods.video import Removal

FORMATS = ["h264", "ffv1", "ffv1_16", "prores"]
ENGINES = ["auto", "flow", "patch", "diffusion"]
WORDS_TOOLTIP = "Which engine filled how much of the hole, and where the clip was cut into scenes."


def removal_inputs() -> list:
    """What both nodes ask for beside clip and mask; `_grow_mask` came later."""
    return [
        io.Combo.Input(
            "engine",
            options=ENGINES,
            default="auto",
            tooltip=(
                "auto: what other frames show is taken along the motion where that can be relied "
                "on, the rest is filled with patches of space and time. flow, patch: that engine "
                "wherever it can. diffusion: as auto, and what patches filled is made anew by a "
                "network trained on the clip: minutes more; for water, fire, smoke."
            ),
        ),
        io.Float.Input(
            "trust",
            default=0.1,
            min=0.0,
            max=1.0,
            step=0.01,
            tooltip=(
                "Confidence from which the motion is taken rather than patches; where patches fit "
                "very well more is asked, where they fit badly less. Motion that is less sure is "
                "taken where a trial around the hole goes better with it. Raise it if something "
                "from other frames shows up that should not; lower it if a still background is "
                "made up though other frames show it."
            ),
        ),
        inputs.patch_size(
            5,
            "Side of the patches in pixels, and how many frames they last, odd. Larger keeps "
            "larger structure and longer motion together.",
        ),
        io.Int.Input(
            "diffusion_steps",
            default=1000,
            min=1,
            max=1000000,
            tooltip="Training steps of the network, with the engine diffusion alone.",
        ),
        inputs.seed(),
        inputs.backend(),
    ]


def _grow_mask():
    return io.Int.Input(
        "grow_mask",
        default=0,
        min=0,
        max=1024,
        optional=True,
        tooltip=(
            "Pixels by which the mask is made larger on all sides, in every frame. Raise it, to 4 "
            "or 8, where a thin outline of the object is left. What is outside the larger mask "
            "stays exactly."
        ),
    )


class RemoveFromVideo(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="InternalRemoveFromVideo",
            display_name="Remove from Video",
            category="internal/video",
            description=(
                "Removes what a mask covers from a clip: still backgrounds come from the frames "
                "that show them, moving textures are made of the clip's own patches. No model, no "
                "download; pixels outside the mask stay as they are, bit for bit."
            ),
            inputs=[
                inputs.clip(),
                inputs.clip_mask(),
                *removal_inputs(),
                _grow_mask(),
            ],
            outputs=[
                io.Image.Output(display_name="image", tooltip="The clip with its hole filled."),
                io.Image.Output(
                    display_name="map",
                    tooltip="What filled each pixel: motion green, patches blue, diffusion orange.",
                ),
                io.String.Output(display_name="words", tooltip=WORDS_TOOLTIP),
            ],
        )

    @classmethod
    def execute(cls, image, mask, backend, grow_mask=0, **settings):
        from ..methods.morphology import grown

        device = convert.device(backend)
        clip = convert.clip(convert.image(image, device))
        hole = grown(convert.mask(mask, convert.size_of(image), device), grow_mask)
        hole = convert.clip(hole)
        removal = _removed(clip, hole, backend, settings, convert.Progress())
        return io.NodeOutput(
            convert.to_image(removal.clip),
            convert.to_image(removal.map()),
            removal.words(),
        )


class RemoveFromVideoFile(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="InternalRemoveFromVideoFile",
            display_name="Remove from Video File",
            category="internal/video",
            description=(
                "Remove from Video for files of any length: frames are read, filled and written "
                "in windows, so that memory does not grow with the length. Sound is kept. Run "
                "again after a crash, it goes on where it was."
            ),
            inputs=[
                io.Video.Input("video", tooltip="The clip, from Load Video."),
                *removal_inputs(),
                io.Int.Input(
                    "window",
                    default=48,
                    min=8,
                    max=100000,
                    tooltip=(
                        "Frames that are worked on together. More find more of what is hidden, "
                        "and take more memory."
                    ),
                ),
                io.Int.Input(
                    "overlap",
                    default=8,
                    min=0,
                    max=1000,
                    tooltip=(
                        "Finished frames that a window begins with, so that it goes on from them. "
                        "Less than the window."
                    ),
                ),
                io.Combo.Input(
                    "format",
                    options=FORMATS,
                    default="h264",
                    tooltip=(
                        "h264: an MP4 for viewing. ffv1, ffv1_16: lossless, with 8 or 16 bits; "
                        "what is outside the mask stays to the bit. prores: for editing programs."
                    ),
                ),
                inputs.clip_mask(optional=True),
                io.Video.Input(
                    "mask_video",
                    optional=True,
                    tooltip="The mask as a video of as many frames, white where it is filled.",
                ),
                _grow_mask(),
            ],
            outputs=[io.Video.Output(display_name="video", tooltip="The filled clip, a file.")],
        )

    @classmethod
    def execute(
        cls,
        video,
        backend,
        window,
        overlap,
        format,
        mask=None,
        mask_video=None,
        grow_mask=0,
        **settings,
    ):
        if (mask is None) == (mask_video is None):
            raise ValueError("connect either mask or mask_video: what is white there is removed")

        def process(clip, hole, carried, callback):
            return _removed(clip, hole, backend, settings, callback, scenes=False).clip, None

        made = videos.filled(
            video,
            mask_video if mask is None else mask,
            process,
            grow=grow_mask,
            settings=settings | {"backend": backend},
            device=convert.device(backend),
            length=window,
            overlap=overlap,
            format=format,
        )
        return io.NodeOutput(made)


def _removed(clip, hole, backend, settings, callback, **more) -> "Removal":
    from ..methods.video import remove

    return remove(clip, hole, backend=backend, callback=callback, **settings, **more)
