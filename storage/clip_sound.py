"""The sound of a clip on its way into another file: copied packet by packet where that is possible,
else encoded anew.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from fractions import Fraction

import numpy as np

from .clip_reader import Source, name_of, no_video, opened_video

log = logging.getLogger(__name__)

NOT_IN_MOV = ("flac", "opus", "truehd")  # FFmpeg lists them, and then refuses them
LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}

Samples = tuple[np.ndarray, int]  # (channels, samples) float32, and samples in a second


def read_samples(source: Source, start: Fraction, end: Fraction | None) -> Samples | None:
    """What is heard of a video from `start` to `end`, in seconds; None if it is mute.

    Of several tracks the first one. Raises ClipError if it cannot be read.
    """
    with opened_video(source) as container:
        import av

        if not container.streams.audio:
            return None
        stream = container.streams.audio[0]
        layout = LAYOUTS.get(stream.layout.nb_channels, "stereo")
        resampler = av.AudioResampler("fltp", layout, stream.sample_rate)
        parts, at = [], 0
        try:
            for frame in container.decode(stream):
                if not parts and frame.time is not None:
                    at = round(frame.time * stream.sample_rate)
                parts += [part.to_ndarray() for part in resampler.resample(frame)]
        except av.error.FFmpegError as error:
            raise no_video(source, error) from error
    if not parts:
        return None
    first = max(round(start * stream.sample_rate) - at, 0)
    last = None if end is None else max(round(end * stream.sample_rate) - at, 0)
    return np.concatenate(parts, 1)[:, first:last], stream.sample_rate


class CopiedSound:
    """All sound tracks of a video, put into `output` as its pictures go along."""

    def __init__(self, output, source: Source):
        self._output, self._source, self._tracks = output, source, {}
        with ExitStack() as opened:
            self._input = opened.enter_context(opened_video(source))
            self._add_tracks()
            self._packets = self._demuxed()
            self._next = next(self._packets, None)
            self._opened = opened.pop_all()

    def _add_tracks(self) -> None:
        output = self._output
        for stream in self._input.streams.audio:
            if _fits(stream.codec.canonical_name, output):
                track = output.add_stream_from_template(stream)
                self._tracks[stream.index] = track, None
            else:
                track, resampler = _encoder(output, stream.sample_rate, stream.layout.nb_channels)
                self._tracks[stream.index] = track, resampler
                log.warning(
                    "the sound of %s is encoded anew, as %s: %s does not fit into such a file",
                    name_of(self._source),
                    track.codec.canonical_name,
                    stream.codec.canonical_name,
                )
            track.metadata.update(stream.metadata)  # its language

    def _demuxed(self) -> Iterator:
        if self._tracks:
            packets = self._input.demux(*self._input.streams.audio)
            while (packet := self._read(lambda: next(packets, None))) is not None:
                yield packet

    def _read(self, work: Callable):
        """What `work` reads of the source. Raises ClipError, which names it."""
        import av

        try:
            return work()
        except av.error.FFmpegError as error:
            raise no_video(self._source, error) from error

    def until(self, time: Fraction | None) -> None:
        """Write what is heard up to `time`, in seconds; None for all the rest."""
        while self._next is not None and (time is None or _start(self._next) <= time):
            self._write(self._next)
            self._next = next(self._packets, None)

    def _write(self, packet) -> None:
        track, resampler = self._tracks[packet.stream.index]
        if resampler is not None:
            for frame in self._read(packet.decode):
                _encode(self._output, track, resampler, frame)
        elif packet.dts is not None:  # the last one, empty, ends the reading
            packet.stream = track
            self._output.mux(packet)

    def finish(self) -> None:
        self.until(None)
        for track, resampler in self._tracks.values():
            if resampler is not None:
                _encode(self._output, track, resampler, None)
                self._output.mux(track.encode(None))

    def close(self) -> None:
        self._opened.close()


def _fits(codec: str, output) -> bool:
    """Whether packets of that codec can be copied into `output`."""
    if output.format.name == "mov" and codec in NOT_IN_MOV:
        return False
    return codec in output.supported_codecs


def _encoder(output, rate: int, channels: int) -> tuple:
    """A new track, and what brings sound into its shape: AAC, or without loss where that fits."""
    import av

    codec = "flac" if output.format.name == "matroska" else "aac"
    layout = LAYOUTS.get(channels, "stereo")
    track = output.add_stream(codec, rate=rate, layout=layout)
    return track, av.AudioResampler(track.format, layout, rate)


def _encode(output, track, resampler, frame) -> None:
    for part in resampler.resample(frame):
        output.mux(track.encode(part))


def _start(packet) -> Fraction:
    """When a packet is heard, in seconds; at once where it does not say."""
    at = packet.pts if packet.pts is not None else packet.dts
    return Fraction(at * packet.time_base) if at is not None else Fraction(-1)


class EncodedSound:
    """Samples, put into `output` as its pictures go along."""

    PIECE = 1024  # samples

    def __init__(self, output, samples: Samples):
        waveform, self._rate = samples
        if len(waveform) not in LAYOUTS:
            told = ", ".join(map(str, LAYOUTS))
            raise ValueError(f"sound has {told} channels, not {len(waveform)}; mix it down first")
        self._output, self._waveform, self._done = output, waveform.astype(np.float32), 0
        self._track, self._resampler = _encoder(output, self._rate, len(waveform))

    def until(self, time: Fraction | None) -> None:
        """Write what is heard up to `time`, in seconds; None for all the rest."""
        import av

        total, layout = self._waveform.shape[1], LAYOUTS[len(self._waveform)]
        while self._done < total and (time is None or self._done <= time * self._rate):
            piece = np.ascontiguousarray(self._waveform[:, self._done : self._done + self.PIECE])
            frame = av.AudioFrame.from_ndarray(piece, "fltp", layout)
            frame.sample_rate, frame.pts = self._rate, self._done
            frame.time_base = Fraction(1, self._rate)
            _encode(self._output, self._track, self._resampler, frame)
            self._done += piece.shape[1]

    def finish(self) -> None:
        self.until(None)
        _encode(self._output, self._track, self._resampler, None)
        self._output.mux(self._track.encode(None))

    def close(self) -> None:
        pass
