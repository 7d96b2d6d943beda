"""Stand-ins for ComfyUI's own video nodes, those that our workflows use, with the same results."""

from dataclasses import dataclass
from pathlib import Path

from ..storage import clips
from . import host
from .api import UploadType, io


@dataclass(frozen=True)
class VideoFile:
    """What goes along a VIDEO link: a file that is opened when a node wants what is in it."""

    path: Path


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
            host.input_path(file)
        except FileNotFoundError as error:
            return str(error)
        return True

    @classmethod
    def execute(cls, file):
        return (VideoFile(host.input_path(file)),)


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

        frames, rate = clips.read(video.path, as_comfyui=True)
        sound = clips.sound(video.path)
        audio = None
        if sound is not None:
            audio = {"waveform": torch.from_numpy(sound[0])[None], "sample_rate": sound[1]}
        return torch.from_numpy(frames), audio, rate or 1.0


NODES = [LoadVideo, GetVideoComponents]
