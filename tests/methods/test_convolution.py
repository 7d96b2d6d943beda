"""Convolutions of clips: the way round torch's slow kernels gives what torch gives."""

import pytest
import torch
import torch.nn.functional as F
from torch import Generator

from internal_methods.methods.convolution import SMALL, seeded_convolution


@pytest.mark.parametrize("frames", [1, 2, 7, 12])
@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last_3d])
def test_one_clip_in_halves_is_the_clip_as_a_whole(frames, size, layout):
    made = seeded_convolution(4, 5, Generator().manual_seed(0), size=size, axes=3)
    clip = torch.randn(1, 4, frames, 9, 8, generator=Generator().manual_seed(1))
    clip = clip.contiguous(memory_format=layout)
    assert clip.shape[1:4].numel() <= SMALL
    ours, theirs = clip.clone().requires_grad_(), clip.clone().requires_grad_()
    here = made(ours)
    there = F.conv3d(theirs, made.weight, made.bias, padding=size // 2)
    torch.testing.assert_close(here, there)
    grads = [
        torch.autograd.grad((out * out).sum(), [seen, *made.parameters()])
        for out, seen in ((here, ours), (there, theirs))
    ]
    torch.testing.assert_close(*grads, rtol=1e-4, atol=1e-4)


def test_a_loop_that_is_not_padded_in_time():
    made = seeded_convolution(4, 5, Generator().manual_seed(0), axes=3)
    made.padding = (0, 1, 1)
    clip = torch.randn(1, 4, 9, 8, 8, generator=Generator().manual_seed(1))
    there = F.conv3d(clip, made.weight, made.bias, padding=(0, 1, 1))
    torch.testing.assert_close(made(clip), there)
    assert made(clip).shape[2] == 7
