"""Trained models: kept in files, taken from them, and what is known of one."""

import hashlib
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from . import convert
from .api import host, io, ui
from .types import ModelSocket

if TYPE_CHECKING:  # torch is imported when a node runs, not when it is listed
    from torch import Tensor

    from ..methods.diffusion.model import TrainedModel

log = logging.getLogger(__name__)

NEAREST = "nearest to image"
MODEL_TOOLTIP = "A trained model, from a node that trains one or from Load Internal Model."


class SaveModel(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="InternalSaveModel",
            display_name="Save Internal Model",
            category="internal/models",
            description=(
                "Keeps a trained model as a safetensors file in models/internal, with its settings "
                "and all that is known of its training. Load Internal Model lists it."
            ),
            inputs=[
                ModelSocket.Input("model", tooltip=MODEL_TOOLTIP),
                io.String.Input(
                    "name",
                    default="texture",
                    tooltip=(
                        'What the file is called, without folder; any of < > : " / \\ | ? * is '
                        "refused, for not every system can hold it."
                    ),
                ),
                io.Boolean.Input(
                    "overwrite",
                    default=False,
                    tooltip=(
                        "On: a model of this name is replaced. Off: it stays, and the new one gets "
                        "a number: name_2, name_3 ..."
                    ),
                ),
            ],
            outputs=[
                io.String.Output(display_name="path", tooltip="The file that was written."),
            ],
            is_output_node=True,
        )

    @classmethod
    def validate_inputs(cls, name):
        from ..storage.models import why_not_a_name

        return why_not_a_name(name) or True

    @classmethod
    def execute(cls, model, name, overwrite):
        from ..storage.models import path_for, save_model

        folder = host.trained_model_folders()[0]
        folder.mkdir(parents=True, exist_ok=True)
        path = path_for(folder, name, overwrite)
        save_model(path, model)
        return io.NodeOutput(str(path), ui=ui.PreviewText(f"saved as {path}"))


class LoadModel(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="InternalLoadModel",
            display_name="Load Internal Model",
            category="internal/models",
            description=(
                "A model that Save Internal Model has kept: fills the next hole of the same "
                "texture without training again, or is trained further."
            ),
            inputs=[
                io.Combo.Input(
                    "name",
                    options=[*_files(), NEAREST],
                    tooltip=(
                        "The model's file, from models/internal or the input folder; on the "
                        "command line also a path, from the current folder or the workflow's. "
                        f"{NEAREST}: the one whose training pictures were most like it."
                    ),
                ),
                io.Image.Input(
                    "image",
                    optional=True,
                    tooltip=f"What the model shall be good for; only asked for by: {NEAREST}.",
                ),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="Where it is white, the image is not compared; of the image's size.",
                ),
            ],
            outputs=[
                ModelSocket.Output(display_name="model", tooltip="To fill with, or to train on."),
                io.String.Output(
                    display_name="summary", tooltip="Which file it is, and how near if searched."
                ),
            ],
        )

    @classmethod
    def validate_inputs(cls, name):
        try:
            if name != NEAREST:
                _path(name)
        except FileNotFoundError as error:
            return str(error)
        return True

    @classmethod
    def fingerprint_inputs(cls, name, **kwargs):
        paths = _files().values() if name == NEAREST else [_path(name)]
        return [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]

    @classmethod
    def execute(cls, name, image=None, mask=None):
        from ..storage.models import load_model

        if name == NEAREST:
            name, told = _nearest(image, mask)
        else:
            told = name
        return io.NodeOutput(load_model(_path(name)), told)


def _files() -> dict[str, Path]:
    """Name -> file of all models: what was saved, and what lies among the inputs."""
    from ..storage.models import is_model, saved_models
    from ..storage.tensors import SUFFIX

    inputs = {name: host.input_path(name) for name in host.input_files(SUFFIX)}
    saved = saved_models(host.trained_model_folders())
    return {**{name: path for name, path in inputs.items() if is_model(path)}, **saved}


