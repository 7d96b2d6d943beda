"""Cuts are found, and what merely moves is none."""

import pytest
import torch

from internal_methods.methods.video import is_cut
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
