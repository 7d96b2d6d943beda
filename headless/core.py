"""Stand-ins for those of ComfyUI's own nodes that our workflows use, with the same results.

They take ComfyUI's data: images [B, H, W, C] and masks [B, H, W]. Written against its behaviour
(0.3.64), which the tests compare where a ComfyUI is at hand.
"""

import json
import random
from io import BytesIO
from pathlib import Path

from ..storage.files import write_whole
from ..storage.pictures import PictureError, png
from . import host
from .api import FolderType, SavedImages, SavedResult, UploadType, io

LARGEST = 16384
CHANNELS = ["red", "green", "blue", "alpha"]


def _schema(node_id, title, category, inputs, outputs=(), **flags):
    return io.Schema(node_id, title, category, list(inputs), list(outputs), **flags)


def _open(name: str):
    """The input file `name` as PIL image."""
    from PIL import Image

    path = host.input_path(name)
    data = path.read_bytes()
    try:
        picture = Image.open(BytesIO(data))  # not the path: further frames would keep it open
        picture.load()
    except (OSError, SyntaxError) as error:
        raise PictureError(f"{path} is not a picture, or a broken one: {error}") from error
    return picture


def _upright(picture):
    """Turned as its EXIF says; 32 bit integers, as 16 bit greys may be read, brought to 8."""
    from PIL import ImageOps

    picture = ImageOps.exif_transpose(picture)
    return picture.point(lambda value: value * (1 / 255)) if picture.mode == "I" else picture


def _unit(channel):
    """uint8 pixels as float32 tensor in [0, 1]."""
    import numpy as np
    import torch

    return torch.from_numpy(np.array(channel).astype(np.float32) / 255.0)


class _FromFile(io.ComfyNode):
    @classmethod
    def validate_inputs(cls, image):
        try:
            host.input_path(image)
        except FileNotFoundError as error:
            return str(error)
        return True


class LoadImage(_FromFile):
    @classmethod
    def define_schema(cls):
        file = io.Combo.Input("image", options=host.input_names(), upload=UploadType.image)
        outputs = (io.Image.Output(), io.Mask.Output())
        return _schema("LoadImage", "Load Image", "image", [file], outputs)

    @classmethod
    def execute(cls, image):
        import torch
        from PIL import ImageSequence

        file = _open(image)
        frames = [_upright(frame) for frame in ImageSequence.Iterator(file)]
        if file.format == "MPO":  # a phone's photo with its depth map behind it
            frames = frames[:1]
        frames = [frame for frame in frames if frame.size == frames[0].size]
        pictures = torch.stack([_unit(frame.convert("RGB")) for frame in frames])
        return pictures, torch.stack([_transparency(frame) for frame in frames])


def _transparency(frame):
    """1 - alpha; 64x64 zeros where the frame has none."""
    import torch

    if "A" in frame.getbands():
        return 1.0 - _unit(frame.getchannel("A"))
    if frame.mode == "P" and "transparency" in frame.info:
        return 1.0 - _unit(frame.convert("RGBA").getchannel("A"))
    return torch.zeros(64, 64)


class LoadImageMask(_FromFile):
    @classmethod
    def define_schema(cls):
        file = io.Combo.Input("image", options=host.input_names(), upload=UploadType.image)
        channel = io.Combo.Input("channel", options=["alpha", "red", "green", "blue"])
        title = "Load Image (as Mask)"
        return _schema("LoadImageMask", title, "mask", [file, channel], [io.Mask.Output()])

    @classmethod
    def execute(cls, image, channel):
        picture = _upright(_open(image)).convert("RGBA")
        mask = _unit(picture.getchannel(channel[0].upper()))
        return ((1.0 - mask if channel == "alpha" else mask)[None],)


