"""Clips from and to files at their full depth, which ComfyUI's own nodes reduce to 8 bits."""

import logging
from collections.abc import Iterator
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from . import videos
from .api import host, io, ui
from .pictures import text_of

if TYPE_CHECKING:
    import numpy as np

    from ..storage.clip_reader import Frame, Reading

log = logging.getLogger(__name__)

FORMATS = ["h264", "ffv1", "ffv1_16", "prores", "png", "png16", "exr"]
FOLDER_RATE = Fraction(24)  # frames in a second, where a folder of pictures does not tell


class LoadClip(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="InternalLoadClip",
            display_name="Load Clip (full depth)",
            category="internal/io",
            description=(
                "Loads a video, or a folder of numbered pictures, without losing depth: 10, 12 and "
                "16 bit values stay apart, EXR values below 0 and above 1 stay as they are. Videos "
                "of phones are turned upright."
            ),
            inputs=[
                io.Combo.Input(
                    "file",
                    options=host.input_clips(),
                    upload=io.UploadType.video,
                    tooltip=(
                        "A video from ComfyUI's input folder, or a folder of pictures in it, which "
                        "are taken in the order of the numbers in their names."
                    ),
                ),
                io.Int.Input(
                    "first_frame",
                    default=0,
                    min=0,
                    max=1 << 30,
                    tooltip="How many frames at the start are left out.",
                ),
                io.Int.Input(
                    "frames",
                    default=0,
                    min=0,
                    max=1 << 30,
                    tooltip=(
                        "How many frames are loaded; 0 for all. A clip that is too long for the "
                        "memory goes through Load Video instead, as a VIDEO."
                    ),
                ),
                io.Combo.Input(
                    "channels",
                    options=["rgb", "rgba"],
                    default="rgb",
                    tooltip=(
                        "rgb gives three channels, what most nodes expect. rgba keeps the alpha as "
                        "fourth channel where the clip has one."
                    ),
                ),
            ],
            outputs=[
                io.Image.Output(
                    display_name="images", tooltip="The frames as a batch, of their full range."
                ),
                io.Mask.Output(
                    display_name="mask",
                    tooltip="1 - alpha of every frame; zeros where the clip has no alpha.",
                ),
                io.Audio.Output(
                    display_name="audio",
                    tooltip="What is heard during these frames; nothing where the clip is mute.",
                ),
                io.Float.Output(
                    display_name="fps", tooltip="Frames in a second; 24 for a folder of pictures."
                ),
            ],
        )

    @classmethod
    def validate_inputs(cls, file):
        try:
            host.input_clip_path(file)
        except FileNotFoundError as error:
            return str(error)
        return True

    @classmethod
    def fingerprint_inputs(cls, file, **kwargs):
        path = host.input_clip_path(file)
        files = sorted(path.iterdir()) if path.is_dir() else [path]
        return [(each.name, each.stat().st_size, each.stat().st_mtime_ns) for each in files]

    @classmethod
    def execute(cls, file, first_frame, frames, channels):
        import torch

        from ..storage.clip_reader import opened
        from ..storage.clip_sound import read_samples
        from ..storage.pictures import as_float

        path = host.input_clip_path(file)
        with opened(path) as reading:
            about = reading.about
            total = max(min(frames or 1 << 30, (about.frames or 0) - first_frame), 1)
            pictures = []
            end = first_frame + frames if frames else None
            for read in islice(_readable(reading), first_frame, end):
                pictures.append(torch.from_numpy(as_float(read.pixels)))
                host.progress(min(len(pictures), total), total)
            if not pictures:
                raise ValueError(
                    f"{file} has {reading.read} frames, none from frame {first_frame} on; lower "
                    "first_frame"
                )
        batch, rate = torch.stack(pictures), about.rate or FOLDER_RATE
        alpha = batch.shape[-1] == 4
        mask = 1 - batch[..., 3] if alpha else torch.zeros(batch.shape[:3])
        audio = None
        if about.sound:
            start, end = first_frame / rate, (first_frame + len(batch)) / rate
            found = read_samples(path, start, end)
            if found is not None:
                audio = {"waveform": torch.from_numpy(found[0])[None], "sample_rate": found[1]}
        images = batch if channels == "rgba" or not alpha else batch[..., :3].contiguous()
        return io.NodeOutput(images, mask, audio, float(rate))


