"""Clips come and go at their full depth, in memory and as streams."""

import json
import os
import subprocess
import sys
from fractions import Fraction
from io import BytesIO

import av
import numpy as np
import pytest
import torch

from internal_methods.headless import host
from internal_methods.nodes import clip_files, videos
from internal_methods.nodes.api import InputImpl, Types
from internal_methods.nodes.clip_files import LoadClip, SaveClip
from internal_methods.storage import clip_writer
from internal_methods.storage.clip_reader import BrokenOffError, opened
from internal_methods.storage.clip_writer import suffix_of, writing
from videos import write_video


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(host, "_user_data", lambda: tmp_path / "data")
    with host.hosting(host.Host(output=tmp_path / "out", inputs=(tmp_path,))):
        yield tmp_path


def noise(count: int = 6, channels: int = 3, top: int = 255) -> torch.Tensor:
    generator = torch.Generator().manual_seed(count)
    return torch.rand(count, 16, 20, channels, generator=generator).mul(top).round().div(top)


def load(clip, first_frame: int = 0, frames: int = 0, channels: str = "rgb"):
    return LoadClip.execute(clip, first_frame, frames, channels).args


def save(format: str, images=None, video=None, audio=None, fps: float = 12.0, prefix: str = "a"):
    shown = SaveClip.execute(prefix, format, fps, images, video, audio).ui.as_dict()
    assert ("animated" in shown) == (format == "h264")  # what the canvas can play
    [file] = shown["images"]
    return host.folder_of(file["type"]) / file["subfolder"] / file["filename"]


def from_file(path):
    return InputImpl.VideoFromFile(str(path))


def test_the_formats_are_those_that_can_be_written():
    assert tuple(clip_files.FORMATS) == clip_writer.FORMATS


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize(
    ("format", "top"), [("ffv1", 255), ("ffv1_16", 65535), ("png", 255), ("png16", 65535)]
)
def test_save_and_load_change_no_bit(folder, format, top, channels):
    images = noise(channels=channels, top=top)
    path = save(format, images, prefix="sub/a")
    assert path == folder / "out" / "sub" / f"a_00001_{suffix_of(format)}"
    back, mask, audio, fps = load(str(path), channels="rgba")
    assert torch.equal(back, images) and audio is None
    assert fps == (12 if suffix_of(format) else 24)
    assert torch.equal(mask, 1 - images[..., 3] if channels == 4 else torch.zeros(6, 16, 20))
    assert torch.equal(load(str(path))[0], images[..., :3])
    assert save(format, images, prefix="sub/a").name.startswith("a_00002_")


def test_exr_keeps_any_range(folder):
    images = noise() * 100 - 30
    assert torch.equal(load(str(save("exr", images)))[0], images)


def test_a_part_of_a_clip_with_its_sound(folder):
    wave = np.linspace(-1, 1, 16000, dtype=np.float32)[None]
    pixels = noise(50).mul(255).byte().numpy()
    write_video(folder / "a.mkv", pixels, rate=25, sound=wave)
    images, _, audio, fps = load("a.mkv", first_frame=5, frames=20)
    assert np.array_equal(images.mul(255).round().byte().numpy(), pixels[5:25]) and fps == 25
    assert audio["sample_rate"] == 8000
    assert np.array_equal(audio["waveform"][0].numpy(), wave[:, 1600:8000])
    with pytest.raises(ValueError, match="has 50 frames, none from frame 70 on"):
        load("a.mkv", first_frame=70)


