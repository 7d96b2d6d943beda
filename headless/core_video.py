"""Stand-ins for ComfyUI's own video nodes, those that our workflows use, with the same results.

Beyond ComfyUI, a folder of numbered pictures goes along as a video, too.
"""

import json
import math
from collections.abc import Iterator
from fractions import Fraction
from io import BytesIO
from pathlib import Path

from ..storage import clip_reader, clips
from ..storage.clip_reader import ClipError, Colours, name_of, opened_video
from ..storage.clip_writer import Codec, writing
from ..storage.files import whole
from ..storage.pictures import as_steps
from . import host
from .api import (
    FolderType,
    PreviewVideo,
    SavedResult,
    UploadType,
    VideoComponents,
    VideoFromComponents,
    VideoFromFile,
    io,
)

RATE = Fraction(24)  # frames in a second of a folder of pictures, which does not tell
ENCODER = Codec("h264", ".mp4", 8, "yuv420p", None, {})


class LoadVideo(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        file = io.Combo.Input("file", options=host.input_names(), upload=UploadType.video)
        return io.Schema(
            node_id="LoadVideo",
            display_name="Load Video",
            category="image/video",
            inputs=[file],
            outputs=[io.Video.Output()],
        )

    @classmethod
    def validate_inputs(cls, file):
        try:
            host.input_clip_path(file)
        except FileNotFoundError as error:
            return str(error)
        return True

    @classmethod
    def execute(cls, file):
        return (VideoFromFile(str(host.input_clip_path(file))),)


class GetVideoComponents(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        tooltip = "The video to extract components from."
        return io.Schema(
            node_id="GetVideoComponents",
            display_name="Get Video Components",
            category="image/video",
            description="Extracts all components from a video: frames, audio, and framerate.",
            inputs=[io.Video.Input("video", tooltip=tooltip)],
            outputs=[
                io.Image.Output(display_name="images"),
                io.Audio.Output(display_name="audio"),
                io.Float.Output(display_name="fps"),
            ],
        )

    @classmethod
    def execute(cls, video):
        import torch

        if isinstance(video, VideoFromComponents):
            parts = video.get_components()
            return parts.images, parts.audio, float(parts.frame_rate)
        source = _source(video)
        frames, rate = clips.read(source, as_comfyui=True)
        sound = None if _is_folder(source) else clips.sound(source)
        audio = None
        if sound is not None:
            audio = {"waveform": torch.from_numpy(sound[0])[None], "sample_rate": sound[1]}
        return torch.from_numpy(frames), audio, rate or 1.0


class CreateVideo(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        audio = "The audio to add to the video."
        return io.Schema(
            node_id="CreateVideo",
            display_name="Create Video",
            category="image/video",
            description="Create a video from images.",
            inputs=[
                io.Image.Input("images", tooltip="The images to create a video from."),
                io.Float.Input("fps", default=30.0, min=1.0, max=120.0, step=1.0),
                io.Audio.Input("audio", optional=True, tooltip=audio),
            ],
            outputs=[io.Video.Output()],
        )

    @classmethod
    def execute(cls, images, fps, audio=None):
        return (VideoFromComponents(VideoComponents(images, Fraction(fps), audio)),)


class SaveVideo(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        prefix = (
            "The prefix for the file to save. This may include formatting information such as "
            "%date:yyyy-MM-dd% or %Empty Latent Image.width% to include values from nodes."
        )
        return io.Schema(
            node_id="SaveVideo",
            display_name="Save Video",
            category="image/video",
            description="Saves the input images to your ComfyUI output directory.",
            inputs=[
                io.Video.Input("video", tooltip="The video to save."),
                io.String.Input("filename_prefix", default="video/ComfyUI", tooltip=prefix),
                io.Combo.Input(
                    "format",
                    options=["auto", "mp4"],
                    default="auto",
                    tooltip="The format to save the video as.",
                ),
                io.Combo.Input(
                    "codec",
                    options=["auto", "h264"],
                    default="auto",
                    tooltip="The codec to use for the video.",
                ),
            ],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, video, filename_prefix, format, codec):
        width, height = _dimensions(video)
        folder, name, number = host.save_path(filename_prefix, width, height)
        subfolder = folder.relative_to(host.folder_of("output")).as_posix()
        file = f"{name}_{number:05}_.mp4"
        with whole(folder / file) as beside:
            if isinstance(video, VideoFromComponents):
                _save_components(beside, video.get_components(), cls._text())
            else:
                _save_file(beside, _source(video), format, codec, cls._text())
        where = "" if subfolder == "." else subfolder
        return io.NodeOutput(ui=PreviewVideo([SavedResult(file, where, FolderType.output)]))

    @classmethod
    def _text(cls) -> dict:
        """What ComfyUI writes into the file: the workflow and the prompt, as JSON."""
        if not cls.hidden:
            return {}
        text = dict(cls.hidden.extra_pnginfo or {})
        text |= {"prompt": cls.hidden.prompt} if cls.hidden.prompt else {}
        return {key: json.dumps(value) for key, value in text.items()}


def _source(video: VideoFromFile) -> clip_reader.Source:
    source = video.get_stream_source()
    return source if isinstance(source, BytesIO) else Path(source)


def _is_folder(source: clip_reader.Source) -> bool:
    return isinstance(source, Path) and source.is_dir()


def _dimensions(video) -> tuple[int, int]:
    """(width, height)."""
    if isinstance(video, VideoFromComponents):
        height, width = video.get_components().images.shape[1:3]
        return width, height
    with clip_reader.opened(_source(video), as_comfyui=True) as reading:
        height, width = reading.about.size
    return width, height


def _save_file(path: Path, source: clip_reader.Source, format: str, codec: str, text: dict) -> None:
    """A file as it is, packet by packet, where its container and codec are what is asked for."""
    if not _is_folder(source):
        with opened_video(source) as container:
            if not container.streams.video:
                raise ClipError(f"{name_of(source)} holds no video")
            kinds = ("auto", *container.format.name.split(","))
            if format in kinds and codec in ("auto", container.streams.video[0].codec.name):
                _copy(path, container, text)
                return
    sound = None if _is_folder(source) else clips.sound(source)
    with clip_reader.opened(source, as_comfyui=True) as reading:
        frames = (as_steps(frame.pixels, 8) for frame in reading)
        _encode(path, frames, reading.about.frames, reading.about.rate or RATE, sound, text)


def _copy(path: Path, container, text: dict) -> None:
    import av

    kinds = ("video", "audio", "subtitle")
    with av.open(str(path), "w", options={"movflags": "use_metadata_tags"}) as output:
        output.metadata.update({**container.metadata, **text})
        tracks = {
            stream.index: output.add_stream_from_template(stream, opaque=True)
            for stream in container.streams
            if stream.type in kinds
        }
        for packet in container.demux():
            if packet.stream.index in tracks and packet.dts is not None:
                packet.stream = tracks[packet.stream.index]
                output.mux(packet)


def _save_components(path: Path, components: VideoComponents, text: dict) -> None:
    images, sound = components.images, None
    if components.audio:
        waveform = components.audio["waveform"][0].float().cpu().numpy()
        sound = waveform, int(components.audio["sample_rate"])
    frames = ((image * 255).clamp(0, 255).byte().cpu().numpy() for image in images)
    _encode(path, frames, len(images), components.frame_rate, sound, text)


def _encode(path: Path, frames: Iterator, count: int | None, rate: Fraction, sound, text) -> None:
    """As ComfyUI does it, from `count` frames of 8 bits."""
    rate = Fraction(round(rate * 1000), 1000)
    if sound is not None:
        waveform, samples = sound
        waveform = waveform[:, : math.ceil(samples / rate * count)] if count else waveform
        if len(waveform) == 1:  # ComfyUI's encoder makes two channels of it, each of half the power
            waveform = waveform.repeat(2, 0) * math.sqrt(0.5)
        sound = waveform, samples
    with writing(path, ENCODER, rate=rate, colours=Colours(2), sound=sound, text=text) as output:
        for frame in frames:
            output.add(frame)


NODES = [LoadVideo, GetVideoComponents, CreateVideo, SaveVideo]
