"""Small networks that learn one clip: its hole is filled, or its motion made anew."""

from . import convert, inputs
from . import diffusion_inputs as asked_for
from .api import host, io
from .diffusion import SAMPLED_LAYERS, TRAINED_LAYERS, checkpoints, costed, memory
from .diffusion_inputs import INTENSITY
from .types import ModelSocket


def _course_inputs(intervals: int, common: float, asked: int) -> list:
    return [
        asked_for.intervals_input(
            intervals,
            "; the network is trained for one after the other. 1 trains all levels at once: raise "
            "asked then.",
        ),
        asked_for.common_input(common, "; the thesis has none."),
        asked_for.asked_input(asked, ". More takes longer."),
        asked_for.count_input("samples"),
    ]


def _model_output():
    return ModelSocket.Output(
        display_name="model",
        tooltip=(
            "The network as it is in the end: with intervals, good for the least noisy levels "
            "alone."
        ),
    )


class IntervalTrainAndSampleVideo(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="InternalIntervalTrainAndSampleVideo",
            display_name="Interval Train and Sample Video (Infusion)",
            category="internal/video",
            description=(
                "Fills what moves and never looks the same twice: water, fire, smoke, foliage. A "
                "tiny network learns your clip here and now, and fills its hole while it learns. "
                "For a still background seen elsewhere in the clip, other nodes are faster and "
                "exact."
            ),
            inputs=[
                inputs.clip(),
                inputs.clip_mask(),
                *_course_inputs(intervals=20, common=0.0, asked=5),
                *asked_for.budget_inputs(2000),
                io.Combo.Input(
                    "masks",
                    options=["hole", "mixed", "brush"],
                    default="hole",
                    tooltip=(
                        "What is hidden in training. hole: shapes of the size and motion of the "
                        "mask, and pieces of it. brush: closed shapes of any size that stand still "
                        "or move. mixed: both in turn."
                    ),
                ),
                io.Combo.Input(
                    "loss",
                    options=["hole", "visible"],
                    default="hole",
                    tooltip=(
                        "Where errors count in training: where a training mask hides what is "
                        "known, as in the thesis, or on all that is known, as in the published "
                        "code."
                    ),
                ),
                *asked_for.clip_learning_inputs(),
                io.Image.Input(
                    "start",
                    optional=True,
                    tooltip=(
                        "A fill to refine, such as that of a patch method: a clip of the same "
                        "size and length. Default: sampling begins from noise."
                    ),
                ),
                asked_for.noisiest_input(),
                *asked_for.cost_inputs(),
                io.Mask.Input(
                    "avoid_mask",
                    optional=True,
                    tooltip=(
                        "White is neither learnt from nor looked at, nor filled: outside of a "
                        "stabilised clip, or something else that moves. One for all frames, or as "
                        "many."
                    ),
                ),
            ],
            outputs=[
                io.Image.Output(
                    display_name="images", tooltip="The filled clips, one after the other."
                ),
                _model_output(),
                asked_for.loss_curve_output(),
                io.Image.Output(
                    display_name="mean", tooltip="The mean of the samples, frame by frame."
                ),
                io.Image.Output(
                    display_name="variance",
                    tooltip="How much they differ, brightest where most; black for a single one.",
                ),
                asked_for.summary_output(),
            ],
        )

    @classmethod
    def execute(
        cls,
        image,
        mask,
        intervals,
        common,
        asked,
        count,
        steps,
        seconds,
        start=None,
        avoid_mask=None,
        watts=0.0,
        gco2_per_kwh=INTENSITY,
        **settings,
    ):
        from ..methods.loss_curve import loss_curve
        from ..methods.video import infusion

        device, size = convert.network_device(), convert.size_of(image)
        clip = convert.clip(convert.image(image, device))
        hole = convert.clip(convert.mask(mask, size, device))
        fill = None if start is None else convert.clip(convert.image(start, device))
        avoid = convert.clip(convert.mask(avoid_mask, size, device, "avoid_mask"))
        network, training = asked_for.clip_settings(clip.shape[1], conditional=True, **settings)
        chosen = {"intervals": intervals, "common": common, "asked": asked, "count": count}
        chosen |= {"steps": steps, "seconds": seconds or None, "seed": training.seed}
        given = {"clip": clip, "hole": hole, "start": fill, "avoid": avoid}
        tensors = {name: values for name, values in given.items() if values is not None}
        with (
            checkpoints().of(tensors, [network, training, chosen]) as checkpoint,
            host.room(_room(network, training, clip[0, 0].numel())),
        ):
            fills, model = infusion(
                clip,
                hole,
                network=network,
                training=training,
                start=fill,
                avoid_mask=avoid,
                checkpoint=checkpoint,
                callback=convert.Progress(),
                **chosen,
            )
        model, words = costed(model, watts, gco2_per_kwh)
        curve = convert.to_image(loss_curve(model.losses, "loss"))
        return io.NodeOutput(_frames(fills), model, curve, *_statistics(fills), words)


