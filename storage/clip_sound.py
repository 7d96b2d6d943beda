"""The sound of a clip on its way into another file: copied packet by packet where that is possible,
else encoded anew.
"""

import logging
from collections.abc import Iterator
from fractions import Fraction

import numpy as np

from .clip_reader import Source, name_of, opened_video

log = logging.getLogger(__name__)

LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}

Samples = tuple[np.ndarray, int]  # (channels, samples) float32, and samples in a second


class CopiedSound:
    """All sound tracks of a video, put into `output` as its pictures go along."""

    def __init__(self, output, source: Source):
        self._opened = opened_video(source)
        self._input = self._opened.__enter__()
        self._output, self._tracks = output, {}
        for stream in self._input.streams.audio:
            if stream.codec.canonical_name in output.supported_codecs:
                self._tracks[stream.index] = output.add_stream_from_template(stream), None
            else:
                self._tracks[stream.index] = _encoder(output, stream, name_of(source))
        self._packets = self._demuxed()
        self._next = next(self._packets, None)

    def _demuxed(self) -> Iterator:
        if self._tracks:
            yield from self._input.demux(*self._input.streams.audio)

    def until(self, time: Fraction | None) -> None:
        """Write what is heard up to `time`, in seconds; None for all the rest."""
        while self._next is not None and (time is None or _start(self._next) <= time):
            self._write(self._next)
            self._next = next(self._packets, None)

    def _write(self, packet) -> None:
        track, resampler = self._tracks[packet.stream.index]
        if resampler is not None:
            for frame in packet.decode():
                for part in resampler.resample(frame):
                    self._output.mux(track.encode(part))
        elif packet.dts is not None:  # the last one, empty, ends the reading
            packet.stream = track
            self._output.mux(packet)

    def finish(self) -> None:
        self.until(None)
        for track, resampler in self._tracks.values():
            if resampler is not None:
                for part in resampler.resample(None):
                    self._output.mux(track.encode(part))
                self._output.mux(track.encode(None))

    def close(self) -> None:
        self._opened.__exit__(None, None, None)


def _encoder(output, stream, name: str) -> tuple:
    """A new track for a sound that does not fit, and what brings it into shape."""
    import av

    codec = output.default_audio_codec
    log.warning(
        "the sound of %s is encoded anew, as %s: %s does not fit into such a file",
        name,
        codec,
        stream.codec.canonical_name,
    )
    layout = LAYOUTS.get(stream.layout.nb_channels, "stereo")
    track = output.add_stream(codec, rate=stream.sample_rate, layout=layout)
    return track, av.AudioResampler(track.format, layout, stream.sample_rate)


def _start(packet) -> Fraction:
    """When a packet is heard, in seconds; at once where it does not say."""
    at = packet.pts if packet.pts is not None else packet.dts
    return Fraction(at * packet.time_base) if at is not None else Fraction(-1)


class EncodedSound:
    """Samples, put into `output` as its pictures go along."""

    PIECE = 1024  # samples

    def __init__(self, output, samples: Samples):
        waveform, self._rate = samples
        channels = len(waveform)
        if channels not in (1, 2):
            raise ValueError(f"sound has 1 or 2 channels, not {channels}; mix it down first")
        self._layout = "mono" if channels == 1 else "stereo"
        self._output, self._waveform, self._done = output, waveform.astype(np.float32), 0
        self._track = output.add_stream(
            output.default_audio_codec, rate=self._rate, layout=self._layout
        )

    def until(self, time: Fraction | None) -> None:
        """Write what is heard up to `time`, in seconds; None for all the rest."""
        import av

        total = self._waveform.shape[1]
        while self._done < total and (time is None or self._done <= time * self._rate):
            piece = self._waveform[:, self._done : self._done + self.PIECE]
            frame = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(piece.T.reshape(1, -1)), "flt", self._layout
            )
            frame.sample_rate, frame.pts = self._rate, self._done
            frame.time_base = Fraction(1, self._rate)
            self._output.mux(self._track.encode(frame))
            self._done += piece.shape[1]

    def finish(self) -> None:
        self.until(None)
        self._output.mux(self._track.encode(None))

    def close(self) -> None:
        pass
