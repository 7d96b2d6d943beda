"""Small networks that learn from the user's own pictures and fill holes with samples."""

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from . import convert, inputs
from . import diffusion_inputs as asked_for
from .api import host, io
from .diffusion_inputs import INTENSITY, MASK_TOOLTIP, NOISIEST, STRIP_TOOLTIP
from .models import MODEL_TOOLTIP
from .types import ModelSocket

if TYPE_CHECKING:  # torch is imported when a node runs, not when it is listed
    from ..methods.diffusion import NetworkSettings, TrainedModel
    from ..storage.checkpoints import Checkpoints

log = logging.getLogger(__name__)

UNFINISHED = "unfinished"  # name of the model that a cancelled training leaves
START_LEVEL = 300  # keeps the layout of a start, and makes its texture anew
SAMPLERS = ["dpm2", "ddim", "ancestral"]
TRAINED_LAYERS, SAMPLED_LAYERS = 24, 8  # features of full size that are held at once


class TrainDiffusion(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="InternalTrainDiffusion",
            display_name="Train Diffusion (Internal)",
            category="internal/diffusion",
            description=(
                "Trains a tiny diffusion model on your own pictures, here and now, to fill holes "
                "in them: no download, nothing leaves the machine. Cancel when you like: run "
                "again, it goes on."
            ),
            inputs=[
                io.Image.Input(
                    "image",
                    tooltip=(
                        "The picture to learn from, or a batch of them. An alpha channel is "
                        "learnt too."
                    ),
                ),
                *asked_for.budget_inputs(2000),
                asked_for.kind_input(),
                *asked_for.learning_inputs(),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip=(
                        "The hole to be filled, white: what is under it is never looked at. "
                        "Without it the whole picture is learnt."
                    ),
                ),
                ModelSocket.Input(
                    "start_model",
                    optional=True,
                    tooltip=(
                        "A model of the same network to go on from: of a similar texture it saves "
                        "most of the steps."
                    ),
                ),
                asked_for.noisiest_input(),
                *asked_for.cost_inputs(),
            ],
            outputs=[
                ModelSocket.Output(display_name="model", tooltip="The trained model."),
                asked_for.loss_curve_output(),
                asked_for.summary_output(),
            ],
        )

    @classmethod
    def execute(
        cls,
        image,
        steps,
        seconds,
        mask=None,
        start_model=None,
        watts=0.0,
        gco2_per_kwh=INTENSITY,
        **settings,
    ):
        from ..methods.diffusion import train
        from ..methods.loss_curve import loss_curve

        device = convert.network_device()
        pictures = convert.image(image, device)
        hole = convert.mask(mask, convert.size_of(image), device)
        network, training = asked_for.settings(pictures.shape[1], **settings)
        limits = {"steps": steps, "seconds": seconds or None}
        tensors = {"pictures": pictures} | ({} if hole is None else {"hole": hole})
        begun = {} if start_model is None else start_model.weights
        tensors |= {f"start {name}": weight for name, weight in begun.items()}
        with (
            checkpoints().of(tensors, [network, training, limits]) as checkpoint,
            host.room(memory(network, training.batch * training.window**2, TRAINED_LAYERS)),
        ):
            model = train(
                pictures,
                hole,
                network=network,
                training=training,
                start=start_model,
                checkpoint=checkpoint,
                interrupted=_keep,
                callback=convert.Progress(),
                **limits,
            )
        model, words = costed(model, watts, gco2_per_kwh)
        return io.NodeOutput(model, convert.to_image(loss_curve(model.losses, "loss")), words)


