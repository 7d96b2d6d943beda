"""Clips written frame by frame: videos and folders of pictures, which appear whole or not at all.

What a format can hold comes back bit for bit: ffv1 and png at 8 bits a channel, ffv1_16 and png16
at 16, exr as 32 bit float. h264 and prores are for looking at and for editing programs.
"""

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from . import pictures
from .clip_reader import About, Colours, Source
from .clip_sound import CopiedSound, EncodedSound, Samples
from .files import whole

RATE = Fraction(24)  # frames in a second, where nothing tells them
BT709 = Colours(space=1, primaries=1, transfer=1, range=1)
PICTURES = ("png", "png16", "exr")


@dataclass(frozen=True)
class Codec:
    """How a format is encoded. pixels, alpha: pixel formats without and with alpha (None: it is
    left out). bits: of the RGB that goes in. rgb: it is stored as such, not as Y'CbCr.
    """

    name: str
    suffix: str
    bits: int
    pixels: str
    alpha: str | None
    options: Mapping[str, str]
    rgb: bool = False


# With mbtree x264 gives other bits from run to run, and with other threads in any case.
H264 = {"crf": "12", "preset": "medium", "threads": "4", "x264-params": "mbtree=0"}
FFV1 = {"level": "3", "slices": "4", "slicecrc": "1"}
CODECS = {
    "h264": Codec("libx264", ".mp4", 8, "yuv420p", None, H264),
    "ffv1": Codec("ffv1", ".mkv", 8, "bgr0", "bgra", FFV1, rgb=True),
    "ffv1_16": Codec("ffv1", ".mkv", 16, "gbrp16le", "gbrap16le", FFV1, rgb=True),
    "prores": Codec("prores_ks", ".mov", 16, "yuv422p10le", "yuva444p10le", {"vendor": "apl0"}),
}
FORMATS = (*CODECS, *PICTURES)
LAYOUTS = {(3, 8): "rgb24", (4, 8): "rgba", (3, 16): "rgb48le", (4, 16): "rgba64le"}


def suffix_of(format: str) -> str:
    """What the name of such a clip ends with; nothing for a folder of pictures."""
    return CODECS[format].suffix if format in CODECS else ""


class VideoWriting:
    """An open video to put frames into. `written` counts them."""

    def __init__(
        self,
        container,
        codec: Codec,
        rate: Fraction,
        like: About | None,
        colours: Colours | None,
        sound: Source | Samples | None,
    ):
        self._container, self._codec, self._rate, self._like = container, codec, rate, like
        if colours is None and like is not None and like.colours.space != 0:
            colours = like.colours
        self._colours = colours or BT709
        self._wanted, self._sound, self._stream = sound, None, None
        self._last: int | None = None
        self.written = 0

    def add(self, pixels: np.ndarray, time: Fraction | None = None) -> None:
        """Append a frame (H, W, C), C 1, 3 or 4: whole steps or floats in [0, 1].

        time: when it is shown, in seconds; None for the next beat of the clip's rate.
        """
        if pixels.shape[2] == 1:
            pixels = np.repeat(pixels, 3, axis=2)
        if self._stream is None:
            self._begin(pixels.shape)
        frame = self._frame(pixels)
        if time is None:
            time = self.written / self._rate
        at = round(time / self._base)
        self._last = frame.pts = at if self._last is None else max(at, self._last + 1)
        frame.time_base = self._base
        self._container.mux(self._stream.encode(frame))
        if self._sound is not None:
            self._sound.until(time)
        self.written += 1

    def _begin(self, shape: tuple[int, ...]) -> None:
        codec, like = self._codec, self._like
        height, width, channels = shape
        alpha = channels == 4 and codec.alpha is not None
        options = dict(codec.options)
        if codec.name == "prores_ks":
            options["profile"] = "4444" if alpha else "hq"
        self._stream = self._container.add_stream(codec.name, rate=self._rate, options=options)
        self._stream.height, self._stream.width = height, width
        even = height % 2 == 0 and width % 2 == 0
        pixels = codec.pixels if even or codec.rgb else codec.pixels.replace("yuv420", "yuv444")
        self._stream.pix_fmt = codec.alpha if alpha else pixels
        self._base = 1 / self._rate
        if like is not None and like.time_base and self._rate == (like.rate or self._rate):
            self._base = like.time_base
        context = self._stream.codec_context
        context.time_base = self._base
        if like is not None and like.aspect:
            context.sample_aspect_ratio = like.aspect
        if not codec.rgb:
            context.colorspace, context.color_range = self._colours.space, self._colours.range
            context.color_primaries = self._colours.primaries
            context.color_trc = self._colours.transfer
        self._alpha = alpha
        if isinstance(self._wanted, tuple):
            self._sound = EncodedSound(self._container, self._wanted)
        elif self._wanted is not None:
            self._sound = CopiedSound(self._container, self._wanted)

    def _frame(self, pixels: np.ndarray):
        import av

        channels, bits = (4 if self._alpha else 3), self._codec.bits
        steps = pictures.as_steps(pixels[..., :channels], bits)
        kind = LAYOUTS[channels, bits]
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(steps), format=kind)
        if self._codec.rgb:
            return frame
        return frame.reformat(
            format=self._stream.pix_fmt,
            dst_colorspace=self._colours.space,
            dst_color_range=self._colours.range,
        )

    def finish(self) -> None:
        """Write what the encoder still holds, and the rest of the sound."""
        if self._stream is None:
            raise ValueError("a clip has at least one frame, and this one got none")
        self._container.mux(self._stream.encode(None))
        if self._sound is not None:
            self._sound.finish()

    def close(self) -> None:
        if self._sound is not None:
            self._sound.close()


