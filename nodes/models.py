"""Trained models: kept in files, taken from them, and what is known of one."""

import hashlib
from pathlib import Path

from . import convert
from .api import host, io, ui
from .types import ModelSocket

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
                    options=_names(),
                    tooltip=(
                        "The model's file, from models/internal or the input folder. On the "
                        "command line also a path, from the current folder or the workflow's."
                    ),
                ),
            ],
            outputs=[
                ModelSocket.Output(display_name="model", tooltip="To fill with, or to train on."),
            ],
        )

    @classmethod
    def validate_inputs(cls, name):
        try:
            _path(name)
        except FileNotFoundError as error:
            return str(error)
        return True

    @classmethod
    def fingerprint_inputs(cls, name):
        return hashlib.sha256(_path(name).read_bytes()).hexdigest()

    @classmethod
    def execute(cls, name):
        from ..storage.models import load_model

        return io.NodeOutput(load_model(_path(name)))


def _names() -> list[str]:
    from ..storage.models import is_model, saved_models
    from ..storage.tensors import SUFFIX

    inputs = [name for name in host.input_files(SUFFIX) if is_model(host.input_path(name))]
    return [*saved_models(host.trained_model_folders()), *inputs]


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
            inputs=[ModelSocket.Input("model", tooltip=MODEL_TOOLTIP)],
            outputs=[
                io.String.Output(display_name="text", tooltip="All that is known, for reading."),
                io.Image.Output(
                    display_name="loss_curve", tooltip="The loss of each step of the training."
                ),
            ],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, model):
        from ..methods.diffusion.provenance import model_words
        from ..methods.loss_curve import loss_curve

        text = model_words(model)
        curve = convert.to_image(loss_curve(model.losses, "loss"))
        return io.NodeOutput(text, curve, ui=ui.PreviewText(text))
