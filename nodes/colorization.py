"""Colouring grey pictures and clips after a coloured reference."""

from typing import TYPE_CHECKING

from . import convert, inputs
from .api import io

if TYPE_CHECKING:  # torch is imported when a node runs, not when it is listed
    from torch import Tensor

    from ..methods.colorize import Layer, Pairs

# name in the menu -> settings of methods.colorize.Layer
LAYERS = {
    "PSAL-1": {"neighbours": 1},
    "PSAL-3": {"neighbours": 3},
    "PSAL-7": {"neighbours": 7},
    "PSAL-15": {"neighbours": 15},
    "PSAL-31": {"neighbours": 31},
    "PSAL-1 + aggregation": {"neighbours": 1, "aggregate": True},
    "PSAL-3 + aggregation": {"neighbours": 3, "aggregate": True},
    "dense": {"kind": "dense"},
    "local": {"kind": "local"},
    "linear": {"kind": "linear"},
}
AS_TRAINED = "as trained"


class GuidedColorization(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="InternalGuidedColorization",
            display_name="Guided Colorization (PSAL)",
            category="internal/editing",
            description=(
                "Colours a grey picture or clip after a coloured reference of a similar scene. A "
                "tiny network is trained on the reference itself; attention finds for each grey "
                "patch where its colour comes from. No model, no download."
            ),
            inputs=[
                io.Image.Input(
                    "image",
                    tooltip=(
                        "The picture to colour, or the frames of a clip. Of a coloured one only "
                        "the luma is used. An alpha channel is kept."
                    ),
                ),
                io.Image.Input(
                    "reference",
                    tooltip=(
                        "Where the colours come from: a coloured picture of a similar scene, or "
                        "several key frames of the clip at equal distances, of which each frame "
                        "takes the nearest."
                    ),
                ),
                io.Combo.Input(
                    "layer",
                    options=list(LAYERS),
                    default="PSAL-1 + aggregation",
                    tooltip=(
                        "The attention layer of the training. PSAL-k looks at the k most similar "
                        "patches, with aggregation also at those of the pixels around: smoothest. "
                        "dense looks at every third row and column of all, local only near the "
                        "same place, linear at everything at once: for comparison."
                    ),
                ),
                io.Combo.Input(
                    "similarity",
                    options=["l2", "dot"],
                    default="l2",
                    tooltip=(
                        "How patches are compared: by their squared difference or their inner "
                        "product. l2 is far better here; linear ignores it."
                    ),
                ),
                io.Int.Input(
                    "steps",
                    default=200,
                    min=0,
                    max=1_000_000,
                    tooltip=(
                        "Training steps. Raise it while the loss curve still falls. 0 trains "
                        "nothing: grey patches are matched as they are and colours copied, often "
                        "enough where the reference shows the same things."
                    ),
                ),
                io.Int.Input(
                    "training_size",
                    default=64,
                    min=16,
                    max=1024,
                    step=8,
                    tooltip=(
                        "Longer side in pixels to which pictures are reduced for training. The "
                        "time of a step grows with its square."
                    ),
                ),
                io.Int.Input(
                    "working_size",
                    default=512,
                    min=0,
                    max=16384,
                    step=8,
                    tooltip=(
                        "Longer side in pixels at which colours are found; detail stays, for it is "
                        "in the luma. Larger follows finer colours, smaller sees more around each "
                        "pixel and is faster. 0 works at the picture's own size."
                    ),
                ),
                io.Boolean.Input(
                    "keep_luma",
                    default=True,
                    tooltip=(
                        "On: the brightness of the picture stays exactly, only colour is added, "
                        "paled where it would leave the range. Off: the network's own output."
                    ),
                ),
                io.Combo.Input(
                    "final_layer",
                    options=[AS_TRAINED, *LAYERS],
                    default=AS_TRAINED,
                    tooltip=(
                        "Puts another attention layer into the trained network before it colours "
                        "the picture, for instance PSAL-1 in the place of dense."
                    ),
                ),
                inputs.seed(),
                inputs.backend(),
                io.Image.Input(
                    "training_frames",
                    optional=True,
                    tooltip=(
                        "Coloured frames of a similar clip, two or more: trained on pairs of them. "
                        "Default: the references, or one reference and its mirror images."
                    ),
                ),
            ],
            outputs=[
                io.Image.Output(display_name="image", tooltip="The coloured picture or frames."),
                io.Image.Output(
                    display_name="loss_curve", tooltip="The squared error of each training step."
                ),
                io.String.Output(display_name="summary", tooltip="The training in a line."),
            ],
        )

    @classmethod
    def execute(
        cls,
        image,
        reference,
        layer,
        similarity,
        steps,
        training_size,
        working_size,
        keep_luma,
        final_layer,
        seed,
        backend,
        training_frames=None,
    ):
        import torch

        from ..methods.colorize import colorize, train_colorizer
        from ..methods.loss_curve import loss_curve, loss_words

        device = convert.device(backend)
        picture = convert.image(image, device)
        colours = convert.image(reference, device, channels=3)
        frames = colours
        if training_frames is not None:
            frames = convert.image(training_frames, device, channels=3)
        trained = train_colorizer(
            _pairs(frames, training_size),
            layer=_layer(layer, similarity, training_size),
            steps=steps,
            seed=seed,
            backend=backend,
            callback=convert.Progress(),
        )
        final = layer if final_layer == AS_TRAINED else final_layer
        size = max(convert.size_of(image))
        coloured = colorize(
            picture[:, :3],
            colours,
            trained.network,
            layer=_layer(final, similarity, min(working_size or size, size)),
            side=working_size,
            keep_luma=keep_luma,
            seed=seed,
            backend=backend,
            callback=convert.Progress(),
        )
        result = torch.cat([coloured, picture[:, 3:]], 1)
        curve = convert.to_image(loss_curve(trained.losses))
        return io.NodeOutput(convert.to_image(result), curve, loss_words(trained.losses))


def _layer(name: str, similarity: str, side: int) -> "Layer":
    """A window is a fifth of the side, as in the thesis, and at least a patch."""
    from ..methods.colorize import Layer

    return Layer(similarity=similarity, window=max(7, side // 10 * 2 + 1), **LAYERS[name])


def _pairs(frames: "Tensor", side: int) -> "Pairs":
    from ..methods.colorize import frame_pairs, mirrored_pairs, reduced

    small = reduced(frames, side)
    return frame_pairs(small) if len(small) > 1 else mirrored_pairs(small)
