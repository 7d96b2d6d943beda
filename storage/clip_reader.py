"""Clips read frame by frame, however long: videos and folders of numbered pictures.

Nothing is held but the frame at hand, and what the decoder needs for the next ones.
"""

import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np

from . import pictures
from .pictures import PictureError

log = logging.getLogger(__name__)

VIDEOS = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".mxf", ".ogv", ".nut")
MISSING = 0.05  # share of a video's time that may be missing: headers tell it roughly

OF_THE_FILE = ("encoder", "major_brand", "minor_version", "compatible_brands")  # not of the clip

Source = Path | BytesIO  # a file, a folder of pictures, or a video in memory


class ClipError(PictureError):
    """A file or folder that is no clip, or a broken one."""


class BrokenOffError(ClipError):
    """A video that ends before its end. frames: how many can be read. told: that in a line, and of
    how many; the message also says what to do.
    """

    def __init__(self, name: str, frames: int, stream, about: str = "", why: str = ""):
        expected, roughly = _expected(stream), "" if stream.frames or about else "about "
        of = f" of {roughly}{expected}" if expected else ""
        why = why or f"its header tells of {float(_seconds(stream)):.2f} seconds"
        self.frames = frames
        self.told = f"{name} breaks off: {about}{frames}{of} frames can be read, {why}"
        super().__init__(
            f"{self.told}. To work on those, copy them into a whole file first, as with: "
            f"ffmpeg -i {name} -c copy whole.mkv"
        )


class Frame(NamedTuple):
    """pixels: (H, W, 3 or 4), RGB and alpha as stored: uint8, uint16 or float32, upright.
    time: seconds on the video's clock; None in a folder, and where the file does not tell.
    """

    pixels: np.ndarray
    time: Fraction | None


@dataclass(frozen=True)
class Colours:
    """How numbers are meant, in FFmpeg's codes: 0 is RGB, 1 is BT.709, 2 is what no file tells."""

    space: int = 0
    primaries: int = 2
    transfer: int = 2
    range: int = 0


@dataclass(frozen=True)
class About:
    """What is known of a clip before it is read.

    name: for messages. size: (H, W) of a frame, upright. channels: 3, or 4 with alpha. bits: of a
    channel as stored, 8 to 16, or 32 for float. rate: frames in a second, on average; None where
    the file does not tell (a folder never does). frames: their number as the header has it, which
    may be wrong, or None. time_base: what the times of the frames are multiples of. turned: by how
    many degrees the frames were turned clockwise, as phones ask for. aspect: width of a pixel
    divided by its height. sound: whether it has any. text: what the file tells besides, when and
    where it was taken, for instance.
    """

    name: str
    size: tuple[int, int]
    channels: int
    bits: int
    rate: Fraction | None = None
    frames: int | None = None
    time_base: Fraction | None = None
    turned: int = 0
    aspect: Fraction | None = None
    colours: Colours = Colours()
    sound: bool = False
    text: Mapping[str, str] = field(default_factory=dict)


class Reading:
    """An open clip: iterated over once, it gives its frames. `read` counts them."""

    def __init__(self, about: About, frames: Iterator[Frame]):
        self.about, self.read, self._frames = about, 0, frames

    def __iter__(self) -> Iterator[Frame]:
        for frame in self._frames:
            self.read += 1
            yield frame


@contextmanager
def opened(
    source: Source, *, as_comfyui: bool = False, to_the_end: bool = False
) -> Iterator[Reading]:
    """The clip in `source`, to be read frame by frame.

    as_comfyui: give a video's frames as ComfyUI's own nodes do, with 8 bits a channel, without
    alpha and not turned upright.
    to_the_end: look whether the end of a video is there before its first frame is given; for those
    whose work is lost if it is not.
    Raises ClipError where it is no clip, and BrokenOffError where `to_the_end` finds no end.
    Iterating raises ClipError where a frame has another size than the first one, and
    BrokenOffError, after the last frame that can be read, where the video breaks off.
    """
    if isinstance(source, Path) and source.is_dir():
        yield _folder(source)
        return
    if to_the_end:
        _check_end(source)
    with opened_video(source) as container:
        yield _video(container, name_of(source), as_comfyui)


