"""Sound goes from clip to clip as it is, packet by packet, or is encoded anew where it must be."""

from contextlib import contextmanager
from fractions import Fraction

import av
import numpy as np
import pytest

from internal_methods.storage import clip_sound, clips
from internal_methods.storage.clip_reader import ClipError, opened, opened_video
from internal_methods.storage.clip_sound import read_samples
from internal_methods.storage.clip_writer import suffix_of, writing

RATE = 16000
SECONDS = 2


def tone(channels: int = 1) -> np.ndarray:
    time = np.arange(RATE * SECONDS) / RATE
    notes = [0.5 * np.sin(2 * np.pi * hertz * time) for hertz in (440, 660)[:channels]]
    return np.stack(notes).astype(np.float32)


def clip_with(path, codec: str, tracks: int = 1):
    """A video of two seconds whose sound is the tone, once in each track."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.height = stream.width = 32
        stream.pix_fmt = "yuv420p"
        sounds = [container.add_stream(codec, rate=RATE, layout="mono") for _ in range(tracks)]
        for track in sounds:
            track.metadata["language"] = "deu"
        for _ in range(10 * SECONDS):
            picture = np.full((32, 32, 3), 99, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
        for track in sounds:
            frame = av.AudioFrame.from_ndarray(tone(), "fltp", "mono")
            frame.sample_rate, frame.pts, frame.time_base = RATE, 0, Fraction(1, RATE)
            container.mux(track.encode(frame))
            container.mux(track.encode(None))
    return path


def packets(path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(p) for p in container.demux(*container.streams.audio) if p.size]


def rewritten(source, target, format: str):
    with (
        opened(source) as reading,
        writing(target, format, like=reading.about, sound=source) as out,
    ):
        for frame in reading:
            out.add(frame.pixels, frame.time)
    return target


@pytest.mark.parametrize(
    ("codec", "tracks", "format", "suffix"),
    [("aac", 1, "h264", "mp4"), ("aac", 2, "ffv1", "mkv"), ("flac", 1, "h264", "mp4")],
)
def test_sound_is_copied_packet_by_packet(tmp_path, caplog, codec, tracks, format, suffix):
    source = clip_with(tmp_path / "a.mkv", codec, tracks)
    target = rewritten(source, tmp_path / f"b.{suffix}", format)
    assert sorted(packets(target)) == sorted(packets(source)) and len(packets(source)) > 7 * tracks
    with av.open(str(target)) as container:
        languages = [stream.metadata.get("language") for stream in container.streams.audio]
    assert languages == ["deu"] * tracks
    assert "encoded anew" not in caplog.text


@pytest.mark.parametrize(
    ("codec", "format"), [("pcm_u8", "h264"), ("flac", "prores"), ("libopus", "prores")]
)
def test_sound_that_does_not_fit_is_encoded_anew_and_said(tmp_path, caplog, codec, format):
    source = clip_with(tmp_path / "a.mkv", codec)
    target = rewritten(source, tmp_path / f"b{suffix_of(format)}", format)
    name = codec.removeprefix("lib")
    assert "the sound of" in caplog.text and f"encoded anew, as aac: {name}" in caplog.text
    assert pitch(target) == pytest.approx(440, abs=2)
    with av.open(str(target)) as container:
        [track] = container.streams.audio
        assert track.codec.name == "aac"
        assert float(track.duration * track.time_base) == pytest.approx(SECONDS, abs=0.15)


def pitch(path) -> float:
    wave, rate = clips.sound(path)
    middle = wave[0, rate // 2 : rate * 3 // 2]
    return float(np.abs(np.fft.rfft(middle)).argmax() * rate / len(middle))


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("format", ["h264", "ffv1", "prores"])
def test_samples_become_sound(tmp_path, channels, format):
    path = tmp_path / f"a{suffix_of(format)}"
    with writing(path, format, rate=10, sound=(tone(channels), RATE)) as output:
        for _ in range(10 * SECONDS):
            output.add(np.zeros((16, 16, 3), np.uint8))
    wave, rate = read_samples(path, Fraction(0), None)
    assert len(wave) == channels and abs(wave.shape[1] - RATE * SECONDS) <= 2048 and rate == RATE
    differ = np.abs(wave[:, 2048:30000] - tone(channels)[:, 2048:30000])  # AAC swings in first
    assert differ.max() < (1e-4 if format == "ffv1" else 0.05)


def test_sound_goes_along_with_its_pictures(tmp_path):
    """So that the file grows as it is written: without its sound the pictures would be held."""
    source = clip_with(tmp_path / "a.mkv", "aac")
    noise = np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)
    with writing(tmp_path / "b.mov", "prores", rate=10, sound=source) as output:
        for _ in range(10 * SECONDS):
            output.add(noise)
        [beside] = tmp_path.glob(".b.*.mov")
        so_far = beside.stat().st_size
    assert so_far > 0.6 * (tmp_path / "b.mov").stat().st_size


def test_too_many_channels_are_refused(tmp_path):
    with (
        pytest.raises(ValueError, match="1, 2, 6, 8 channels, not 5"),
        writing(tmp_path / "a.mp4", "h264", sound=(np.zeros((5, 100)), RATE)) as output,
    ):
        output.add(np.zeros((16, 16, 3), np.uint8))


def test_a_mute_clip_stays_mute(tmp_path):
    with writing(tmp_path / "a.mp4", "h264") as output:
        output.add(np.zeros((16, 16, 3), np.uint8))
    assert clips.sound(rewritten(tmp_path / "a.mp4", tmp_path / "b.mp4", "h264")) is None


class Unwilling(Exception):
    pass


def test_a_source_whose_sound_cannot_be_taken_over_is_let_go(tmp_path, monkeypatch):
    source, containers = clip_with(tmp_path / "a.mkv", "pcm_u8"), []

    @contextmanager
    def noted(source):
        with opened_video(source) as container:
            containers.append(container)
            try:
                yield container
            finally:
                containers.remove(container)

    def fail(*_):
        raise Unwilling

    monkeypatch.setattr(clip_sound, "opened_video", noted)
    monkeypatch.setattr(clip_sound, "_encoder", fail)
    with (
        pytest.raises(Unwilling) as caught,
        writing(tmp_path / "b.mp4", "h264", sound=source) as output,
    ):
        output.add(np.zeros((16, 16, 3), np.uint8))
    assert not containers, caught.traceback  # which would keep it alive


def test_what_is_wrong_with_the_sound_is_not_said_of_the_pictures(tmp_path, monkeypatch):
    def broken(self, *streams):
        raise av.error.InvalidDataError(1, "Invalid data found when processing input")
        yield

    source = clip_with(tmp_path / "a.mkv", "aac")
    monkeypatch.setattr(av.container.InputContainer, "demux", broken)
    with (
        pytest.raises(ClipError, match=r"a\.mkv is no video, or a broken one: Invalid data"),
        writing(tmp_path / "b.mp4", "h264", sound=source) as output,
    ):
        output.add(np.zeros((16, 16, 3), np.uint8))
