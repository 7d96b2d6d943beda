"""How much is copied: pictures put together from known pieces."""

import pytest
import torch

from internal_methods.methods import generate
from internal_methods.methods.metrics.copying import copy_one_shift, copy_rate


def picture(height=40, width=44, seed=0):
    return torch.rand((1, 3, height, width), generator=torch.Generator().manual_seed(seed))


def test_a_copy_is_one_and_noise_is_none():
    reference = picture()
    images = torch.cat([reference, picture(seed=1)])
    for metric in (copy_rate, copy_one_shift):
        assert metric(images, reference).tolist() == [1, 0]
        assert metric(reference[..., 3:30, 7:40], reference).item() == 1  # moved
        assert metric(reference + 0.5 / 255, reference).item() == 1  # rounded
        assert metric(reference + 5 / 255, reference).item() == 0  # made lighter
        grey = torch.full((1, 3, 20, 20), 0.5)
        assert metric(grey, grey).item() == 1


def test_two_pieces_meet_at_a_seam():
    """Columns 0 to 19 and 14 to 37 of the reference: 15 + 19 of 39 centres of 5 are whole."""
    reference = picture()
    image = torch.cat([reference[..., :20], reference[..., 14:38]], dim=3)
    wanted = (16 + 20) / 40
    assert copy_rate(image, reference, patch_size=5).item() == pytest.approx(wanted)
    assert copy_one_shift(image, reference, patch_size=5).item() == pytest.approx(20 / 40)


def test_a_region_counts_its_own_centres():
    reference = picture()
    image = reference.clone()
    image[..., 20:] = picture(seed=1)[..., 20:]
    region = torch.zeros(1, 1, 40, 44)
    region[..., 10:30, 8:28] = 1  # columns 8 to 17 have whole patches of 5 in the copied part
    for metric in (copy_rate, copy_one_shift):
        found = metric(image, reference, patch_size=5, region=region).item()
        assert found == pytest.approx(10 / 20)


def test_generation_copies_in_pieces():
    coarse = torch.rand((1, 3, 12, 12), generator=torch.Generator().manual_seed(4))
    reference = torch.nn.functional.interpolate(coarse, (64, 64), mode="bicubic").clamp(0, 1)
    made = generate(reference, scales=2, patch_size=7)
    rate = copy_rate(made, reference, patch_size=7).item()
    one = copy_one_shift(made, reference, patch_size=7).item()
    assert 0.01 < one < rate < 0.99 and rate > 0.1
