"""Frames out of clips, and back."""

import numpy as np
import torch

from internal_methods.methods.video.frames import frame_of, grey_of, mask_of, put_in


def some(channels: int = 3) -> torch.Tensor:
    return torch.rand(2, channels, 4, 6, 8, generator=torch.Generator().manual_seed(0))


def test_a_frame_is_height_width_channels():
    clip = some(5)
    assert np.array_equal(frame_of(clip, 1, 2), clip[1, :, 2].permute(1, 2, 0).numpy())
    assert frame_of(clip.double(), 0, 0).dtype == np.float32


def test_one_mask_serves_all_frames_and_clips():
    mask = torch.zeros(1, 1, 1, 6, 8)
    mask[..., 2, 3] = 0.01
    found = mask_of(mask, 1, 3, (6, 8))
    assert found.dtype == np.uint8 and found[2, 3] == 255 and found.sum() == 255
    assert not mask_of(None, 0, 0, (6, 8)).any()


def test_brightness_is_luma():
    clip = some()
    expected = (clip[1, :, 3] * torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)).sum(0) * 255
    assert np.abs(grey_of(clip, 1, 3).astype(float) - expected.numpy()).max() <= 0.51


def test_a_fill_is_mixed_in_the_proportion_of_the_mask():
    clip = some()
    clip[0, 0, 1, 0, 0] = -0.0
    result, mask = clip.clone(), torch.zeros(1, 1, 1, 6, 8)
    mask[..., :2], mask[..., 2:4] = 1, 0.25
    fill = np.random.default_rng(0).random((6, 8, 3), np.float32)
    mask[..., 0, 0] = 0
    put_in(result, 0, 1, fill, mask)
    new, old = torch.from_numpy(fill).permute(2, 0, 1), clip[0, :, 1]
    assert torch.equal(result[0, :, 1, 1:, :2], new[:, 1:, :2])
    assert torch.allclose(result[0, :, 1, :, 2:4], 0.75 * old[..., 2:4] + 0.25 * new[..., 2:4])
    assert torch.equal(result[0, :, 1, :, 4:], old[..., 4:])
    assert torch.signbit(result[0, 0, 1, 0, 0])  # bit for bit: to the sign of a zero
    assert torch.equal(result[1], clip[1]) and torch.equal(result[0, :, 2], clip[0, :, 2])
