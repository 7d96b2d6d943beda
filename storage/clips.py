"""Clips in files: videos (MP4, MOV, MKV, WebM, AVI ...) and folders of numbered pictures.

A clip is a float32 array (T, H, W, C), C 3 or 4; 8 and 16 bit values are mapped to [0, 1]. Lossless
RGB video (FFV1, RGB H.264 ...) comes back bit for bit at its depth.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from . import pictures
from .pictures import PictureError

VIDEOS = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".mxf", ".ogv", ".nut")


class ClipError(PictureError):
    """A file or folder that is no clip, or a broken one."""


def is_clip(path: Path) -> bool:
    """A folder, or what its suffix calls a video."""
    path = Path(path)
    return path.is_dir() or path.suffix.lower() in VIDEOS


def read(path: Path, *, eight_bits: bool = False) -> tuple[np.ndarray, float | None]:
    """The frames in `path`, (T, H, W, C), and how many there are in a second.

    path: a video, or a folder of pictures, which are taken in the order of the numbers in their
    names. The rate is None where the file does not tell it (a folder never does). eight_bits: read
    a video as ComfyUI does, with 8 bits a channel and without its alpha.
    Raises ClipError if it cannot be read, OSError if the file cannot.
    """
    path = Path(path)
    if path.is_dir():
        return _read_folder(path), None
    return _read_video(path, eight_bits)


def sound(path: Path) -> tuple[np.ndarray, int] | None:
    """The sound of a video, as stored, and its samples in a second; None if it is mute.

    As ComfyUI reads it: (channels, samples), or (1, samples * channels) from a codec that
    interleaves them, and of several tracks the last one. Raises ClipError if it cannot be read.
    """
    found = None
    with _opened(path) as container:
        for stream in container.streams.audio:
            container.seek(0)
            parts = [frame.to_ndarray() for frame in container.decode(stream)]
            if parts:
                found = np.concatenate(parts, axis=1), int(stream.sample_rate or 1)
    return found


def _read_folder(folder: Path) -> np.ndarray:
    files = pictures.in_folder(folder)
    if not files:
        known = ", ".join(pictures.SUFFIXES)
        raise ClipError(f"{folder} holds no pictures ({known}), so it is no clip")
    files.sort(key=lambda file: (*_numbers(file.stem), file.name))
    frames = [pictures.read(file) for file in files]
    for file, frame in zip(files, frames, strict=True):
        if frame.shape != frames[0].shape:
            raise ClipError(
                f"the pictures of a clip are all of one size, but {files[0]} is "
                f"{_size(frames[0])} and {file} is {_size(frame)}"
            )
    return np.stack(frames)


def _numbers(name: str) -> tuple[int, ...]:
    """Every number in a file's name, the last first: that is the one which counts the frames."""
    return tuple(int(digits) for digits in reversed(re.findall(r"\d+", name)))


def _size(frame: np.ndarray) -> str:
    height, width, channels = frame.shape
    return f"{width}x{height} with {channels} channels"


def _read_video(path: Path, eight_bits: bool) -> tuple[np.ndarray, float | None]:
    with _opened(path) as container:
        if not container.streams.video:
            raise ClipError(f"{path} holds no video, only {_kinds(container)}")
        rate = container.streams.video[0].average_rate
        frames = []
        for frame in container.decode(video=0):
            frames.append(frame.to_ndarray(format="rgb24" if eight_bits else _format(frame)))
            if frames[-1].shape != frames[0].shape:
                raise ClipError(
                    f"{path}: frame {len(frames) - 1} is {_size(frames[-1])}, those before it are "
                    f"{_size(frames[0])}; a clip keeps one size"
                )
    if not frames:
        raise ClipError(f"{path} holds no frame that can be decoded; it is broken or empty")
    clip = np.empty((len(frames), *frames[0].shape), np.float32)
    for place, frame in zip(clip, frames, strict=True):
        np.divide(frame, np.float32(np.iinfo(frame.dtype).max), out=place)
    return clip, float(rate) if rate else None


def _kinds(container) -> str:
    return ", ".join(sorted({stream.type for stream in container.streams})) or "nothing"


def _format(frame) -> str:
    """What holds a frame without loss of depth or alpha."""
    parts = frame.format.components
    alpha = any(part.is_alpha for part in parts)
    if max(part.bits for part in parts) > 8:
        return "rgba64le" if alpha else "rgb48le"
    return "rgba" if alpha else "rgb24"


@contextmanager
def _opened(path: Path) -> Iterator:
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    try:
        import av
    except ImportError as error:
        raise ImportError("videos need PyAV: pip install av") from error
    try:
        with av.open(str(path)) as container:
            yield container
    except av.error.FFmpegError as error:
        raise ClipError(f"{path} is no video, or a broken one: {error.strerror}") from error