class DiffusionInpaint(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="InternalDiffusionInpaint",
            display_name="Diffusion Inpaint (Internal)",
            category="internal/inpainting",
            description=(
                "Fills the hole with samples of a model that was trained on this texture: as many "
                "different fills as you like, in seconds. Pixels outside the mask stay as they "
                "are, bit for bit."
            ),
            inputs=[
                ModelSocket.Input("model", tooltip=MODEL_TOOLTIP),
                io.Image.Input("image", tooltip="The picture, or a batch of them."),
                io.Mask.Input("mask", tooltip=MASK_TOOLTIP),
                io.Int.Input(
                    "steps",
                    default=25,
                    min=1,
                    max=1000,
                    tooltip=(
                        "Times that the network is asked. dpm2 needs 10 to 25, ddim twice that, "
                        "ancestral 100 to 1000. 1 gives the mean of all possible fills at once."
                    ),
                ),
                io.Combo.Input(
                    "sampler",
                    options=SAMPLERS,
                    default="dpm2",
                    tooltip=(
                        "The way from noise to the picture. dpm2 (DPM-Solver++ 2M) needs the "
                        "fewest steps; ddim is simpler; ancestral adds fresh noise in each of "
                        "many steps, as the thesis does."
                    ),
                ),
                io.Int.Input(
                    "count",
                    default=1,
                    min=1,
                    max=4096,
                    tooltip="Different fills of each picture.",
                ),
                inputs.seed(),
                io.Int.Input(
                    "strip",
                    default=8,
                    min=1,
                    max=1000,
                    tooltip="Pictures in the strip that shows how the first sample came about.",
                ),
                asked_for.start_input(),
                io.Int.Input(
                    "start_level",
                    default=START_LEVEL,
                    min=0,
                    max=NOISIEST,
                    optional=True,
                    tooltip=(
                        "How noisy a start is made. Lower keeps more of it; 999 keeps nothing. "
                        "At most the noisiest level that the model was trained for."
                    ),
                ),
                io.Int.Input(
                    "resamples",
                    default=1,
                    min=1,
                    max=100,
                    optional=True,
                    tooltip=(
                        "For a model of the kind unconditional: how often each few noise levels "
                        "are gone through, so that hole and surroundings agree. 4 to 10 is good; "
                        "takes as many times as long."
                    ),
                ),
                *asked_for.cost_inputs(),
            ],
            outputs=[
                io.Image.Output(display_name="images", tooltip="The fills of each picture."),
                io.Image.Output(display_name="strip", tooltip=STRIP_TOOLTIP),
                asked_for.summary_output(),
            ],
        )

    @classmethod
    def execute(
        cls,
        model,
        image,
        mask,
        steps,
        sampler,
        count,
        seed,
        strip,
        start=None,
        start_level=START_LEVEL,
        resamples=1,
        watts=0.0,
        gco2_per_kwh=INTENSITY,
    ):
        from ..methods.cost import Meter
        from ..methods.diffusion import diffusion_inpaint

        device, size = convert.network_device(), convert.size_of(image)
        fill = None if start is None else convert.image(start, device)
        picture, hole, fill = convert.same_batch(
            image=convert.image(image, device), mask=convert.mask(mask, size, device), start=fill
        )
        progress = convert.Progress()
        with (
            host.room(memory(model.network, size[0] * size[1], SAMPLED_LAYERS)),
            Meter(device, watts or None, gco2_per_kwh) as meter,
        ):
            filled = diffusion_inpaint(
                model,
                picture,
                hole,
                steps=steps,
                sampler=sampler,
                count=count,
                seed=seed,
                start=fill,
                start_level=min(start_level, model.training.first),
                resamples=resamples,
                strip=strip,
                callback=progress,
            )
        made = "1 fill" if len(filled) == 1 else f"{len(filled)} fills"
        words = f"{made} of {steps} steps: {meter.cost.words()}"
        return io.NodeOutput(convert.to_image(filled), progress.scales(filled), words)


