"""Clips are read frame by frame, upright, with their times; a broken one says how far it goes."""

import struct
from fractions import Fraction
from io import BytesIO

import av
import numpy as np
import pytest
from PIL import Image

from internal_methods.storage.clip_reader import BrokenOffError, ClipError, opened
from videos import write_video


def pictures(count: int = 4, size: tuple[int, int] = (16, 20), dtype=np.uint8) -> np.ndarray:
    top = np.iinfo(dtype).max
    generator = np.random.default_rng(count)
    return generator.integers(0, top, (count, *size, 3), dtype=dtype, endpoint=True)


def read(source, **options) -> list:
    with opened(source, **options) as reading:
        return list(reading)


def test_what_is_known_before_reading(tmp_path):
    path = write_video(tmp_path / "a.mp4", pictures(5), "libx264rgb", "rgb24", rate=30, qp="0")
    with opened(path) as reading:
        about = reading.about
        assert (about.size, about.channels, about.bits) == ((16, 20), 3, 8)
        assert (about.rate, about.frames, about.turned, about.sound) == (30, 5, 0, False)
        assert about.colours.space == 0 and about.time_base.numerator == 1
        frames = list(reading)
        assert reading.read == 5
    assert [frame.time for frame in frames] == [Fraction(n, 30) for n in range(5)]
    assert np.array_equal([frame.pixels for frame in frames], pictures(5))


def test_a_video_in_memory(tmp_path):
    path = write_video(tmp_path / "a.mkv", pictures())
    frames = read(BytesIO(path.read_bytes()))
    assert np.array_equal([frame.pixels for frame in frames], pictures())


@pytest.mark.parametrize(
    ("pixels", "bits"), [("yuv420p10le", 10), ("yuv422p12le", 12), ("gbrp16le", 16)]
)
def test_deep_video_keeps_its_depth(tmp_path, pixels, bits):
    ramp = np.arange(0, 65536, 64, dtype=np.uint16).reshape(1, 32, 32, 1).repeat(3, 3)
    path = write_video(tmp_path / "a.mkv", ramp, "ffv1", pixels)
    with opened(path) as reading:
        assert reading.about.bits == bits
        [frame] = reading
    assert frame.pixels.dtype == np.uint16
    levels = np.unique(frame.pixels[..., 1])
    assert len(levels) > 2 ** (bits if bits < 12 else 10) * 0.8
    assert np.abs(frame.pixels.astype(int) - ramp[0]).max() < 300


def rotated(path, degrees: int) -> None:
    """Write the matrix of ISO 14496-12 into the header of an MP4: shown turned clockwise."""
    a, b = {90: (0, 1), 180: (-1, 0), 270: (0, -1)}[degrees]
    data = bytearray(path.read_bytes())
    start = data.index(b"tkhd") + 4 + 4 + 20 + 16
    one, w = 1 << 16, 1 << 30
    assert data[start : start + 36] == struct.pack(">9i", one, 0, 0, 0, one, 0, 0, 0, w)
    data[start : start + 36] = struct.pack(
        ">9i", a * one, b * one, 0, -b * one, a * one, 0, 0, 0, w
    )
    path.write_bytes(data)


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_videos_of_phones_are_turned_upright(tmp_path, degrees, caplog):
    path = write_video(tmp_path / "a.mp4", pictures(), "libx264rgb", "rgb24", qp="0")
    rotated(path, degrees)
    upright = np.stack([Image.fromarray(p).rotate(-degrees, expand=True) for p in pictures()])
    with caplog.at_level("INFO"), opened(path) as reading:
        assert reading.about.turned == degrees and reading.about.size == upright.shape[1:3]
        assert np.array_equal([frame.pixels for frame in reading], upright)
    assert f"clockwise by {degrees}" in caplog.text
    assert np.array_equal([f.pixels for f in read(path, as_comfyui=True)], pictures())


