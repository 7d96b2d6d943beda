"""Cuts are found, and what merely moves is none."""

import pytest
import torch
import torch.nn.functional as F

from internal_methods.methods.video import SceneCuts, is_cut, scene_cuts
from internal_methods.methods.video.scenes import FLASH
from internal_methods.storage import clips
from internal_methods.storage.clip_reader import opened
from internal_methods.storage.pictures import as_float
from shared import ROOT, shared

INPUTS = ROOT / "workflows" / "inputs"


def frames_of(path) -> list[torch.Tensor]:
    return list(torch.from_numpy(clips.read(path)[0]).movedim(-1, 1))


@pytest.mark.parametrize("name", ["harbour.mp4", "fire.mp4", "pond.mp4"])
def test_a_scene_is_one(name):
    frames = frames_of(INPUTS / name)
    assert not any(is_cut(*pair) for pair in zip(frames, frames[1:], strict=False))


def test_one_clip_after_another_is_a_cut():
    ends = [frames_of(INPUTS / name)[3] for name in ("harbour.mp4", "fire.mp4", "pond.mp4")]
    assert all(is_cut(a, b) for a in ends for b in ends if a is not b)


def test_getting_lighter_is_none():
    frame = frames_of(INPUTS / "pond.mp4")[0]
    assert not is_cut(frame, frame * 1.1)


@pytest.mark.parametrize("name", ["bmx-trees", "parkour", "tennis"])
def test_a_moving_camera_is_none(name):
    with opened(shared(f"video/{name}/frames")) as reading:
        frames = [torch.from_numpy(as_float(f.pixels)).movedim(-1, 0) for f in reading][:40]
    assert not any(is_cut(*pair) for pair in zip(frames, frames[1:], strict=False))


def clip_of(*parts: list[torch.Tensor]) -> torch.Tensor:
    return torch.stack([frame for part in parts for frame in part], 1)[None]


def shipped(name: str, count: int) -> list[torch.Tensor]:
    return frames_of(INPUTS / name)[:count]


def test_all_cuts_of_a_clip_are_found():
    """Scenes of several lengths, one of them of two frames, one at the very end."""
    parts = [
        [F.interpolate(f[None], (96, 128), mode="area")[0] for f in shipped(name, count)]
        for name, count in [("harbour.mp4", 9), ("fire.mp4", 2), ("pond.mp4", 8), ("fire.mp4", 1)]
    ]
    assert scene_cuts(clip_of(*parts)) == [9, 11, 19]


@pytest.mark.parametrize("length", [1, 3])
def test_a_flash_is_no_scene(length):
    frames = shipped("harbour.mp4", 12)
    for t in range(5, 5 + length):
        frames[t] = (frames[t] * 0.3 + 0.7).clamp(0, 1)
    assert is_cut(frames[4], frames[5])
    assert scene_cuts(clip_of(frames)) == []


def test_something_close_that_passes_is_no_scene():
    frames = shipped("harbour.mp4", 10)
    frames[4] = frames[4] * 0 + 0.1
    assert scene_cuts(clip_of(frames)) == []


def test_a_clip_that_stays_lit_begins_a_scene():
    frames = shipped("harbour.mp4", 12)
    lit = [(frame * 0.2 + 0.8) for frame in frames[5:]]
    assert scene_cuts(clip_of(frames[:5], lit)) == [5]


def test_a_stream_tells_a_cut_while_it_runs():
    frames, cuts = shipped("pond.mp4", 5), SceneCuts()
    frames += [1 - frame for frame in frames]
    told = [cuts.feed(frame) for frame in frames]
    assert [t for t, found in enumerate(told) if found] == [5 + FLASH - 1]
    assert told[5 + FLASH - 1] == [5] and cuts.finish() == []


@pytest.mark.parametrize("name", ["bmx-trees", "parkour", "tennis"])
def test_a_splice_is_the_only_cut(name):
    with opened(shared(f"video/{name}/frames")) as reading:
        frames = [torch.from_numpy(as_float(f.pixels)).movedim(-1, 0) for f in reading][:20]
    other = [F.interpolate(f[None], frames[0].shape[1:])[0] for f in shipped("harbour.mp4", 5)]
    assert scene_cuts(clip_of(frames, other)) == [len(frames)]


def test_it_can_be_interrupted():
    class Enough(Exception):
        pass

    def stop() -> None:
        raise Enough

    with pytest.raises(Enough):
        scene_cuts(clip_of(shipped("pond.mp4", 3)), poll=stop)
    with pytest.raises(ValueError, match="one by one"):
        scene_cuts(torch.zeros(2, 3, 4, 64, 64))