class IntervalInpaint(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="InternalIntervalInpaint",
            display_name="Interval Train and Inpaint (Infusion)",
            category="internal/inpainting",
            description=(
                "Trains and fills in turn: a tiny network learns the noisiest levels, takes the "
                "fill through them, learns the next, and so on. Made for long trainings; good for "
                "this hole alone."
            ),
            inputs=[
                io.Image.Input("image", tooltip="The picture; an alpha channel is filled too."),
                io.Mask.Input("mask", tooltip=MASK_TOOLTIP),
                asked_for.intervals_input(
                    5,
                    ". More makes the network better at each, with fewer steps for it. The thesis "
                    "has 20, and thousands of steps for each.",
                ),
                asked_for.asked_input(40, ": 200 of 5 intervals. The thesis asks at every level."),
                asked_for.count_input("fills"),
                *asked_for.budget_inputs(2000),
                *asked_for.learning_inputs(),
                asked_for.start_input(),
                asked_for.noisiest_input(),
                *asked_for.cost_inputs(),
                asked_for.common_input(
                    0.75,
                    ". 0, as in the thesis, needs thousands of steps for each interval.",
                    optional=True,
                ),
            ],
            outputs=[
                io.Image.Output(display_name="images", tooltip="The fills of the picture."),
                asked_for.loss_curve_output(),
                asked_for.summary_output(),
            ],
        )

    @classmethod
    def execute(
        cls,
        image,
        mask,
        intervals,
        asked,
        count,
        steps,
        seconds,
        start=None,
        watts=0.0,
        gco2_per_kwh=INTENSITY,
        common=0.75,
        **settings,
    ):
        from ..methods.diffusion import interval_inpaint
        from ..methods.loss_curve import loss_curve

        device = convert.network_device()
        picture = convert.image(image, device)
        hole = convert.mask(mask, convert.size_of(image), device)
        fill = None if start is None else convert.image(start, device)
        network, training = asked_for.settings(picture.shape[1], **settings)
        chosen = {"intervals": intervals, "common": common, "asked": asked, "count": count}
        chosen |= {"steps": steps, "seconds": seconds or None, "seed": training.seed}
        tensors = {"picture": picture, "hole": hole} | ({} if fill is None else {"start": fill})
        with (
            checkpoints().of(tensors, [network, training, chosen]) as checkpoint,
            host.room(memory(network, training.batch * training.window**2, TRAINED_LAYERS)),
        ):
            filled, model = interval_inpaint(
                picture,
                hole,
                network=network,
                training=training,
                start=fill,
                checkpoint=checkpoint,
                callback=convert.Progress(),
                **chosen,
            )
        model, words = costed(model, watts, gco2_per_kwh)
        curve = convert.to_image(loss_curve(model.losses, "loss"))
        return io.NodeOutput(convert.to_image(filled), curve, words)


def checkpoints() -> "Checkpoints":
    """Where trainings leave off when they are cancelled."""
    from ..storage.checkpoints import Checkpoints

    return Checkpoints(host.checkpoint_folder())


def memory(network: "NetworkSettings", pixels: int, layers: int) -> int:
    """Bytes that the features of so many pixels need, roughly."""
    return layers * pixels * network.width * 4


def costed(model: "TrainedModel", watts: float, intensity: float) -> "tuple[TrainedModel, str]":
    """The model with the stated power in its provenance, and its training in words."""
    from ..methods.cost import Cost
    from ..methods.loss_curve import loss_words

    measured = Cost.from_dict(model.provenance["cost"])
    cost = Cost(measured.seconds, measured.device, watts or None, intensity, memory=measured.memory)
    model = replace(model, provenance=model.provenance | {"cost": cost.as_dict()})
    return model, f"{loss_words(model.losses, 'loss')}; {cost.words()}"


def _keep(model: "TrainedModel") -> None:
    """Save the model of a training that was ended from outside, in the place of the last such."""
    from ..storage.models import path_for, save_model

    folder = host.trained_model_folders()[0]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        save_model(path_for(folder, UNFINISHED, overwrite=True), model)
    except (OSError, ValueError) as error:
        log.warning("the model of the cancelled training was not saved: %s", error)
