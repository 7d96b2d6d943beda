"""What a format can hold comes back bit for bit, with its times; a clip appears whole or not."""

import os
from fractions import Fraction

import av
import numpy as np
import pytest
import torch

from internal_methods.methods.video import in_chunks
from internal_methods.storage.clip_reader import About, opened
from internal_methods.storage.clip_writer import CODECS, FORMATS, suffix_of, writing
from shared import ROOT

LOSSLESS = [
    ("ffv1", np.uint8),
    ("ffv1_16", np.uint8),
    ("ffv1_16", np.uint16),
    ("png", np.uint8),
    ("png16", np.uint16),
    ("exr", np.float32),
]


def frames(dtype, channels: int = 3, count: int = 5) -> list[np.ndarray]:
    generator, shape = np.random.default_rng(3), (count, 14, 18, channels)
    if dtype == np.float32:
        return list(generator.normal(0.5, 2, shape).astype(np.float32))
    return list(generator.integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True))


def write(path, format, pictures, times=None, **options):
    with writing(path, format, **options) as output:
        for number, picture in enumerate(pictures):
            output.add(picture, times[number] if times else None)
    return path


def read(path) -> list:
    with opened(path) as reading:
        return list(reading)


def steps(pixels: np.ndarray, dtype) -> np.ndarray:
    """8 bit values at 16 bits, where the format has those."""
    return pixels.astype(dtype) * (257 if pixels.dtype == np.uint8 and dtype == np.uint16 else 1)


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize(("format", "dtype"), LOSSLESS)
def test_lossless_formats_come_back_bit_for_bit(tmp_path, format, dtype, channels):
    pictures = frames(dtype, channels)
    back = read(write(tmp_path / f"a{suffix_of(format)}", format, pictures))
    assert len(back) == 5
    for got, wanted in zip(back, pictures, strict=True):
        assert np.array_equal(got.pixels, steps(wanted, got.pixels.dtype))


@pytest.mark.parametrize(("format", "dtype"), LOSSLESS)
def test_what_is_outside_of_a_mask_survives_the_whole_way(tmp_path, format, dtype):
    """From a file through windows into a file: reading, floats, filling, writing, reading."""
    source = write(tmp_path / f"a{suffix_of(format)}", format, frames(dtype, count=9))
    mask = torch.zeros(1, 14, 18)
    mask[:, 3:9, 5:11] = 1

    def pairs(reading):
        for frame in reading:
            top = 1 if dtype == np.float32 else np.iinfo(frame.pixels.dtype).max
            pixels = (frame.pixels / np.float32(top)).astype(np.float32)
            yield torch.from_numpy(pixels).movedim(-1, 0), mask

    def fill(clip, mask, carried):
        return torch.where(mask > 0, 1 - clip, clip + 0.3), None

    target = tmp_path / f"b{suffix_of(format)}"
    with opened(source) as reading, writing(target, format, like=reading.about) as output:
        for result in in_chunks(pairs(reading), fill, length=5, overlap=2, scenes=()):
            output.add(result.movedim(0, -1).numpy())
    hole = mask[0].numpy() > 0
    for got, wanted in zip(read(target), read(source), strict=True):
        assert np.array_equal(got.pixels[~hole], wanted.pixels[~hole])
        assert not np.array_equal(got.pixels[hole], wanted.pixels[hole])


def test_ten_bits_pass_through_without_loss(tmp_path):
    ramp = (np.arange(14 * 18, dtype=np.uint16) * 256).reshape(14, 18, 1).repeat(3, 2)
    write(tmp_path / "a.mov", "prores", [ramp] * 3)
    source = read(tmp_path / "a.mov")
    assert len(np.unique(source[0].pixels)) > 240
    back = read(write(tmp_path / "b.mkv", "ffv1_16", [frame.pixels for frame in source]))
    assert all(np.array_equal(a.pixels, b.pixels) for a, b in zip(back, source, strict=True))