def name_of(source: Source) -> str:
    return "the video" if isinstance(source, BytesIO) else str(source)


def in_order(folder: Path) -> list[Path]:
    """The pictures of a folder in the order of the numbers in their names. Raises ClipError."""
    files = pictures.in_folder(folder)
    if not files:
        known = ", ".join(pictures.SUFFIXES)
        raise ClipError(f"{folder} holds no pictures ({known}), so it is no clip")
    return sorted(files, key=lambda file: (*_numbers(file.stem), file.name))


def _numbers(name: str) -> tuple[int, ...]:
    """Every number in a file's name, the last first: that is the one which counts the frames."""
    return tuple(int(digits) for digits in reversed(re.findall(r"\d+", name)))


def _folder(folder: Path) -> Reading:
    files = in_order(folder)
    first = pictures.stored(files[0])
    height, width, channels = first.shape
    bits = 8 * first.dtype.itemsize
    about = About(str(folder), (height, width), channels, bits, frames=len(files))

    def frames() -> Iterator[Frame]:
        for file in files:
            pixels = first if file is files[0] else pictures.stored(file)
            if pixels.shape != first.shape:
                raise ClipError(
                    f"the pictures of a clip are all of one size, but {files[0]} is "
                    f"{_size(first)} and {file} is {_size(pixels)}"
                )
            yield Frame(pixels, None)

    return Reading(about, frames())


def _size(pixels: np.ndarray) -> str:
    height, width, channels = pixels.shape
    return f"{width}x{height} with {channels} channels"


@contextmanager
def opened_video(source: Source) -> Iterator:
    """The PyAV container of a video file. Raises ClipError, FileNotFoundError, ImportError."""
    if isinstance(source, BytesIO):
        source.seek(0)
    elif not source.is_file():
        raise FileNotFoundError(f"there is no file {source}")
    try:
        import av
    except ImportError as error:
        raise ImportError("videos need PyAV: pip install av") from error
    try:
        container = av.open(source if isinstance(source, BytesIO) else str(source))
    except av.error.FFmpegError as error:
        raise no_video(source, error) from error
    with container:
        yield container


def no_video(source: Source, error) -> ClipError:
    return ClipError(f"{name_of(source)} is no video, or a broken one: {error.strerror}")


