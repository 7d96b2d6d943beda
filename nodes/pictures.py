"""Pictures from and to files at their full depth, which ComfyUI's own nodes reduce to 8 bits."""

import hashlib
import json
from pathlib import Path

from .api import host, io, ui


class LoadImage(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="InternalLoadImage",
            display_name="Load Image (full depth)",
            category="internal/io",
            description=(
                "Loads 8 and 16 bit PNG, EXR, HDR, TIFF, JPEG or WebP without losing depth: 16 bit "
                "values stay apart, EXR values below 0 and above 1 stay as they are."
            ),
            inputs=[
                io.Combo.Input(
                    "image",
                    options=host.input_names(),
                    upload=io.UploadType.image,
                    tooltip="The picture, from ComfyUI's input folder or one of its subfolders.",
                ),
                io.Combo.Input(
                    "channels",
                    options=["rgb", "rgba"],
                    default="rgb",
                    tooltip=(
                        "rgb gives three channels, what most nodes expect. rgba keeps the alpha as "
                        "fourth channel where the file has one: for our own nodes, which carry it "
                        "along."
                    ),
                ),
            ],
            outputs=[
                io.Image.Output(display_name="image", tooltip="The picture, of its full range."),
                io.Mask.Output(
                    display_name="mask",
                    tooltip="1 - alpha; zeros of the picture's size where the file has no alpha.",
                ),
            ],
        )

    @classmethod
    def validate_inputs(cls, image):
        try:
            host.input_path(image)
        except FileNotFoundError as error:
            return str(error)
        return True

    @classmethod
    def fingerprint_inputs(cls, image, **kwargs):
        return hashlib.sha256(host.input_path(image).read_bytes()).hexdigest()

    @classmethod
    def execute(cls, image, channels):
        import torch

        from ..storage.pictures import read

        picture = torch.from_numpy(read(host.input_path(image)))[None]
        has_alpha = picture.shape[-1] == 4
        mask = 1 - picture[..., 3] if has_alpha else torch.zeros(picture.shape[:3])
        return io.NodeOutput(picture[..., : 3 if channels == "rgb" else 4].contiguous(), mask)


class SaveImage(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="InternalSaveImage",
            display_name="Save Image (full depth)",
            category="internal/io",
            description=(
                "Saves 8 bit PNG, 16 bit PNG or 32 bit float EXR. PNG carries the workflow, like "
                "ComfyUI's own: drop the file on the canvas to get the graph back."
            ),
            inputs=[
                io.Image.Input("images", tooltip="One picture or a batch; alpha is kept."),
                io.String.Input(
                    "filename_prefix",
                    default="internal",
                    tooltip=(
                        "Start of the file name; may hold a subfolder (folder/name), %width%, "
                        "%height% and %year%, %month%, %day%."
                    ),
                ),
                io.Combo.Input(
                    "format",
                    options=["png", "png16", "exr"],
                    default="png",
                    tooltip=(
                        "png: 8 bits, for screens. png16: 16 bits, values in 0..1. exr: 32 bit "
                        "float, for values of any range (linear light, height maps)."
                    ),
                ),
            ],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, images, filename_prefix, format):
        from ..storage.pictures import FORMATS, write

        text = text_of(cls.hidden)
        height, width = images.shape[1:3]
        folder, name, number = host.save_path(filename_prefix, width, height)
        subfolder = folder.relative_to(host.folder_of("output")).as_posix()
        results = []
        for index, picture in enumerate(images):
            stem = name.replace("%batch_num%", str(index))
            file = f"{stem}_{number + index:05}_{FORMATS[format]}"
            write(Path(folder, file), picture.float().cpu().numpy(), format, text)
            where = "" if subfolder == "." else subfolder
            results.append(ui.SavedResult(file, where, io.FolderType.output))
        return io.NodeOutput(ui=ui.SavedImages(results))


def text_of(hidden) -> dict[str, str]:
    """What ComfyUI's own nodes write into a file: the prompt and the workflow, as JSON."""
    if not host.writes_metadata() or not hidden:
        return {}
    text = {"prompt": json.dumps(hidden.prompt)} if hidden.prompt else {}
    extra = hidden.extra_pnginfo or {}
    return text | {key: json.dumps(value) for key, value in extra.items()}