@pytest.mark.parametrize("format", ["ffv1", "h264"])
def test_times_are_kept(tmp_path, format):
    times = [Fraction(time, 1000) for time in (0, 40, 50, 200, 233)]
    fine = About("", (14, 18), 3, 8, Fraction(25), time_base=Fraction(1, 1000))
    first = write(tmp_path / "a.mkv", "ffv1", frames(np.uint8), times, like=fine)
    with opened(first) as reading:
        about, given = reading.about, list(reading)
    path = tmp_path / f"b{suffix_of(format)}"
    with writing(path, format, like=about) as output:
        for frame in given:
            output.add(frame.pixels, frame.time)
    assert about.time_base == Fraction(1, 1000)
    assert [frame.time for frame in given] == times == [frame.time for frame in read(path)]


def test_the_rate_is_exact(tmp_path):
    path = write(tmp_path / "a.mp4", "h264", frames(np.uint8), rate=Fraction(30000, 1001))
    with opened(path) as reading:
        assert reading.about.rate == Fraction(30000, 1001)
        assert [frame.time for frame in reading][3] == 3 * Fraction(1001, 30000)


def test_another_rate_than_that_of_the_clip_before(tmp_path):
    """Whose clock cannot tell beats of 1/30 second."""
    coarse = About("", (14, 18), 3, 8, Fraction(24), time_base=Fraction(1, 24))
    path = write(tmp_path / "a.mkv", "ffv1", frames(np.uint8, count=7), rate=30, like=coarse)
    assert float(read(path)[-1].time) == pytest.approx(6 / 30, abs=1e-3)


def test_times_that_do_not_rise_are_moved_on(tmp_path):
    times = [Fraction(n, 24) for n in (0, 1, 1, 0, 4)]
    back = read(write(tmp_path / "a.mp4", "h264", frames(np.uint8), times))
    assert [frame.time * 24 for frame in back] == [0, 1, 2, 3, 4]


def even(colour: tuple[int, int, int], size: tuple[int, int] = (16, 32)) -> np.ndarray:
    return np.full((*size, 3), colour, np.uint8)


@pytest.mark.parametrize("format", ["h264", "prores"])
def test_colours_are_what_the_file_says_they_are(tmp_path, format):
    path = write(tmp_path / f"a{suffix_of(format)}", format, [even((200, 40, 90))] * 2)
    with opened(path) as reading:
        assert reading.about.colours.space == reading.about.colours.primaries == 1  # BT.709
        pixels = next(iter(reading)).pixels
    pixels = pixels / np.iinfo(pixels.dtype).max * 255
    assert np.abs(pixels - (200, 40, 90)).max() < 3


@pytest.mark.parametrize("space", [2, 6])  # what is not told, and BT.601
def test_colours_are_meant_as_those_of_the_clip_before(tmp_path, space):
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=24, options={"crf": "1"})
        stream.height, stream.width, stream.pix_fmt = 16, 32, "yuv420p"
        stream.codec_context.colorspace = space
        frame = av.VideoFrame.from_ndarray(even((200, 40, 90)), format="rgb24")
        container.mux(stream.encode(frame.reformat(format="yuv420p", dst_colorspace=6)))
        container.mux(stream.encode(None))
    with opened(tmp_path / "a.mp4") as reading:
        about, [frame] = reading.about, reading
    write(tmp_path / "b.mp4", "h264", [frame.pixels], like=about)
    luma = [plane(tmp_path / name) for name in ("a.mp4", "b.mp4")]
    assert abs(luma[0] - luma[1]) < 1.5
    with opened(tmp_path / "b.mp4") as reading:
        assert reading.about.colours.space == space


def plane(path) -> float:
    with av.open(str(path)) as container:
        return float(next(container.decode(video=0)).to_ndarray(format="yuv420p")[:16].mean())


def test_sides_that_are_odd(tmp_path):
    pictures = [even((90, 160, 30), (15, 17))] * 3
    [first, *_] = read(write(tmp_path / "a.mp4", "h264", pictures))
    assert (
        first.pixels.shape == (15, 17, 3)
        and np.abs(first.pixels - pictures[0].astype(int)).max() < 4
    )