class FolderWriting:
    """A folder to put frames into, as pictures that are numbered from 1."""

    def __init__(self, folder: Path, format: str, text: Mapping[str, str]):
        self._folder, self._format, self._text = folder, format, text
        self.written = 0

    def add(self, pixels: np.ndarray, time: Fraction | None = None) -> None:
        """Append a frame (H, W, C); a folder does not know its time."""
        self.written += 1
        path = self._folder / f"{self.written:06}{pictures.FORMATS[self._format]}"
        pictures.write(path, pixels, self._format, self._text)


Writing = VideoWriting | FolderWriting


@contextmanager
def writing(
    path: Path,
    format: str | Codec,
    *,
    rate: Fraction | None = None,
    like: About | None = None,
    colours: Colours | None = None,
    sound: Source | Samples | None = None,
    text: Mapping[str, str] | None = None,
) -> Iterator[Writing]:
    """Write a clip to `path`, which on leaving holds all of it, or is as it was before.

    format: one of FORMATS, or a codec; of png, png16 and exr `path` is a new folder.
    rate: frames in a second; by default that of `like`, else 24.
    like: the clip that this one is made from; its colours, pixel aspect and text are kept, and its
        time base unless another rate is wanted.
    colours: what a Y'CbCr video means by its numbers; by default what `like` does, else BT.709.
    sound: a video whose sound is taken, packet by packet where the container allows it, else
        encoded anew, as the log says; or samples, and how many there are in a second. A folder of
        pictures has none.
    text: what the file tells besides (ComfyUI's workflow and prompt); an EXR has no place for it.
    Raises ValueError for an unknown format, OSError where it cannot be written.
    """
    if not isinstance(format, Codec) and format not in FORMATS:
        raise ValueError(f"format {format!r} is not one of {', '.join(FORMATS)}")
    if format in PICTURES:
        with _new_folder(Path(path)) as folder:
            yield FolderWriting(folder, format, text or {})
        return
    rate = rate or (like and like.rate) or RATE
    told = {**(like.text if like is not None else {}), **(text or {})}
    with whole(Path(path)) as beside, _container(beside, told) as container:
        codec = format if isinstance(format, Codec) else CODECS[format]
        video = VideoWriting(container, codec, Fraction(rate), like, colours, sound)
        try:
            yield video
            video.finish()
        finally:
            video.close()


@contextmanager
def _container(path: Path, text: Mapping[str, str]) -> Iterator:
    try:
        import av
    except ImportError as error:
        raise ImportError("videos need PyAV: pip install av") from error
    flags = {"fflags": "+bitexact"}  # no random numbers in the file
    if path.suffix in (".mp4", ".mov"):
        flags["movflags"] = "use_metadata_tags+faststart"
    try:
        with av.open(str(path), "w", options=flags) as container:
            container.metadata.update(text)
            yield container
    except av.error.FFmpegError as error:
        raise OSError(f"the video cannot be written: {error.strerror}") from error


@contextmanager
def _new_folder(path: Path) -> Iterator[Path]:
    if path.exists():
        raise FileExistsError(f"{path} is there already; a clip of pictures gets a new folder")
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    shutil.rmtree(beside, ignore_errors=True)  # of a killed run that had our number
    beside.mkdir(parents=True)
    try:
        yield beside
        os.replace(beside, path)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