class _ToFile(io.ComfyNode):
    @classmethod
    def save(cls, images, prefix: str, kind: FolderType, level: int):
        import numpy as np

        height, width = images[0].shape[:2]
        folder, name, number = host.save_path(prefix, width, height, kind.value)
        subfolder = folder.relative_to(host.folder_of(kind.value)).as_posix()
        results = []
        for index, image in enumerate(images):
            pixels = np.clip(255.0 * image.cpu().numpy(), 0, 255).astype(np.uint8)
            file = f"{name.replace('%batch_num%', str(index))}_{number + index:05}_.png"
            write_whole(Path(folder, file), png(pixels, cls._text(), level))
            results.append(SavedResult(file, "" if subfolder == "." else subfolder, kind))
        return io.NodeOutput(ui=SavedImages(results))

    @classmethod
    def _text(cls) -> dict[str, str]:
        if not cls.hidden:
            return {}
        text = {"prompt": json.dumps(cls.hidden.prompt)} if cls.hidden.prompt else {}
        extra = cls.hidden.extra_pnginfo or {}
        return text | {key: json.dumps(value) for key, value in extra.items()}


class SaveImage(_ToFile):
    @classmethod
    def define_schema(cls):
        prefix = io.String.Input("filename_prefix", default="ComfyUI")
        inputs = [io.Image.Input("images"), prefix]
        return _schema("SaveImage", "Save Image", "image", inputs, is_output_node=True)

    @classmethod
    def execute(cls, images, filename_prefix):
        return cls.save(images, filename_prefix, FolderType.output, 4)


class PreviewImage(_ToFile):
    @classmethod
    def define_schema(cls):
        inputs = [io.Image.Input("images")]
        return _schema("PreviewImage", "Preview Image", "image", inputs, is_output_node=True)

    @classmethod
    def execute(cls, images):
        letters = "".join(random.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(5))
        return cls.save(images, f"preview_{letters}", FolderType.temp, 1)