def _readable(reading: "Reading") -> "Iterator[Frame]":
    """The frames up to where a video breaks off, of which the log warns."""
    from ..storage.clip_reader import BrokenOffError

    try:
        yield from reading
    except BrokenOffError as error:
        log.warning("%s; those are loaded, and the last of them may be damaged", error.told)


class SaveClip(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="InternalSaveClip",
            display_name="Save Clip (full depth)",
            category="internal/io",
            description=(
                "Saves a clip so that nothing is lost: FFV1 with 8 or 16 bits a channel, PNG or "
                "EXR pictures; or as H.264 or ProRes. Of a VIDEO the frames pass one by one."
            ),
            inputs=[
                io.String.Input(
                    "filename_prefix",
                    default="internal",
                    tooltip=(
                        "Start of the file's name in the output folder. May hold a subfolder, "
                        "%width%, %height% and parts of the date (%year%, %month%, %day%)."
                    ),
                ),
                io.Combo.Input(
                    "format",
                    options=FORMATS,
                    default="ffv1",
                    tooltip=(
                        "h264: an MP4 that every player shows, with a little loss. ffv1, ffv1_16: "
                        "without loss, 8 or 16 bits, in an MKV. prores: 10 bits in a MOV, for "
                        "editing. png, png16, exr: a folder of pictures without loss; exr for "
                        "values of any range."
                    ),
                ),
                io.Float.Input(
                    "fps",
                    default=24.0,
                    min=0.01,
                    max=1000.0,
                    step=0.01,
                    tooltip="Frames in a second of `images`. A VIDEO keeps the times it has.",
                ),
                io.Image.Input(
                    "images",
                    optional=True,
                    tooltip="The clip as a batch of its frames; alpha is kept. This or `video`.",
                ),
                io.Video.Input(
                    "video",
                    optional=True,
                    tooltip="The clip as a VIDEO, of any length, with its sound. This or `images`.",
                ),
                io.Audio.Input(
                    "audio",
                    optional=True,
                    tooltip="The sound to go with `images`; a folder of pictures has none.",
                ),
            ],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, filename_prefix, format, fps, images=None, video=None, audio=None):
        if (images is None) == (video is None):
            raise ValueError("Save Clip takes either images or a video; link one of them")
        text = text_of(cls.hidden)
        if video is None:
            height, width = images.shape[1:3]
            frames = ((picture.float().cpu().numpy(), None) for picture in images)
            rate, sound = Fraction(fps).limit_denominator(1001), videos.samples(audio)
            options = {"rate": rate, "sound": sound}
            saved = _save(
                filename_prefix, format, (height, width), frames, len(images), text, options
            )
        else:
            with videos.opened(video) as reading:
                about = reading.about
                sound = videos.sound_of(video) if about.sound else None
                frames = ((read.pixels, read.time) for read in reading)
                options = {"like": about, "sound": sound}
                saved = _save(
                    filename_prefix, format, about.size, frames, about.frames, text, options
                )
        shown = ui.PreviewVideo if saved["filename"].endswith(".mp4") else ui.SavedImages
        return io.NodeOutput(ui=shown([saved]))


def _save(
    prefix: str,
    format: str,
    size: tuple[int, int],
    frames: "Iterator[tuple[np.ndarray, Fraction | None]]",
    total: int | None,
    text: dict[str, str],
    options: dict,
):
    """Write the frames; returns where, as the canvas is told of it."""
    from ..storage.clip_writer import suffix_of, writing

    folder, name, number = host.save_path(prefix, size[1], size[0])
    subfolder = folder.relative_to(host.folder_of("output")).as_posix()
    file = f"{name}_{number:05}_{suffix_of(format)}"
    with writing(Path(folder, file), format, text=text, **options) as output:
        for pixels, time in frames:
            output.add(pixels, time)
            host.progress(output.written, max(total or 0, output.written))
    return ui.SavedResult(file, "" if subfolder == "." else subfolder, io.FolderType.output)