def irregular(path, times: list[int]) -> None:
    """Frames at these milliseconds."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.height, stream.width = 16, 20
        stream.pix_fmt = "bgr0"
        stream.codec_context.time_base = Fraction(1, 1000)
        for picture, time in zip(pictures(len(times)), times, strict=True):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def test_frames_keep_their_times(tmp_path):
    times = [0, 40, 50, 200, 233]
    irregular(tmp_path / "a.mkv", times)
    found = [frame.time for frame in read(tmp_path / "a.mkv")]
    assert found == [Fraction(time, 1000) for time in times]


def cut_in_half(path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


@pytest.mark.parametrize("name", ["a.mkv", "a.mp4", "a.avi", "a.nut"])
def test_a_video_that_breaks_off_gives_what_there_is_and_says_so(tmp_path, name):
    path = tmp_path / name
    codec = ("libx264rgb", "rgb24") if name == "a.mp4" else ("ffv1", "bgr0")
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream(codec[0], rate=25)
        stream.height, stream.width, stream.pix_fmt = 16, 20, codec[1]
        for picture in pictures(40):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    whole = read(path)
    assert len(whole) == 40
    cut_in_half(path)
    got = []
    with opened(path) as reading:
        if name == "a.nut":  # its header does not tell how long it is
            got = list(reading)
        else:
            with pytest.raises(BrokenOffError) as told:
                for frame in reading:
                    got.append(frame)
            of = "of about 40" if name == "a.mkv" else "of 40"  # whose header tells seconds
            assert told.value.frames == len(got)
            assert f"{name} breaks off: {len(got)} {of} frames can be read" in str(told.value)
    assert 5 < len(got) < 35
    for source in (path, BytesIO(path.read_bytes())):
        if name == "a.nut":
            assert len(read(source, to_the_end=True)) == len(got)
            continue
        with pytest.raises(BrokenOffError, match=r"breaks off: about \d+ of 40") as told:
            with opened(source, to_the_end=True):
                raise AssertionError("it should not be opened")
        assert abs(told.value.frames - len(got)) < 5
    for frame, wanted in zip(got[:-2], whole, strict=False):
        assert np.array_equal(frame.pixels, wanted.pixels)


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv", "webm", "avi", "ts", "nut"])
@pytest.mark.parametrize("count", [1, 2, 120])
def test_a_whole_video_has_its_end(tmp_path, suffix, count):
    codec = "libvpx" if suffix == "webm" else "libx264"
    path = write_video(tmp_path / f"a.{suffix}", pictures(count, (32, 32)), codec, "yuv420p")
    assert len(read(path, to_the_end=True)) == count
    irregular(tmp_path / "b.mkv", [0, 40, 50, 200, 233])
    assert len(read(tmp_path / "b.mkv", to_the_end=True)) == 5


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_a_last_frame_may_be_held(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264rgb", rate=25, options={"bf": "0"})
        stream.height, stream.width, stream.pix_fmt = 16, 20, "rgb24"
        packets = []
        for picture in pictures(20):
            packets += stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24"))
        packets += stream.encode(None)
        packets[-1].duration = 100  # four seconds
        container.mux(packets)
    assert len(read(path)) == len(read(path, to_the_end=True)) == 20


def test_frames_of_another_size_end_the_reading(tmp_path):
    with av.open(str(tmp_path / "a.avi"), "w") as container:
        stream = container.add_stream("mjpeg", rate=5)
        stream.height, stream.width, stream.pix_fmt = 16, 16, "yuvj420p"
        for size in (16, 16, 32):
            encoder = av.CodecContext.create("mjpeg", "w")
            encoder.height, encoder.width, encoder.pix_fmt = size, 16, "yuvj420p"
            encoder.time_base = Fraction(1, 5)
            picture = np.zeros((size, 16, 3), np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuvj420p")
            for packet in encoder.encode(frame):
                packet.stream = stream
                container.mux(packet)
    with opened(tmp_path / "a.avi") as reading:
        with pytest.raises(ClipError, match="frame 2 is 16x32, those before it are 16x16"):
            list(reading)
        assert reading.read == 2


def test_a_folder_has_neither_rate_nor_times(tmp_path):
    for number, picture in enumerate(pictures()):
        Image.fromarray(picture).save(tmp_path / f"{number}.png")
    with opened(tmp_path) as reading:
        assert (reading.about.rate, reading.about.frames, reading.about.bits) == (None, 4, 8)
        frames = list(reading)
    assert all(frame.time is None for frame in frames)
    assert np.array_equal([frame.pixels for frame in frames], pictures())


def test_an_error_of_who_reads_stays_its_own(tmp_path):
    path = write_video(tmp_path / "a.mkv", pictures())
    with pytest.raises(av.error.FFmpegError), opened(path) as reading:
        for _ in reading:
            raise av.error.InvalidDataError(1, "of another file")