def test_grey_becomes_three_channels(tmp_path):
    grey = np.linspace(0, 1, 16 * 16, dtype=np.float32).reshape(16, 16, 1)
    [frame] = read(write(tmp_path / "a.mkv", "ffv1_16", [grey]))
    assert np.array_equal(frame.pixels, np.rint(grey.astype(float) * 65535).repeat(3, 2))


def test_what_is_outside_of_the_range_is_clamped(tmp_path):
    picture = np.full((16, 16, 3), np.float32((-1, 0.5, 7)))
    [frame] = read(write(tmp_path / "a.mkv", "ffv1", [picture]))
    assert (frame.pixels == (0, 128, 255)).all()


@pytest.mark.parametrize("format", CODECS)
def test_the_same_frames_give_the_same_bytes(tmp_path, format):
    clip = read(ROOT / "workflows" / "inputs" / "fire.mp4")
    written = []
    for name in ("a", "b", "c"):
        path = tmp_path / f"{name}{suffix_of(format)}"
        write(path, format, [frame.pixels for frame in clip], rate=Fraction(24))
        written.append(path.read_bytes())
    assert written[0] == written[1] == written[2]


def test_text_is_kept(tmp_path):
    for format in ("h264", "ffv1"):
        text = {"prompt": '{"1": "ä"}', "workflow": "{}"}
        path = write(tmp_path / f"a{suffix_of(format)}", format, frames(np.uint8), text=text)
        with av.open(str(path)) as container:
            found = {key.lower(): value for key, value in container.metadata.items()}
        assert text.items() <= found.items()


@pytest.mark.parametrize("format", ["h264", "ffv1"])
def test_what_a_clip_tells_of_itself_is_kept(tmp_path, format):
    taken = {"creation_time": "2024-05-06T07:08:09.000000Z", "workflow": "old"}
    source = write(tmp_path / "a.mp4", "h264", frames(np.uint8), text=taken)
    with opened(source) as reading:
        about, pictures = reading.about, [frame.pixels for frame in reading]
    assert taken.items() <= about.text.items() and "encoder" not in about.text
    target = tmp_path / f"b{suffix_of(format)}"
    write(target, format, pictures, like=about, text={"workflow": "new"})
    with opened(target) as reading:
        found = {key.lower(): value for key, value in reading.about.text.items()}
    assert found == {**{k.lower(): v for k, v in about.text.items()}, "workflow": "new"}


@pytest.mark.parametrize("format", FORMATS)
def test_a_clip_appears_whole_or_not_at_all(tmp_path, format):
    path = tmp_path / f"a{suffix_of(format)}"
    if suffix_of(format):
        path.write_bytes(b"what was there")
    with pytest.raises(KeyboardInterrupt), writing(path, format) as output:
        for picture in frames(np.uint8, count=3):
            output.add(picture)
        raise KeyboardInterrupt
    if suffix_of(format):
        assert path.read_bytes() == b"what was there"
    assert os.listdir(tmp_path) == ([path.name] if suffix_of(format) else [])


def test_a_folder_is_never_mixed_with_another(tmp_path):
    write(tmp_path / "a", "png", frames(np.uint8))
    assert sorted(os.listdir(tmp_path / "a")) == [f"{n:06}.png" for n in range(1, 6)]
    with pytest.raises(FileExistsError, match="is there already"):
        write(tmp_path / "a", "png", frames(np.uint8))
    assert os.listdir(tmp_path) == ["a"] and len(os.listdir(tmp_path / "a")) == 5


def test_what_is_no_clip_is_refused(tmp_path):
    with pytest.raises(ValueError, match="'gif' is not one of h264, "):
        write(tmp_path / "a.gif", "gif", frames(np.uint8))
    with pytest.raises(ValueError, match="at least one frame"):
        write(tmp_path / "a.mp4", "h264", [])
    with pytest.raises(OSError):
        write(tmp_path / "nowhere" / "a.mp4", "h264", frames(np.uint8))
    assert not os.listdir(tmp_path)