def broken_off(path, sound: bool = False):
    """A video of 40 frames that ends before its end; says how many are there."""
    wave = np.linspace(-1, 1, 12800, dtype=np.float32)[None] if sound else None
    write_video(path, noise(40).mul(255).byte().numpy(), rate=25, sound=wave)
    data = path.read_bytes()
    path.write_bytes(data[: -len(data) // 5])
    with opened(path) as reading, pytest.raises(BrokenOffError):
        list(reading)
    assert 5 < reading.read < 35
    return reading.read


@pytest.mark.parametrize("sound", [False, True])
def test_of_a_clip_that_breaks_off_what_there_is_is_loaded(folder, caplog, sound):
    count = broken_off(folder / "a.mkv", sound)
    images, mask, *_ = load("a.mkv")
    assert len(images) == len(mask) == count
    assert torch.equal(images[:-2], noise(40)[: count - 2])
    [told] = [each for each in caplog.messages if "breaks off" in each]
    assert f"a.mkv breaks off: {count} of about 40 frames" in told
    caplog.clear()
    assert len(load("a.mkv", first_frame=1, frames=3)[0]) == 3 and not caplog.messages
    with pytest.raises(ValueError, match=f"has {count} frames, none from frame 38 on"):
        load("a.mkv", first_frame=38)


def test_a_video_that_breaks_off_is_refused_before_the_work(folder):
    broken_off(folder / "a.mkv")
    write_video(folder / "b.mkv", noise(40).mul(255).byte().numpy(), rate=25)
    broken, whole = from_file(folder / "a.mkv"), from_file(folder / "b.mkv")

    def process(*given):
        raise AssertionError("it should not be asked")

    for video, mask in ((broken, hole(1)), (whole, broken)):
        with pytest.raises(BrokenOffError, match=r"a.mkv breaks off: about \d+ of 40 frames"):
            fill(video, mask, process)
    with pytest.raises(BrokenOffError):
        save("ffv1", video=broken)
    assert not [*(folder / "out").glob("*.mkv")]


def test_load_sees_a_changed_clip_and_misses_a_missing_one(folder):
    write_video(folder / "a.mkv", np.zeros((2, 8, 8, 3), np.uint8))
    before = LoadClip.fingerprint_inputs("a.mkv", frames=0)
    assert LoadClip.fingerprint_inputs("a.mkv") == before
    write_video(folder / "a.mkv", np.zeros((5, 8, 8, 3), np.uint8))
    assert LoadClip.fingerprint_inputs("a.mkv") != before
    assert LoadClip.validate_inputs("a.mkv") is True
    assert "no file or folder 'b.mkv'" in LoadClip.validate_inputs("b.mkv")


def test_a_clip_for_the_canvas(folder):
    images = noise() * 0 + 0.4
    back, _, _, fps = load(str(save("h264", images, fps=29.97)))
    assert (back - images).abs().max() < 0.01 and fps == pytest.approx(29.97, abs=1e-6)


def test_saving_takes_one_clip(folder):
    video = InputImpl.VideoFromComponents(Types.VideoComponents(noise(), Fraction(5)))
    for given in ({}, {"images": noise(), "video": video}):
        with pytest.raises(ValueError, match="either images or a video"):
            save("ffv1", **given)


def test_a_saved_video_keeps_times_sound_and_says_what_made_it(folder):
    source = folder / "a.mkv"
    wave = np.linspace(-1, 1, 8000, dtype=np.float32)[None]
    write_video(source, noise().mul(255).byte().numpy(), rate=5, sound=wave)
    node = SaveClip.PREPARE_CLASS_CLONE({"PROMPT": {"1": {}}, "EXTRA_PNGINFO": {}})
    [file] = node.execute("b", "ffv1_16", 99, video=from_file(source)).ui.as_dict()["images"]
    path = folder / "out" / file["filename"]
    with opened(path) as reading:
        assert [frame.time for frame in reading] == [Fraction(n, 5) for n in range(6)]
        assert reading.about.sound
    with av.open(str(path)) as container:
        assert json.loads(container.metadata["PROMPT"]) == {"1": {}}


def test_frames_in_memory_are_a_video_too(folder):
    audio = {"waveform": torch.rand(1, 2, 8000), "sample_rate": 8000}
    images = noise(top=65535)
    parts = Types.VideoComponents(images, Fraction(6), audio)
    path = save("ffv1_16", video=InputImpl.VideoFromComponents(parts))
    back, _, sound, fps = load(str(path))
    assert torch.equal(back, images) and fps == 6 and sound["waveform"].shape[1] == 2


class Trimmed(InputImpl.VideoFromFile):
    """As newer ComfyUIs cut a video: the file is still the whole one."""

    def get_active_trim_window(self):
        return 0.2, 0.4

    def get_components(self):
        return Types.VideoComponents(noise()[1:3], Fraction(5))


def test_a_part_of_a_file_is_not_taken_for_all_of_it(folder):
    write_video(folder / "a.mkv", noise().mul(255).byte().numpy(), rate=5)
    back, *_ = load(str(save("ffv1", video=Trimmed(str(folder / "a.mkv")))))
    assert torch.equal(back, noise()[1:3])


def paint(clip, mask, carried, callback):
    """What it fills tells how many windows there were before."""
    count = 0 if carried is None else int(carried["count"])
    return torch.where(mask > 0, 0.25 * (count + 1), clip + 0.1), {"count": torch.tensor(count + 1)}


def fill(video, mask, process=paint, format: str = "ffv1_16", **options):
    settings = {"settings": {"paint": 1}, "device": torch.device("cpu"), "length": 5, "overlap": 2}
    return videos.filled(video, mask, process, format=format, **(settings | options))


def hole(count: int) -> torch.Tensor:
    mask = torch.zeros(count, 16, 20)
    mask[:, 4:9, 6:13] = 1
    return mask


@pytest.mark.parametrize("kind", ["one mask", "a mask each", "a video"])
def test_a_video_is_filled_window_by_window(folder, kind):
    images = noise(9)
    write_video(folder / "a.mkv", images.mul(255).byte().numpy(), rate=5)
    mask = hole(1 if kind == "one mask" else 9)
    if kind == "a video":
        painted = (235 * hole(9)[..., None].expand(-1, -1, -1, 3) + 10).byte().numpy()
        write_video(folder / "m.mkv", painted, rate=5)  # as lossy video greys black and white
        mask = from_file(folder / "m.mkv")
    with opened(videos.source_of(fill(from_file(folder / "a.mkv"), mask))) as reading:
        frames = torch.stack([videos.frame(read.pixels).movedim(0, -1) for read in reading])
    inside = hole(1)[0] > 0
    assert torch.equal(frames[:, ~inside], images[:, ~inside])
    windows = [0.25] * 5 + [0.5] * 3 + [0.75]
    assert torch.allclose(frames[:, 5, 8, 0], torch.tensor(windows), atol=1e-4)


def test_masks_that_do_not_fit_are_refused(folder):
    write_video(folder / "a.mkv", noise(9).mul(255).byte().numpy(), rate=5)
    write_video(folder / "m.mkv", np.zeros((9, 16, 22, 3), np.uint8))
    write_video(folder / "n.mkv", np.zeros((4, 16, 20, 3), np.uint8))
    video = from_file(folder / "a.mkv")
    for mask, told in (
        (hole(8), "fewer frames than the clip"),
        (hole(10), "more frames than the clip, which has 9"),
        (hole(9)[:, :, 1:], "mask is 19x16, but the image is 20x16"),
        (from_file(folder / "m.mkv"), "mask is 22x16, but the clip is 20x16"),
        (from_file(folder / "n.mkv"), "fewer frames"),
    ):
        with pytest.raises(ValueError, match=told):
            fill(video, mask)
    in_memory = InputImpl.VideoFromComponents(Types.VideoComponents(noise(9), Fraction(5)))
    with pytest.raises(ValueError, match="the mask has 5 frames, the clip 9"):
        fill(in_memory, hole(5))


def test_a_run_that_is_cancelled_goes_on_with_the_same_bytes(folder):
    write_video(folder / "a.mkv", noise(20).mul(255).byte().numpy(), rate=5)
    video, calls = from_file(folder / "a.mkv"), []

    def cancelled(clip, mask, carried, callback):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return paint(clip, mask, carried, callback)

    wanted = videos.source_of(fill(video, hole(1), format="h264")).read_bytes()
    with pytest.raises(KeyboardInterrupt):
        fill(video, hole(1), cancelled, format="h264")
    assert videos.source_of(fill(video, hole(1), cancelled, format="h264")).read_bytes() == wanted
    assert len(calls) == 3 + 4  # of six windows two were kept


def test_progress_is_of_the_whole_clip(folder):
    from internal_methods.methods.steps import Step

    write_video(folder / "a.mkv", noise(9).mul(255).byte().numpy(), rate=5)
    shares = []

    def half(clip, mask, carried, callback):
        callback(Step(1, 2, 0, 1, clip[:, :, 0]))
        return clip, None

    watched = host.Host(
        output=folder / "out", inputs=(folder,), progress=lambda a, b: shares.append(a / b)
    )
    with host.hosting(watched):
        fill(from_file(folder / "a.mkv"), hole(1), half)
    assert shares == sorted(shares) and shares[-1] == 1 and len(shares) > 9


@pytest.mark.parametrize("where", ["in a file", "in memory"])
def test_the_sound_goes_along(folder, where):
    with writing(
        folder / "a.mp4", "h264", rate=Fraction(10), sound=(np.ones((1, 8000)), 8000)
    ) as out:
        for picture in noise(10).numpy():
            out.add(picture)
    video = from_file(folder / "a.mp4")
    if where == "in memory":
        video = InputImpl.VideoFromFile(BytesIO((folder / "a.mp4").read_bytes()))
    filled = fill(video, hole(1), format="h264")
    kinds = []
    for path in (folder / "a.mp4", videos.source_of(filled)):
        with av.open(str(path)) as container:
            kinds.append([bytes(p) for p in container.demux(container.streams.audio[0]) if p.size])
    assert kinds[0] == kinds[1] and kinds[0]


KILLED = """
import os, signal, sys, torch
from pathlib import Path
from internal_methods.headless import host
from internal_methods.nodes import videos
from internal_methods.nodes.api import InputImpl

folder, at = Path(sys.argv[1]), int(sys.argv[2])
host._user_data = lambda: folder / "data"
calls = []

def process(clip, mask, carried, callback):
    calls.append(1)
    if len(calls) == at:
        os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
    return torch.where(mask > 0, clip.mean((-1, -2), keepdim=True), clip), None

mask = torch.zeros(1, 16, 20)
mask[:, 4:9, 6:13] = 1
with host.hosting(host.Host(output=folder / "out")):
    made = videos.filled(
        InputImpl.VideoFromFile(str(folder / "a.mkv")), mask, process, settings=None,
        device=torch.device("cpu"), length=5, overlap=2, format="h264",
    )
    (folder / f"{at}.mp4").write_bytes(Path(made.file).read_bytes())
print(len(calls))
"""


def test_a_run_that_is_killed_goes_on_with_the_same_bytes(folder):
    write_video(folder / "a.mkv", noise(14).mul(255).byte().numpy(), rate=5)

    def run(at: int):
        command = [sys.executable, "-c", KILLED, str(folder), str(at)]
        alone = {**os.environ, "OMP_NUM_THREADS": "1"}
        return subprocess.run(command, capture_output=True, text=True, env=alone)

    killed = run(3)
    assert killed.returncode and not killed.stdout
    again = run(99)
    assert again.stdout.strip() == "2", again.stderr  # of four windows two were kept
    calls = []

    def process(clip, mask, carried, callback):
        calls.append(1)
        return torch.where(mask > 0, clip.mean((-1, -2), keepdim=True), clip), None

    made = fill(from_file(folder / "a.mkv"), hole(1), process, format="h264", settings=None)
    assert len(calls) == 4
    assert (folder / "99.mp4").read_bytes() == videos.source_of(made).read_bytes()