def _video(container, name: str, as_comfyui: bool) -> Reading:
    if not container.streams.video:
        raise ClipError(f"{name} holds no video, only {_kinds(container)}")
    stream = container.streams.video[0]
    stream.thread_type = "AUTO"
    frames = _decoded(container, stream, name)
    first = next(frames, None)
    if first is None:
        raise ClipError(f"{name} holds no frame that can be decoded; it is broken or empty")
    parts = first.format.components
    alpha = any(part.is_alpha for part in parts) and not as_comfyui
    turned = 0 if as_comfyui else -first.rotation % 360
    height, width = first.height, first.width
    if turned:
        log.info("%s is turned clockwise by %d degrees, as its header asks for", name, turned)
    aspect = stream.sample_aspect_ratio or None
    if turned in (90, 270):
        height, width, aspect = width, height, aspect and 1 / aspect
    about = About(
        name,
        (height, width),
        channels=4 if alpha else 3,
        bits=8 if as_comfyui else max(part.bits for part in parts),
        rate=Fraction(stream.average_rate) if stream.average_rate else None,
        frames=_expected(stream),
        time_base=Fraction(stream.time_base) if stream.time_base else None,
        turned=turned,
        aspect=aspect,
        colours=_colours(first, stream),
        sound=bool(container.streams.audio),
        text={key: value for key, value in container.metadata.items() if key not in OF_THE_FILE},
    )

    def pixels() -> Iterator[Frame]:
        for number, frame in enumerate(_joined(first, frames)):
            if (frame.height, frame.width) != (first.height, first.width):
                raise ClipError(
                    f"{name}: frame {number} is {frame.width}x{frame.height}, those before it are "
                    f"{first.width}x{first.height}; a clip keeps one size"
                )
            kind = "rgb24" if as_comfyui else _format(frame)
            array = frame.to_ndarray(format=kind)
            time = None if frame.pts is None else Fraction(frame.pts * frame.time_base)
            yield Frame(np.ascontiguousarray(np.rot90(array, -(turned // 90))), time)

    return Reading(about, pixels())


def _joined(first, rest: Iterator) -> Iterator:
    yield first
    yield from rest


def _decoded(container, stream, name: str) -> Iterator:
    """The frames as PyAV has them. Raises ClipError, and BrokenOffError where they end early."""
    import av

    count, end = 0, stream.start_time or 0
    try:
        for frame in container.decode(stream):
            count += 1
            if frame.pts is not None:
                end = frame.pts + (getattr(frame, "duration", 0) or 0)  # older PyAVs lack it
            yield frame
    except av.error.FFmpegError as error:
        if not count:
            raise ClipError(f"{name} is no video, or a broken one: {error.strerror}") from error
        raise BrokenOffError(name, count, stream, why=f"then {error.strerror}") from error
    if count and _ends_early(stream, end):
        raise BrokenOffError(name, count, stream)


def _check_end(source: Source) -> None:
    """Raise BrokenOffError where the packets of a video end early. Those near the end are looked
    for, and only where they are not found are all of them read.
    """
    for near_end in (True, False):
        with opened_video(source) as container:
            if not container.streams.video or not _seconds(container.streams.video[0]):
                return
            stream = container.streams.video[0]
            ends = _ends(container, stream, near_end)
            if ends and not _ends_early(stream, max(ends)):
                return
            if ends and not near_end:
                raise BrokenOffError(name_of(source), len(ends), stream, about="about ")


def _ends(container, stream, near_end: bool) -> list[int]:
    """Until when frames are shown, in the stream's time base, by their packets: of all that can be
    read, or of the last ones.
    """
    import av

    ends = []
    with suppress(av.error.FFmpegError):  # then they end there
        if near_end:
            end = _seconds(stream) / Fraction(stream.time_base)
            container.seek(int(end) + (stream.start_time or 0), stream=stream)
        for packet in container.demux(stream):
            time = packet.dts if packet.pts is None else packet.pts
            if packet.size and time is not None:
                ends.append(time + (packet.duration or 0))
    return ends


def _ends_early(stream, end: int) -> bool:
    """Whether more should follow the frame that is shown until `end`, in the stream's time base."""
    if not stream.average_rate:
        return False
    wanted = _seconds(stream)
    lacking = wanted - (end - (stream.start_time or 0)) * stream.time_base
    return lacking > max(3 / Fraction(stream.average_rate), wanted * Fraction(MISSING))


def _expected(stream) -> int | None:
    """How many frames the header tells of; None where it does not."""
    return stream.frames or round(_seconds(stream) * (stream.average_rate or 0)) or None


def _seconds(stream) -> Fraction:
    """How long the video is by its header; 0 where it does not tell. Those of MPEG-TS, MPEG-PS and
    NUT never do: the first two last, for FFmpeg, until their last packet.
    """
    if stream.container.format.name == "avi" and stream.frames:
        return stream.frames * Fraction(stream.time_base)  # FFmpeg's is by the size of the file
    if stream.duration and stream.time_base:
        return Fraction(stream.duration * stream.time_base)
    told = re.fullmatch(r"(\d+):(\d+):(\d+(?:\.\d+)?)", stream.metadata.get("DURATION", ""))
    if told is None:  # Matroska has it among the tags
        return Fraction(0)
    hours, minutes, seconds = told.groups()
    return 3600 * int(hours) + 60 * int(minutes) + Fraction(seconds)


def _colours(frame, stream) -> Colours:
    context = stream.codec_context
    return Colours(
        0 if frame.format.is_rgb else int(frame.colorspace),
        int(context.color_primaries),
        int(context.color_trc),
        int(frame.color_range),
    )


def _kinds(container) -> str:
    return ", ".join(sorted({stream.type for stream in container.streams})) or "nothing"


def _format(frame) -> str:
    """What holds a frame without loss of depth or alpha."""
    parts = frame.format.components
    alpha = any(part.is_alpha for part in parts)
    if max(part.bits for part in parts) > 8:
        return "rgba64le" if alpha else "rgb48le"
    return "rgba" if alpha else "rgb24"