class ImageInvert(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return _schema(
            "ImageInvert", "Invert Image", "image", [io.Image.Input("image")], [io.Image.Output()]
        )

    @classmethod
    def execute(cls, image):
        return (1.0 - image,)


class ImageScale(io.ComfyNode):
    METHODS = ["nearest-exact", "bilinear", "area", "bicubic", "lanczos"]

    @classmethod
    def define_schema(cls):
        inputs = [
            io.Image.Input("image"),
            io.Combo.Input("upscale_method", options=cls.METHODS),
            io.Int.Input("width", default=512, min=0, max=LARGEST, step=1),
            io.Int.Input("height", default=512, min=0, max=LARGEST, step=1),
            io.Combo.Input("crop", options=["disabled", "center"]),
        ]
        return _schema(
            "ImageScale", "Upscale Image", "image/upscaling", inputs, [io.Image.Output()]
        )

    @classmethod
    def execute(cls, image, upscale_method, width, height, crop):
        if width == 0 and height == 0:
            return (image,)
        old_height, old_width = image.shape[1:3]
        width = width or max(1, round(old_width * height / old_height))
        height = height or max(1, round(old_height * width / old_width))
        scaled = _scale(image.movedim(-1, 1), width, height, upscale_method, crop)
        return (scaled.movedim(1, -1),)


def _scale(samples, width, height, method, crop):
    """(B, C, H, W) to another size, with the middle of it where crop is "center"."""
    from torch.nn.functional import interpolate

    if crop == "center":
        old_height, old_width = samples.shape[-2:]
        old, new = old_width / old_height, width / height
        x = round((old_width - old_width * (new / old)) / 2) if old > new else 0
        y = round((old_height - old_height * (old / new)) / 2) if old < new else 0
        samples = samples[..., y : old_height - y, x : old_width - x]
    if method == "lanczos":
        return _lanczos(samples, width, height)
    return interpolate(samples, size=(height, width), mode=method)


def _lanczos(samples, width, height):
    """Through 8 bit, as ComfyUI does it."""
    import numpy as np
    import torch
    from PIL import Image

    results = []
    for sample in samples:
        pixels = np.clip(255.0 * sample.movedim(0, -1).cpu().numpy(), 0, 255).astype(np.uint8)
        scaled = Image.fromarray(pixels).resize((width, height), Image.Resampling.LANCZOS)
        results.append(_unit(scaled).movedim(-1, 0))
    return torch.stack(results).to(samples.device, samples.dtype)


class ImageBatch(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        inputs = [io.Image.Input("image1"), io.Image.Input("image2")]
        return _schema("ImageBatch", "Batch Images", "image", inputs, [io.Image.Output()])

    @classmethod
    def execute(cls, image1, image2):
        import torch

        if image1.shape[1:] != image2.shape[1:]:
            height, width = image1.shape[1:3]
            scaled = _scale(image2.movedim(-1, 1), width, height, "bilinear", "center")
            image2 = scaled.movedim(1, -1)
        return (torch.cat((image1, image2)),)


class RepeatImageBatch(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        amount = io.Int.Input("amount", default=1, min=1, max=4096)
        inputs = [io.Image.Input("image"), amount]
        outputs = [io.Image.Output()]
        return _schema("RepeatImageBatch", "RepeatImageBatch", "image/batch", inputs, outputs)

    @classmethod
    def execute(cls, image, amount):
        return (image.repeat(amount, 1, 1, 1),)


class InvertMask(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return _schema(
            "InvertMask", "InvertMask", "mask", [io.Mask.Input("mask")], [io.Mask.Output()]
        )

    @classmethod
    def execute(cls, mask):
        return (1.0 - mask,)


class GrowMask(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        inputs = [
            io.Mask.Input("mask"),
            io.Int.Input("expand", default=0, min=-LARGEST, max=LARGEST, step=1),
            io.Boolean.Input("tapered_corners", default=True),
        ]
        return _schema("GrowMask", "GrowMask", "mask", inputs, [io.Mask.Output()])

    @classmethod
    def execute(cls, mask, expand, tapered_corners):
        import torch
        from torch.nn.functional import max_pool2d

        grown = mask.reshape(-1, 1, *mask.shape[-2:]) * (1 if expand >= 0 else -1)
        for _ in range(abs(expand)):  # shrinking is growing with the sign turned
            if tapered_corners:
                rows = max_pool2d(grown, (3, 1), 1, (1, 0))
                grown = torch.maximum(rows, max_pool2d(grown, (1, 3), 1, (0, 1)))
            else:
                grown = max_pool2d(grown, 3, 1, 1)
        return (grown[:, 0] * (1 if expand >= 0 else -1),)


class MaskToImage(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        inputs, outputs = [io.Mask.Input("mask")], [io.Image.Output()]
        return _schema("MaskToImage", "Convert Mask to Image", "mask", inputs, outputs)

    @classmethod
    def execute(cls, mask):
        return (mask.reshape(-1, *mask.shape[-2:], 1).expand(-1, -1, -1, 3),)


class ImageToMask(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        inputs = [io.Image.Input("image"), io.Combo.Input("channel", options=CHANNELS)]
        return _schema("ImageToMask", "Convert Image to Mask", "mask", inputs, [io.Mask.Output()])

    @classmethod
    def execute(cls, image, channel):
        return (image[..., CHANNELS.index(channel)],)


class PreviewAny(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        inputs = [io.Custom("*").Input("source")]
        return _schema("PreviewAny", "Preview Any", "utils", inputs, is_output_node=True)

    @classmethod
    def execute(cls, source):
        try:
            text = source if isinstance(source, str) else json.dumps(source)
        except (TypeError, ValueError):
            text = str(source)
        return io.NodeOutput(ui={"text": (text,)})


NODES = [
    LoadImage,
    LoadImageMask,
    SaveImage,
    PreviewImage,
    ImageInvert,
    ImageScale,
    ImageBatch,
    RepeatImageBatch,
    InvertMask,
    GrowMask,
    MaskToImage,
    ImageToMask,
    PreviewAny,
]
