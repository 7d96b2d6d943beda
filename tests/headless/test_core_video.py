"""The stand-ins for ComfyUI's video nodes; tests/comfyui compares them with the real ones."""

import json

import av
import numpy as np
import pytest
import torch
from PIL import Image

import canvas
from internal_methods.headless import core_video, host
from internal_methods.headless.command import main
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


def pictures(count: int = 4) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (count, 16, 20, 3), dtype=np.uint8)


def saved(video, prefix: str = "out/a", format: str = "auto", codec: str = "auto", hidden=None):
    """The path of what Save Video writes."""
    node = core_video.SaveVideo.PREPARE_CLASS_CLONE(hidden or {})
    shown = node.execute(video, prefix, format, codec).ui.as_dict()
    [file] = shown["images"]
    assert shown["animated"] == (True,)
    return host.folder_of(file["type"]) / file["subfolder"] / file["filename"]


def packets(path) -> list[tuple[str, bytes]]:
    with av.open(str(path)) as container:
        return [(packet.stream.type, bytes(packet)) for packet in container.demux() if packet.size]


def test_a_file_is_saved_packet_by_packet_with_the_workflow(folder):
    wave = np.linspace(-1, 1, 4000, dtype=np.float32)[None]
    write_video(folder / "a.mp4", pictures(), "libx264", "yuv420p", sound=wave)
    [video] = core_video.LoadVideo.execute("a.mp4")
    hidden = {"PROMPT": {"1": {}}, "EXTRA_PNGINFO": {"workflow": {"nodes": []}}}
    path = saved(video, hidden=hidden)
    assert path == folder / "out" / "out" / "a_00001_.mp4"
    assert sorted(packets(path)) == sorted(packets(folder / "a.mp4"))
    with av.open(str(path)) as container:
        assert container.metadata["prompt"] == '{"1": {}}'
        assert container.metadata["workflow"] == '{"nodes": []}'
    assert saved(video).name == "a_00002_.mp4"


def test_another_codec_is_encoded_from_the_frames(folder):
    smooth = np.ascontiguousarray(pictures()[:, :1, :1].repeat(16, 1).repeat(20, 2))
    write_video(folder / "a.mkv", smooth, rate=12)
    [video] = core_video.LoadVideo.execute("a.mkv")
    with av.open(str(saved(video, codec="h264"))) as container:
        assert container.streams.video[0].codec.name == "h264"
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        assert container.streams.video[0].average_rate == 12
    assert np.abs(np.asarray(frames, int) - smooth).max() < 6


def test_a_folder_of_pictures_is_a_clip(folder):
    (folder / "shot").mkdir()
    for number, picture in enumerate(pictures()):
        Image.fromarray(picture).save(folder / "shot" / f"{number}.png")
    assert core_video.LoadVideo.validate_inputs("shot") is True
    images, audio, _ = components("shot")
    assert np.array_equal(images.mul(255).round().byte().numpy(), pictures()) and audio is None
    [video] = core_video.LoadVideo.execute(str(folder / "shot"))
    with av.open(str(saved(video))) as container:
        assert container.streams.video[0].average_rate == 24
        assert len(list(container.decode(video=0))) == 4


def test_frames_and_sound_become_a_video(folder):
    images = torch.from_numpy(pictures(24)) / 255
    audio = {"waveform": torch.rand(1, 1, 48000) - 0.5, "sample_rate": 16000}
    [video] = core_video.CreateVideo.execute(images, 12.0, audio)
    assert core_video.GetVideoComponents.execute(video)[0] is images
    frames, sound, fps = components(str(saved(video)))
    assert frames.shape == images.shape and fps == 12
    seconds = sound["waveform"].shape[-1] / sound["sample_rate"]
    assert sound["sample_rate"] == 16000 and seconds == pytest.approx(2, abs=0.2)  # not 3


def test_nothing_is_left_where_saving_fails(folder):
    path = write_video(folder / "a.mkv", pictures(60))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    [video] = core_video.LoadVideo.execute("a.mkv")
    with pytest.raises(ClipError, match="breaks off"):
        saved(video, codec="h264")
    assert not list((folder / "out" / "out").iterdir())


def test_what_only_passes_is_gone_after_the_run(tmp_path):
    with host.hosting(host.Host(output=tmp_path)):
        path = host.passing_file(".mp4")
        path.write_bytes(b"something")
        assert path.parent == tmp_path / "temp" and host.passing_file(".mp4") != path
    assert not list((tmp_path / "temp").iterdir())


def video_and_save() -> dict:
    """A workflow that loads a video and saves it: titles Clip and Result."""
    load = {
        "id": 1,
        "type": "LoadVideo",
        "title": "Clip",
        "outputs": [{"name": "VIDEO", "type": "VIDEO", "links": [1]}],
        "widgets_values": ["not_there.mp4", "image"],
    }
    save = {
        "id": 2,
        "type": "SaveVideo",
        "title": "Result",
        "inputs": [{"name": "video", "type": "VIDEO", "link": 1}],
        "widgets_values": ["video/kept", "auto", "auto"],
    }
    return canvas.canvas([load, save], [[1, 1, 0, 2, 0, "VIDEO"]])


@pytest.mark.parametrize("kind", ["a file elsewhere", "a folder elsewhere", "a folder here"])
def test_any_path_can_be_set_as_the_clip(tmp_path, monkeypatch, capsys, kind):
    job, elsewhere = tmp_path / "job", tmp_path / "shots"
    for made in (job / "0420", elsewhere / "0420"):
        made.mkdir(parents=True)
        for number, picture in enumerate(pictures()):
            Image.fromarray(picture).save(made / f"shot_{number + 8}.png")
    write_video(elsewhere / "a.mp4", pictures(), "libx264", "yuv420p", rate=24)
    canvas.write(job, video_and_save())
    monkeypatch.chdir(job)
    clip = {"a file elsewhere": elsewhere / "a.mp4", "a folder elsewhere": elsewhere / "0420"}
    command = ["run", "job.json", "--set", f"Clip.file={clip.get(kind, '0420')}", "--json"]
    assert main(command) == 0
    [output] = json.loads(capsys.readouterr().out)["outputs"]
    assert output["files"] == [str(job / "output" / "video" / "kept_00001_.mp4")]
    with av.open(output["files"][0]) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        assert json.loads(container.metadata["workflow"])["version"] == 0.4
    order = [np.abs(frame.astype(int) - pictures()).mean((1, 2, 3)).argmin() for frame in frames]
    assert order == [0, 1, 2, 3]


def test_a_missing_or_broken_clip_is_the_users(tmp_path, monkeypatch, capsys):
    canvas.write(tmp_path, video_and_save())
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.mp4").write_bytes(b"0" * 999)
    (tmp_path / "empty").mkdir()
    for name, told in (
        ("not_there.mp4", "no file or folder 'not_there.mp4'"),
        ("broken.mp4", "broken.mp4 is no video"),
        ("empty", "empty holds no pictures"),
    ):
        assert main(["run", "job.json", "--set", f"Clip.file={name}"]) == 2
        assert told in capsys.readouterr().err
