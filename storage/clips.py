"""Whole clips from files, and their sound. `clip_reader` reads those that are too long for that.

A clip is a float32 array (T, H, W, C), C 3 or 4; 8 and 16 bit values are mapped to [0, 1]. Lossless
RGB video (FFV1, RGB H.264 ...) comes back bit for bit at its depth.
"""

from pathlib import Path

import numpy as np

from .clip_reader import VIDEOS, Source, no_video, opened, opened_video
from .pictures import as_float


def is_clip(path: Path) -> bool:
    """A folder, or what its suffix calls a video."""
    path = Path(path)
    return path.is_dir() or path.suffix.lower() in VIDEOS


def read(source: Source, *, as_comfyui: bool = False) -> tuple[np.ndarray, float | None]:
    """The frames in `source`, (T, H, W, C), and how many there are in a second.

    source: a video, or a folder of pictures, which are taken in the order of the numbers in their
    names. The rate is None where the file does not tell it (a folder never does). as_comfyui: read
    a video as ComfyUI's own nodes do, as `clip_reader.opened` says.
    Raises ClipError if it cannot be read or breaks off, OSError if the file cannot.
    """
    with opened(source, as_comfyui=as_comfyui) as reading:
        frames = [frame.pixels for frame in reading]
        rate = reading.about.rate
    clip = np.empty((len(frames), *frames[0].shape), np.float32)
    for place, frame in zip(clip, frames, strict=True):
        place[...] = as_float(frame)
    return clip, float(rate) if rate else None


def sound(source: Source) -> tuple[np.ndarray, int] | None:
    """The sound of a video, as stored, and its samples in a second; None if it is mute.

    As ComfyUI reads it: (channels, samples), or (1, samples * channels) from a codec that
    interleaves them, and of several tracks the last one. Raises ClipError if it cannot be read.
    """
    found = None
    with opened_video(source) as container:
        import av

        try:
            for stream in container.streams.audio:
                container.seek(0)
                parts = [frame.to_ndarray() for frame in container.decode(stream)]
                if parts:
                    found = np.concatenate(parts, axis=1), int(stream.sample_rate or 1)
        except av.error.FFmpegError as error:
            raise no_video(source, error) from error
    return found
