"""ComfyUI's node API (V3, as of 0.3.64): what our nodes use of it, for where no ComfyUI is loaded.

Names, arguments and the shape of `GET_NODE_INFO_V1()` are ComfyUI's, so that a node class written
for it works here unchanged. This file imports nothing of ours.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import Enum
from types import SimpleNamespace
from typing import Any


def _set_only(**values) -> dict:
    return {key: value for key, value in values.items() if value is not None}


class FolderType(str, Enum):
    input = "input"
    output = "output"
    temp = "temp"


class UploadType(str, Enum):
    image = "image_upload"
    audio = "audio_upload"
    video = "video_upload"
    model = "file_upload"


class NumberDisplay(str, Enum):
    number = "number"
    slider = "slider"


class Hidden(str, Enum):
    unique_id = "UNIQUE_ID"
    prompt = "PROMPT"
    extra_pnginfo = "EXTRA_PNGINFO"


class Input:
    """A socket. `io_type` is set by the type that the class belongs to."""

    io_type = "*"

    def __init__(
        self,
        id: str,
        display_name: str | None = None,
        optional: bool = False,
        tooltip: str | None = None,
        lazy: bool | None = None,
        extra_dict: dict | None = None,
    ):
        self.id, self.display_name, self.optional = id, display_name, optional
        self.tooltip, self.lazy, self.extra_dict = tooltip, lazy, extra_dict or {}

    def as_dict(self) -> dict:
        own = _set_only(
            display_name=self.display_name,
            optional=self.optional,
            tooltip=self.tooltip,
            lazy=self.lazy,
        )
        return own | _set_only(**self.extra_dict)

    def get_io_type(self) -> str:
        return self.io_type


class WidgetInput(Input):
    """A socket with a widget: a value that the user types or picks when nothing is linked."""

    names: tuple[str, ...] = ()  # what a subclass adds to the widget's description

    def __init__(
        self,
        id: str,
        display_name: str | None = None,
        optional: bool = False,
        tooltip: str | None = None,
        lazy: bool | None = None,
        default: Any = None,
        socketless: bool | None = None,
        force_input: bool | None = None,
        **options,
    ):
        super().__init__(id, display_name, optional, tooltip, lazy)
        self.default, self.socketless, self.force_input = default, socketless, force_input
        unknown = set(options) - set(self.names)
        if unknown:
            raise TypeError(f"{type(self).__qualname__} takes no {', '.join(sorted(unknown))}")
        self.widget = {name: options.get(name) for name in self.names}

    def as_dict(self) -> dict:
        own = _set_only(
            default=self.default, socketless=self.socketless, forceInput=self.force_input
        )
        return super().as_dict() | own | _set_only(**self.widget)


class Output:
    io_type = "*"

    def __init__(
        self,
        id: str | None = None,
        display_name: str | None = None,
        tooltip: str | None = None,
        is_output_list: bool = False,
    ):
        self.id, self.display_name, self.tooltip = id, display_name, tooltip
        self.is_output_list = is_output_list


def Custom(io_type: str) -> type:
    """A socket type of one's own: a class with an Input and an Output."""
    return _socket(io_type, Input)


def _socket(name: str, input_class: type) -> type:
    return type(
        name,
        (),
        {
            "io_type": name,
            "Input": type("Input", (input_class,), {"io_type": name}),
            "Output": type("Output", (Output,), {"io_type": name}),
        },
    )


class _Number(WidgetInput):
    names = ("min", "max", "step", "round", "control_after_generate", "display_mode")

    def as_dict(self) -> dict:
        described = super().as_dict()
        display = described.pop("display_mode", None)
        return described | _set_only(display=display.value if display else None)


class _String(WidgetInput):
    names = ("multiline", "placeholder", "dynamic_prompts")

    def as_dict(self) -> dict:
        described = super().as_dict()
        dynamic = described.pop("dynamic_prompts", None)
        return (
            described
            | {"multiline": bool(described.get("multiline"))}
            | _set_only(dynamicPrompts=dynamic)
        )