def _path(name: str) -> Path:
    """The file of a model. Raises FileNotFoundError saying where it was looked for."""
    from ..storage.tensors import SUFFIX

    folders = host.trained_model_folders()
    file = name if name.endswith(SUFFIX) else name + SUFFIX
    if Path(file).name == file:
        for folder in folders:
            if (folder / file).is_file():
                return folder / file
    try:
        return host.input_path(name)
    except FileNotFoundError as error:
        places = " and ".join(str(folder) for folder in folders)
        raise FileNotFoundError(f"there is no model {name!r} in {places}; {error}") from None


def _nearest(image: "Tensor | None", mask: "Tensor | None") -> tuple[str, str]:
    """The name of the model that was trained on what is most like `image`, and how like it is.

    Raises ValueError without an image, and where no model has as many channels.
    """
    from ..methods.diffusion.similar import descriptor, nearest

    if image is None:
        raise ValueError(f"{NEAREST!r} has no image; link one, or choose a model by its name")
    picture = convert.image(image, convert.device("cpu"))
    hole = convert.mask(mask, convert.size_of(image), picture.device)
    candidates = _descriptors(picture.shape[1])
    found = nearest(descriptor(picture, hole), candidates)
    if found is None:
        raise ValueError(
            f"of {len(_files())} saved models none can be compared with this image of "
            f"{picture.shape[1]} channels; save one that was trained on such a picture"
        )
    name, apart = found
    return name, f"{name}, the nearest of {len(candidates)}: {apart:.3f} of 1 apart"


def _descriptors(channels: int) -> list[tuple[str, list[float]]]:
    """(name, what its training pictures were like) of the models for so many channels."""
    from ..storage.models import describe_model

    found = []
    for name, path in _files().items():
        try:
            about = describe_model(path)
            told = about["provenance"].get("descriptor")
            if told and about["network"]["channels"] == channels:
                found.append((name, told))
        except (AttributeError, KeyError, OSError, TypeError, ValueError) as error:
            log.warning("a saved model is passed over: %s", error)
    return found


class ModelInfo(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="InternalModelInfo",
            display_name="Internal Model Info",
            category="internal/models",
            description=(
                "What a trained model was trained on and how: settings, seed, steps, seconds, "
                "energy, versions and the curve of its loss."
            ),
            inputs=[
                ModelSocket.Input("model", tooltip=MODEL_TOOLTIP),
                _seconds(
                    "fill_seconds",
                    "Seconds that one fill with this model takes, as the node that fills tells "
                    "it. Above 0, the text has a table of costs.",
                ),
                _seconds(
                    "other_seconds",
                    "Seconds that one fill takes with another method that needs no training, such "
                    "as Patch Inpaint. Then the text also says from how many fills on which costs "
                    "less.",
                ),
            ],
            outputs=[
                io.String.Output(display_name="text", tooltip="All that is known, for reading."),
                io.Image.Output(
                    display_name="loss_curve", tooltip="The loss of each step of the training."
                ),
            ],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, model, fill_seconds=0.0, other_seconds=0.0):
        from ..methods.diffusion.provenance import model_words
        from ..methods.loss_curve import loss_curve

        text = model_words(model) + _costs(model, fill_seconds, other_seconds)
        curve = convert.to_image(loss_curve(model.losses, "loss"))
        return io.NodeOutput(text, curve, ui=ui.PreviewText(text))


def _seconds(name: str, tooltip: str):
    return io.Float.Input(
        name, default=0.0, min=0.0, max=1_000_000.0, step=0.1, optional=True, tooltip=tooltip
    )


def _costs(model: "TrainedModel", fill_seconds: float, other_seconds: float) -> str:
    """A table below the text, of the model and another method, where their times are given."""
    from dataclasses import replace

    from ..methods.cost import Cost, MethodCost, cost_table

    if not fill_seconds or "cost" not in model.provenance:
        return ""
    training = Cost.from_dict(model.provenance["cost"])
    fill = replace(training, seconds=fill_seconds, memory=None)
    methods = [MethodCost("this model", fill, training)]
    if other_seconds:
        methods.append(MethodCost("the other method", replace(fill, seconds=other_seconds)))
    return f"\n\n{cost_table(methods)}"
