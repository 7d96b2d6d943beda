"""Remove from Video and Remove from Video File as nodes: frames, files, masks, and going on."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from internal_methods.headless import host
from internal_methods.methods import video as methods
from internal_methods.nodes.api import InputImpl
from internal_methods.nodes.video import RemoveFromVideo, RemoveFromVideoFile
from internal_methods.storage.clip_reader import opened
from videos import write_video

SETTINGS = {
    "engine": "auto",
    "trust": 0.2,
    "patch_size": 5,
    "diffusion_steps": 2,
    "seed": 0,
    "backend": "auto",
}
FILE = {"window": 8, "overlap": 2, "format": "ffv1"}
FRAMES, SIZE = 10, (48, 64)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(host, "_user_data", lambda: tmp_path / "data")
    with host.hosting(host.Host(output=tmp_path / "out", inputs=(tmp_path,))):
        yield tmp_path


def background() -> np.ndarray:
    """(H, W, 3) uint8, with detail at several sizes."""
    generator, made = torch.Generator().manual_seed(0), torch.zeros(1)
    for cells in (4, 8, 16, 32):
        grains = torch.rand(1, 3, cells, cells, generator=generator)
        made = made + F.interpolate(grains, SIZE, mode="bicubic")
    made = (made - made.min()) / (made.max() - made.min()) * 255
    return made[0].movedim(0, -1).round().byte().numpy()


def scene() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What there is, what a clip of it shows, (T, H, W, 3), and the mask of a passing thing."""
    clean = np.repeat(background()[None], FRAMES, 0)
    mask = np.zeros((FRAMES, *SIZE), np.uint8)
    for t in range(FRAMES):
        mask[t, 18:30, 4 + 5 * t : 14 + 5 * t] = 255
    return clean, np.where(mask[..., None] > 0, 200, clean).astype(np.uint8), mask


def as_video(path, frames: np.ndarray):
    return InputImpl.VideoFromFile(str(write_video(path, frames)))


def as_mask(mask: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(mask / 255).float()


def read(video) -> np.ndarray:
    with opened(Path(video.get_stream_source())) as reading:
        return np.stack([frame.pixels for frame in reading])


def remove_from_file(video, mask=None, mask_video=None, **changes):
    settings = SETTINGS | FILE | changes
    return read(
        RemoveFromVideoFile.execute(video, mask=mask, mask_video=mask_video, **settings).args[0]
    )


def test_a_batch_of_frames_is_filled_and_its_map_told():
    clean, shown, mask = scene()
    image = torch.from_numpy(shown / 255).float()
    filled, engines, words = RemoveFromVideo.execute(image, as_mask(mask), **SETTINGS).args
    known = mask == 0
    assert torch.equal(filled[known], image[known])
    assert (filled - torch.from_numpy(clean / 255)).abs().max() < 0.05
    assert engines.shape == image.shape and "flow" in words


def test_a_file_is_filled_window_by_window_and_stays_to_the_bit_elsewhere(folder):
    clean, shown, mask = scene()
    made = remove_from_file(as_video(folder / "clip.mkv", shown), as_mask(mask))
    known = mask == 0
    assert np.array_equal(made[known], shown[known])
    assert np.abs(made.astype(int) - clean).max() < 20


def test_a_mask_may_be_a_video(folder):
    _, shown, mask = scene()
    video = as_video(folder / "clip.mkv", shown)
    drawn = as_video(folder / "mask.mkv", np.repeat(mask[..., None], 3, 3))
    assert np.array_equal(
        remove_from_file(video, as_mask(mask)), remove_from_file(video, mask_video=drawn)
    )


def test_a_run_that_was_broken_off_goes_on_to_the_same_bytes(folder, monkeypatch):
    _, shown, mask = scene()
    video = as_video(folder / "clip.mkv", shown)
    whole = remove_from_file(video, as_mask(mask), seed=1)
    real, asked = methods.remove, []

    def breaks_off(clip, *arguments, **settings):
        asked.append(clip.shape[2])
        if len(asked) == 2:
            raise KeyboardInterrupt
        return real(clip, *arguments, **settings)

    monkeypatch.setattr(methods, "remove", breaks_off)
    with pytest.raises(KeyboardInterrupt):
        remove_from_file(video, as_mask(mask), seed=2)
    assert len(asked) == 2
    after = remove_from_file(video, as_mask(mask), seed=2)
    assert len(asked) == 3  # the first window was kept
    monkeypatch.setattr(methods, "remove", real)
    assert np.array_equal(after, remove_from_file(video, as_mask(mask), seed=2))
    assert whole.shape == after.shape


def tight(mask: np.ndarray) -> np.ndarray:
    """The mask without its outermost two pixels."""
    return np.stack([cv2.erode(frame, np.ones((5, 5), np.uint8)) for frame in mask])


def test_a_tight_mask_grows_over_what_it_left_out():
    clean, shown, mask = scene()
    image = torch.from_numpy(shown / 255).float()
    known, wanted = mask == 0, torch.from_numpy(clean / 255)
    given = as_mask(tight(mask))
    left, *_ = RemoveFromVideo.execute(image, given, **SETTINGS).args
    assert (left - wanted).abs().max() > 0.3  # an outline of what was to go
    filled, *_ = RemoveFromVideo.execute(image, given, **SETTINGS, grow_mask=2).args
    assert torch.equal(filled[known], image[known])
    assert (filled - wanted).abs().max() < 0.05
    same, *_ = RemoveFromVideo.execute(image, as_mask(mask), **SETTINGS, grow_mask=0).args
    assert torch.equal(filled, same)


@pytest.mark.parametrize("kind", ["one mask", "a mask each", "a video"])
def test_masks_of_files_grow_frame_by_frame(folder, kind):
    _, shown, mask = scene()
    mask = mask[:1] if kind == "one mask" else mask
    video, given = as_video(folder / "clip.mkv", shown), {"mask": as_mask(tight(mask))}
    if kind == "a video":
        drawn = np.repeat(tight(mask)[..., None], 3, 3)
        given = {"mask_video": as_video(folder / "mask.mkv", drawn)}
    filled = remove_from_file(video, **given, grow_mask=2)
    assert np.array_equal(filled, remove_from_file(video, as_mask(mask)))
    known = np.broadcast_to(mask == 0, shown.shape[:3])
    assert np.array_equal(filled[known], shown[known])
    assert not np.array_equal(filled, remove_from_file(video, **given))


def test_masks_that_do_not_fit_are_named(folder):
    _, shown, mask = scene()
    video = as_video(folder / "clip.mkv", shown)
    with pytest.raises(ValueError, match="either mask or mask_video"):
        remove_from_file(video)
    with pytest.raises(ValueError, match="either mask or mask_video"):
        remove_from_file(video, as_mask(mask), video)
    with pytest.raises(ValueError, match="fewer frames than the clip"):
        remove_from_file(video, as_mask(mask[:9]))
    with pytest.raises(ValueError, match="32x48, but the"):
        remove_from_file(video, as_mask(mask[:, :, :32]))