class _Boolean(WidgetInput):
    names = ("label_on", "label_off")


class _Combo(WidgetInput):
    names = ("options", "control_after_generate", "upload", "image_folder")

    def __init__(self, id: str, options: list | None = None, *args, **kwargs):
        super().__init__(id, *args, options=options, **kwargs)
        self.options = options

    def as_dict(self) -> dict:
        described = super().as_dict()
        upload, folder = described.pop("upload", None), described.pop("image_folder", None)
        return (
            described
            | {"multiselect": False}
            | ({upload.value: True} if upload else {})
            | _set_only(image_folder=folder.value if folder else None)
        )


@dataclass
class Schema:
    """What a node is called, takes and gives."""

    node_id: str
    display_name: str | None = None
    category: str = "sd"
    inputs: list[Input] | None = None
    outputs: list[Output] | None = None
    hidden: list[Hidden] | None = None
    description: str = ""
    is_input_list: bool = False
    is_output_node: bool = False
    is_deprecated: bool = False
    is_experimental: bool = False
    is_api_node: bool = False
    not_idempotent: bool = False
    enable_expand: bool = False

    def finalize(self) -> None:
        """Ask for what an output node needs, and name the outputs that have no name."""
        if self.is_output_node:
            wanted = self.hidden or []
            missing = [h for h in (Hidden.prompt, Hidden.extra_pnginfo) if h not in wanted]
            self.hidden = [*wanted, *missing]
        for index, output in enumerate(self.outputs or []):
            output.id = output.id or f"_{index}_{output.io_type}_"

    def validate(self) -> None:
        ids = [socket.id for socket in (*(self.inputs or []), *(self.outputs or []))]
        twice = sorted({i for i in ids if ids.count(i) > 1})
        if twice:
            raise ValueError(f"{self.node_id}: the ids {', '.join(twice)} occur more than once")

    def describe(self) -> dict:
        """The node as ComfyUI's /object_info shows it."""
        inputs: dict[str, dict] = {"required": {}}
        for socket in self.inputs or []:
            options = socket.as_dict()
            options.pop("optional", None)
            kind = "optional" if socket.optional else "required"
            inputs.setdefault(kind, {})[socket.id] = (socket.get_io_type(), options)
        for hidden in self.hidden or []:
            inputs.setdefault("hidden", {})[hidden.name] = (hidden.value,)
        outputs = self.outputs or []
        return {
            "input": inputs,
            "input_order": {kind: list(sockets) for kind, sockets in inputs.items()},
            "output": [o.io_type for o in outputs],
            "output_is_list": [o.is_output_list for o in outputs],
            "output_name": [o.display_name or o.io_type for o in outputs],
            "output_tooltips": [o.tooltip or None for o in outputs],
            "name": self.node_id,
            "display_name": self.display_name,
            "description": self.description,
            "category": self.category,
            "output_node": self.is_output_node,
            "deprecated": self.is_deprecated,
            "experimental": self.is_experimental,
            "api_node": self.is_api_node,
        }


class NodeOutput:
    """The values of a node's outputs, in order, and what it shows."""

    def __init__(self, *args, ui: Any = None):
        self.args, self.ui = args, ui


