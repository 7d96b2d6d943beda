"""Convolutions with first weights of our own."""

import pytest
import torch
import torch.nn.functional as F
from torch import Generator

from internal_methods.methods.convolution import seeded_convolution


@pytest.mark.parametrize("size", [1, 3])
def test_a_convolution_of_clips_is_torchs(size):
    made = seeded_convolution(4, 5, Generator().manual_seed(0), size=size, axes=3)
    clip = torch.randn(1, 4, 7, 9, 10, generator=Generator().manual_seed(1))
    there = F.conv3d(clip, made.weight, made.bias, padding=size // 2)
    torch.testing.assert_close(made(clip), there, rtol=0, atol=3e-5)


def test_a_loop_that_is_not_padded_in_time():
    made = seeded_convolution(4, 5, Generator().manual_seed(0), axes=3)
    made.padding = (0, 1, 1)
    clip = torch.randn(1, 4, 9, 8, 8, generator=Generator().manual_seed(1))
    there = F.conv3d(clip, made.weight, made.bias, padding=(0, 1, 1))
    torch.testing.assert_close(made(clip), there, rtol=0, atol=3e-5)
    assert made(clip).shape[2] == 7
