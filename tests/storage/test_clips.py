import av
import numpy as np
import pytest
from PIL import Image

from internal_methods.storage.clip_reader import ClipError
from internal_methods.storage.clips import is_clip, read, sound
from videos import write_video


def frames(dtype=np.uint8, channels: int = 3, size: tuple[int, int] = (16, 18)) -> np.ndarray:
    top = np.iinfo(dtype).max
    shape = (4, *size, channels)
    return np.random.default_rng(0).integers(0, top, shape, dtype=dtype, endpoint=True)


@pytest.mark.parametrize(
    ("dtype", "channels", "pixels"),
    [(np.uint8, 3, "bgr0"), (np.uint16, 3, "gbrp16le"), (np.uint8, 4, "bgra")],
    ids=["8 bits", "16 bits", "alpha"],
)
def test_lossless_video_comes_back_bit_for_bit(tmp_path, dtype, channels, pixels):
    pictures = frames(dtype, channels)
    clip, rate = read(write_video(tmp_path / "a.mkv", pictures, pixels=pixels))
    assert clip.dtype == np.float32 and rate == 25
    assert np.array_equal(clip, (pictures / np.float32(np.iinfo(dtype).max)).astype(np.float32))


def test_eight_bits_drop_depth_and_alpha(tmp_path):
    pictures = frames(channels=4)
    write_video(tmp_path / "a.mkv", pictures, pixels="bgra")
    clip, _ = read(tmp_path / "a.mkv", as_comfyui=True)
    assert np.array_equal(np.rint(clip * 255), pictures[..., :3])
    deep = frames(np.uint16)
    write_video(tmp_path / "b.mkv", deep, pixels="gbrp16le")
    clip, _ = read(tmp_path / "b.mkv", as_comfyui=True)
    assert np.array_equal(np.rint(clip * 255) / np.float32(255), clip)
    assert np.abs(clip - deep / 65535).max() < 2 / 255  # FFmpeg dithers


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv", "avi"])
def test_common_containers(tmp_path, suffix):
    smooth = np.broadcast_to(np.linspace(40, 200, 32, dtype=np.uint8)[:, None], (5, 32, 32, 32))
    smooth = np.ascontiguousarray(smooth[..., :3])
    path = write_video(tmp_path / f"a.{suffix}", smooth, "libx264", "yuv420p", rate=12, crf="4")
    clip, rate = read(path)
    assert clip.shape == (5, 32, 32, 3) and rate == 12
    assert np.abs(clip - smooth / 255).max() < 0.03


def test_a_folder_is_read_in_the_order_of_its_numbers(tmp_path):
    pictures = frames()
    for number, picture in zip((9, 10, 100, 101), pictures, strict=True):
        Image.fromarray(picture).save(tmp_path / f"shot2_{number}.png")
    (tmp_path / "notes.txt").write_text("no picture")
    clip, rate = read(tmp_path)
    assert rate is None
    assert np.array_equal(clip, (pictures / np.float32(255)).astype(np.float32))


def test_a_folder_of_two_sizes_is_refused_with_both_names(tmp_path):
    Image.new("RGB", (8, 6)).save(tmp_path / "1.png")
    Image.new("RGB", (9, 6)).save(tmp_path / "2.png")
    with pytest.raises(ClipError, match=r"1\.png is 8x6 with 3.*2\.png is 9x6 with 3"):
        read(tmp_path)


def test_a_folder_without_pictures_is_refused(tmp_path):
    with pytest.raises(ClipError, match="holds no pictures"):
        read(tmp_path)


def test_broken_files_say_which_they_are(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"no video at all" * 100)
    with pytest.raises(ClipError, match=r"a\.mp4 is no video, or a broken one"):
        read(tmp_path / "a.mp4")
    whole = write_video(tmp_path / "b.mp4", frames(), "libx264", "yuv444p").read_bytes()
    (tmp_path / "b.mp4").write_bytes(whole[: len(whole) // 2])  # without its table of contents
    with pytest.raises(ClipError, match=r"b\.mp4"):
        read(tmp_path / "b.mp4")
    with pytest.raises(FileNotFoundError, match=r"c\.mp4"):
        read(tmp_path / "c.mp4")


def test_sound_without_pictures_is_no_clip(tmp_path):
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        track = container.add_stream("pcm_f32le", rate=8000)
        part = av.AudioFrame.from_ndarray(np.zeros((1, 80), np.float32), "flt", "mono")
        part.sample_rate, part.pts = 8000, 0
        container.mux(track.encode(part))
        container.mux(track.encode(None))
    with pytest.raises(ClipError, match="holds no video, only audio"):
        read(tmp_path / "a.mkv")


def test_sound_comes_back_as_it_is_stored(tmp_path):
    wave = np.random.default_rng(1).uniform(-1, 1, (1, 800)).astype(np.float32)
    with_sound = write_video(tmp_path / "a.mkv", frames(), sound=wave)
    samples, rate = sound(with_sound)
    assert rate == 8000 and np.array_equal(samples, wave)
    assert sound(write_video(tmp_path / "b.mkv", frames())) is None


def test_what_is_taken_for_a_clip(tmp_path):
    assert is_clip(tmp_path) and is_clip(tmp_path / "A.MP4") and is_clip("x.webm")
    assert not is_clip(tmp_path / "a.png") and not is_clip("mask")