class ComfyNode(ABC):
    """A node: two class methods, no state. A run fills `hidden` in on a copy of the class."""

    RELATIVE_PYTHON_MODULE: str | None = None
    SCHEMA: Schema | None = None
    hidden: Any = None

    @classmethod
    @abstractmethod
    def define_schema(cls) -> Schema: ...

    @classmethod
    @abstractmethod
    def execute(cls, **kwargs) -> NodeOutput: ...

    @classmethod
    def GET_SCHEMA(cls) -> Schema:
        schema = cls.define_schema()
        schema.finalize()
        schema.validate()
        cls.SCHEMA = schema
        return schema

    @classmethod
    def GET_NODE_INFO_V1(cls) -> dict:
        module = cls.RELATIVE_PYTHON_MODULE or "nodes"
        return cls.GET_SCHEMA().describe() | {"python_module": module}

    @classmethod
    def PREPARE_CLASS_CLONE(cls, hidden: dict) -> type["ComfyNode"]:
        given = {name.name: hidden.get(name) for name in Hidden}
        return type(f"{cls.__name__}Clone", (cls,), {"hidden": SimpleNamespace(**given)})

    @classmethod
    def EXECUTE_NORMALIZED(cls, **kwargs) -> NodeOutput:
        result = cls.execute(**kwargs)
        if result is None:
            return NodeOutput()
        return NodeOutput(*result) if isinstance(result, tuple) else result


class ComfyExtension(ABC):
    async def on_load(self) -> None:
        return None

    @abstractmethod
    async def get_node_list(self) -> list[type[ComfyNode]]: ...


class SavedResult(dict):
    """One file that a node wrote: its name, its subfolder, and in which of the folders it lies."""

    def __init__(self, filename: str, subfolder: str, type: FolderType):
        super().__init__(filename=filename, subfolder=subfolder, type=type.value)


class SavedImages:
    def __init__(self, results: list[SavedResult], is_animated: bool = False):
        self.results, self.is_animated = results, is_animated

    def as_dict(self) -> dict:
        shown: dict[str, Any] = {"images": self.results}
        return shown | ({"animated": (True,)} if self.is_animated else {})


class PreviewVideo:
    def __init__(self, values: list[SavedResult], **kwargs):
        self.values = values

    def as_dict(self) -> dict:
        return {"images": self.values, "animated": (True,)}


class PreviewText:
    def __init__(self, value: str, **kwargs):
        self.value = value

    def as_dict(self) -> dict:
        return {"text": (self.value,)}


@dataclass
class VideoComponents:
    """images: [T, H, W, C]. audio: what goes along an AUDIO link. frame_rate: a Fraction."""

    images: Any
    frame_rate: Any
    audio: Any = None
    metadata: dict | None = None


@dataclass(frozen=True)
class VideoFromFile:
    """What goes along a VIDEO link: a file that is opened when a node wants what is in it."""

    file: Any  # a path as text (here also of a folder of pictures), or BytesIO

    def get_stream_source(self):
        return self.file


@dataclass(frozen=True)
class VideoFromComponents:
    """The other kind: frames in memory."""

    components: VideoComponents

    def get_components(self) -> VideoComponents:
        return self.components


io = SimpleNamespace(
    FolderType=FolderType,
    UploadType=UploadType,
    NumberDisplay=NumberDisplay,
    Hidden=Hidden,
    Custom=Custom,
    Input=Input,
    WidgetInput=WidgetInput,
    Output=Output,
    Int=_socket("INT", _Number),
    Float=_socket("FLOAT", _Number),
    String=_socket("STRING", _String),
    Boolean=_socket("BOOLEAN", _Boolean),
    Combo=_socket("COMBO", _Combo),
    Image=_socket("IMAGE", Input),
    Mask=_socket("MASK", Input),
    Video=_socket("VIDEO", Input),
    Audio=_socket("AUDIO", Input),
    Model=_socket("MODEL", Input),
    Clip=_socket("CLIP", Input),
    Vae=_socket("VAE", Input),
    Conditioning=_socket("CONDITIONING", Input),
    Latent=_socket("LATENT", Input),
    Schema=Schema,
    ComfyNode=ComfyNode,
    NodeOutput=NodeOutput,
)
ui = SimpleNamespace(
    SavedResult=SavedResult,
    SavedImages=SavedImages,
    PreviewText=PreviewText,
    PreviewVideo=PreviewVideo,
)
InputImpl = SimpleNamespace(VideoFromFile=VideoFromFile, VideoFromComponents=VideoFromComponents)
Types = SimpleNamespace(VideoComponents=VideoComponents)