class DynamicTexture(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="InternalDynamicTexture",
            display_name="Dynamic Texture (Infusion)",
            category="internal/video",
            description=(
                "Makes new water, fire or foliage from a short clip of it: longer, larger, and as "
                "a seamless loop. A tiny network learns the clip here and now."
            ),
            inputs=[
                io.Image.Input(
                    "image", tooltip="The clip: a batch of its frames, from a camera that rests."
                ),
                io.Int.Input(
                    "frames", default=24, min=1, max=4096, tooltip="Length of the new clip."
                ),
                io.Int.Input(
                    "width_pixels",
                    default=0,
                    min=0,
                    max=8192,
                    tooltip="Width of the new clip; 0 = that of the given one.",
                ),
                io.Int.Input(
                    "height_pixels",
                    default=0,
                    min=0,
                    max=8192,
                    tooltip="Height of the new clip; 0 = that of the given one.",
                ),
                io.Boolean.Input(
                    "loop",
                    default=True,
                    tooltip="The last frame leads to the first without a seam.",
                ),
                io.Boolean.Input(
                    "stationary",
                    default=True,
                    tooltip=(
                        "On for a texture that is alike everywhere. Off where each place has its "
                        "own look, such as a flame above a candle: whole frames are then learnt, "
                        "which takes longer, and the size is that of the clip."
                    ),
                ),
                *_course_inputs(intervals=5, common=0.75, asked=20),
                *asked_for.budget_inputs(2000),
                *asked_for.clip_learning_inputs(),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="White is not learnt from: a logo, a passer-by.",
                ),
                *asked_for.cost_inputs(),
                io.Int.Input(
                    "matching",
                    default=100,
                    min=0,
                    max=10000,
                    tooltip=(
                        "Steps in which the patches of the new clip are brought into the "
                        "distribution of those of the given one: contrast and sharpness that a "
                        "short training lacks. 0 = as the network made it."
                    ),
                ),
            ],
            outputs=[
                io.Image.Output(
                    display_name="images", tooltip="The new clips, one after the other."
                ),
                _model_output(),
                asked_for.loss_curve_output(),
                asked_for.summary_output(
                    "Steps, loss, seconds, energy and memory in words, and the PSNR against the "
                    "given clip: where it is high, the new one is a copy."
                ),
            ],
        )

    @classmethod
    def execute(
        cls,
        image,
        frames,
        width_pixels,
        height_pixels,
        loop,
        stationary,
        intervals,
        common,
        asked,
        count,
        steps,
        seconds,
        mask=None,
        watts=0.0,
        gco2_per_kwh=INTENSITY,
        matching=100,
        **settings,
    ):
        from ..methods.loss_curve import loss_curve
        from ..methods.video import dynamic_texture, match_patches, source_psnr

        device, own = convert.network_device(), convert.size_of(image)
        clip = convert.clip(convert.image(image, device))
        hidden = convert.clip(convert.mask(mask, own, device))
        network, training = asked_for.clip_settings(
            clip.shape[1], conditional=False, masks="brush", **settings
        )
        chosen = {"frames": frames, "size": (height_pixels or own[0], width_pixels or own[1])}
        chosen |= {"loop": loop, "stationary": stationary}
        chosen |= {"intervals": intervals, "common": common, "asked": asked, "count": count}
        chosen |= {"steps": steps, "seconds": seconds or None, "seed": training.seed}
        tensors = {"clip": clip} | ({} if hidden is None else {"hidden": hidden})
        voxels = frames * chosen["size"][0] * chosen["size"][1]
        with (
            checkpoints().of(tensors, [network, training, chosen]) as checkpoint,
            host.room(_room(network, training, voxels)),
        ):
            made, model = dynamic_texture(
                clip,
                mask=hidden,
                network=network,
                training=training,
                checkpoint=checkpoint,
                callback=convert.Progress(),
                **chosen,
            )
        if matching:
            made = match_patches(
                made,
                clip,
                mask=hidden,
                loop=loop,
                steps=matching,
                seed=training.seed,
                callback=convert.Progress(),
            )
        model, words = costed(model, watts, gco2_per_kwh)
        near = ", ".join(f"{value:.1f}" for value in source_psnr(made, clip).tolist())
        curve = convert.to_image(loss_curve(model.losses, "loss"))
        words = f"{words}; PSNR against the clip: {near} dB"
        return io.NodeOutput(_frames(made), model, curve, words)


def _room(network, training, voxels: int) -> int:
    """Bytes that the training, or the sampling of so many voxels, takes at once, roughly."""
    from ..methods.diffusion.work import VOXELS

    windows = training.batch * training.frames * training.window**2
    sampled = memory(network, min(voxels, VOXELS), SAMPLED_LAYERS)
    return max(memory(network, windows, TRAINED_LAYERS), sampled)


def _frames(clips):
    """Clips (n, C, T, H, W) as IMAGE, one after the other."""
    return convert.to_image(clips.movedim(2, 1).flatten(0, 1))


def _statistics(clips):
    """Mean and variance, (T, H, W, C) each, of clips (n, C, T, H, W)."""
    import torch

    from ..methods.diffusion import sample_statistics

    frames, height = clips.shape[2:4]
    if len(clips) == 1:
        return _frames(clips), torch.zeros_like(_frames(clips))
    pair = sample_statistics(clips.flatten(2, 3))
    mean, variance = (each.unflatten(2, (frames, height)) for each in pair)
    return _frames(mean), _frames(variance / variance.max().clamp(min=1e-12))
