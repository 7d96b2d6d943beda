"""VIDEO sockets as streams of frames, and files as what goes along them. Nothing here holds a whole
clip, but for a VIDEO that was made of frames in memory.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from io import BytesIO
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import convert
from .api import InputImpl, host

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import Tensor

    from ..methods.steps import Callback, Step
    from ..methods.video.chunks import Carried
    from ..storage.clip_reader import About, Frame, Reading, Source
    from ..storage.clip_sound import Samples

    Process = Callable[[Tensor, Tensor, Carried, Callback], tuple[Tensor, Carried]]

FAINT = 16 / 255  # what a lossy video makes of the black and the white of a mask
PARTS = 1000  # of a progress


def source_of(video) -> "Source | None":
    """The file, or the file in memory, that a VIDEO is; None where it is made of frames, or is a
    part of a file."""
    if not isinstance(video, InputImpl.VideoFromFile):
        return None
    window = getattr(video, "get_active_trim_window", lambda: (0, 0))()
    if any(window):
        return None
    source = video.get_stream_source()
    # Of a file in memory everyone who reads gets a place of its own to read at.
    return BytesIO(source.getvalue()) if isinstance(source, BytesIO) else Path(source)


@contextmanager
def opened(video) -> "Iterator[Reading]":
    """A VIDEO to be read frame by frame, at its full depth. A file that does not go to its end is
    refused at once, for what is made of it is whole or not at all. Raises as `clip_reader.opened`.
    """
    from ..storage import clip_reader

    source = source_of(video)
    if source is None:
        yield _reading(video.get_components())
    else:
        with clip_reader.opened(source, to_the_end=True) as reading:
            yield reading


def _reading(components) -> "Reading":
    from ..storage.clip_reader import About, Frame, Reading

    images, rate = components.images, Fraction(components.frame_rate)
    count, height, width, channels = images.shape
    sound = components.audio is not None
    about = About("the video", (height, width), channels, 32, rate, count, sound=sound)
    frames = (Frame(picture.float().cpu().numpy(), None) for picture in images)
    return Reading(about, frames)


def sound_of(video) -> "Source | Samples | None":
    """The sound of a VIDEO, as `clip_writer.writing` takes it."""
    source = source_of(video)
    return samples(video.get_components().audio) if source is None else source


def samples(audio) -> "Samples | None":
    """AUDIO as (channels, samples) and their rate."""
    if not audio:
        return None
    return audio["waveform"][0].float().cpu().numpy(), int(audio["sample_rate"])


def frame(pixels: "np.ndarray") -> "Tensor":
    """A frame as a reader gives it, (H, W, C), as (C, H, W) float32."""
    import torch

    from ..storage.pictures import as_float

    return torch.from_numpy(as_float(pixels)).movedim(-1, 0).contiguous()


def pixels(frame: "Tensor") -> "np.ndarray":
    """(C, H, W) as a writer takes it."""
    return frame.movedim(0, -1).float().cpu().numpy()


def filled(
    video,
    mask,
    process: "Process",
    *,
    grow: int = 0,
    settings: Any,
    device: "torch.device",
    length: int,
    overlap: int,
    fade: int = 0,
    format: str = "h264",
):
    """Fill the holes of a VIDEO window by window, into a file, which is the new VIDEO.

    mask: MASK, one for all frames or as many as there are; or a VIDEO, white where the hole is.
    process: as of `methods.video.in_chunks`, on `device`, with a callback besides, to call with a
        Step for progress and interruption.
    grow: pixels by which every frame's hole is made larger.
    settings: what JSON can hold and decides the result; by it a run that was broken off is found
        and goes on.
    length, overlap, fade: see `in_chunks`. format: see `storage.clip_writer`.
    """
    from ..methods.video import in_chunks
    from ..storage.checkpoints import Checkpoints
    from ..storage.clip_writer import suffix_of, writing

    path = host.passing_file(suffix_of(format))
    with opened(video) as reading, _masks(mask, reading.about, grow) as masks:
        about, times = reading.about, []
        progress = _Progress(about.frames)

        def pairs() -> "Iterator[tuple[Tensor, Tensor]]":
            for read in reading:
                times.append(read.time)
                yield frame(read.pixels), _next(masks)
            if next(masks, None) is not None and not _is_one(mask):
                raise ValueError(
                    f"the mask has more frames than the clip, which has {reading.read}"
                )

        def on_device(clip, hole, carried):
            progress.window = clip.shape[2]
            result, carried = process(clip.to(device), hole.to(device), carried, progress)
            kept = {name: value.cpu() for name, value in carried.items()} if carried else None
            return result.cpu(), kept

        shelf, name = Checkpoints(host.checkpoint_folder()), about.name
        sound = sound_of(video) if about.sound else None
        given = [settings, device.type, grow, length, overlap, fade, name]
        with (
            shelf.of({}, given) as checkpoint,
            writing(path, format, like=about, sound=sound) as output,
        ):
            store = checkpoint.pieces() if checkpoint is not None else None
            options = {"length": length, "overlap": overlap, "fade": fade, "store": store}
            for result in in_chunks(pairs(), on_device, **options):
                output.add(pixels(result), times.pop(0))
                progress.frame_done()
    return InputImpl.VideoFromFile(str(path))


def _is_one(mask) -> bool:
    """A MASK for all frames."""
    return hasattr(mask, "shape") and (mask.dim() == 2 or mask.shape[0] == 1)


@contextmanager
def _masks(mask, about: "About", grow: int) -> "Iterator[Iterator[Tensor]]":
    """A mask (1, H, W) for every frame, grown."""
    import torch

    from ..methods.morphology import grown

    if not hasattr(mask, "shape"):
        with opened(mask) as reading:
            if reading.about.size != about.size:
                raise ValueError(_two_sizes(reading.about.size, about.size))
            yield (grown(_mask(read)[None], grow)[0] for read in reading)
        return
    holes = convert.mask(mask, about.size, torch.device("cpu"))
    if len(holes) == 1:
        yield repeat(grown(holes, grow)[0])
        return
    if about.frames and abs(len(holes) - about.frames) > max(2, about.frames // 20):
        raise ValueError(
            f"the mask has {len(holes)} frames, the clip {about.frames}; give one mask for all of "
            "them, or as many"
        )
    yield (grown(hole[None], grow)[0] for hole in holes)


def _two_sizes(mask: tuple[int, int], clip: tuple[int, int]) -> str:
    return (
        f"the mask is {mask[1]}x{mask[0]}, but the clip is {clip[1]}x{clip[0]}; scale it to the "
        "clip's size"
    )


def _mask(read: "Frame") -> "Tensor":
    value = frame(read.pixels)[:1]
    return ((value - FAINT) / (1 - 2 * FAINT)).clamp(0, 1)


def _next(masks: "Iterator[Tensor]") -> "Tensor":
    found = next(masks, None)
    if found is None:
        raise ValueError("the mask has fewer frames than the clip; give one for all, or as many")
    return found


class _Progress:
    """The callback of a window as a part of the whole clip. frames: how many there are, if known;
    window: those at work."""

    def __init__(self, frames: int | None):
        self.frames, self.done, self.window, self.parts = frames, 0, 1, 0
        self.shown = convert.Progress()

    def __call__(self, step: "Step") -> None:
        done = self._parts(self.window * step.done / max(step.total, 1))
        self.shown(replace(step, done=done, total=PARTS, level_done=False))

    def frame_done(self) -> None:
        self.done += 1
        host.progress(self._parts(0), PARTS)

    def _parts(self, within: float) -> int:
        """How much is done when `within` frames of the window are; it never falls."""
        total = self.frames or self.done + self.window
        self.parts = max(self.parts, int(PARTS * min((self.done + within) / total, 1)))
        return self.parts
