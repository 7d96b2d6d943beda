"""The stand-ins for ComfyUI's video nodes; tests/comfyui compares them with the real ones."""

import numpy as np
import pytest

from internal_methods.headless import core_video, host
from internal_methods.storage.clip_reader import ClipError
from videos import write_video


@pytest.fixture
def folder(tmp_path):
    with host.hosting(host.Host(output=tmp_path / "out", inputs=(tmp_path,))):
        yield tmp_path


def components(name: str) -> tuple:
    [video] = core_video.LoadVideo.execute(name)
    return core_video.GetVideoComponents.execute(video)


def test_a_video_becomes_a_batch_of_frames_with_its_sound(folder):
    frames = np.random.default_rng(0).integers(0, 256, (3, 10, 14, 3), dtype=np.uint8)
    wave = np.linspace(-1, 1, 400, dtype=np.float32)[None]
    write_video(folder / "a.mkv", frames, rate=12, sound=wave)
    images, audio, fps = components("a.mkv")
    assert np.array_equal(images.mul(255).round().byte().numpy(), frames)
    assert audio["sample_rate"] == 8000 and np.array_equal(audio["waveform"][0].numpy(), wave)
    assert fps == 12.0


def test_a_mute_video_has_no_audio(folder):
    write_video(folder / "a.mkv", np.zeros((2, 8, 8, 3), np.uint8))
    assert components("a.mkv")[1] is None


def test_a_missing_file_is_told_before_the_run(folder):
    assert "nowhere.mp4" in core_video.LoadVideo.validate_inputs("nowhere.mp4")


def test_a_broken_file_is_told_by_its_name(folder):
    (folder / "a.mp4").write_bytes(b"0" * 1000)
    with pytest.raises(ClipError, match=r"a\.mp4"):
        components("a.mp4")
