"""The alternation's bookkeeping: which patches are asked again, and what that leaves out."""

import threading

import numpy as np
import pytest
import torch
from scipy.ndimage import grey_dilation
from torch.nn import functional as F

from internal_methods.backends.threads import count, kernels_only
from internal_methods.methods import alternation, generate
from internal_methods.methods.alternation import upscaled, whole_patches
from internal_methods.methods.field import Field
from internal_methods.methods.morphology import grown


@pytest.mark.parametrize("patch_size", [1, 3, 11])
@pytest.mark.parametrize("wrap", [(False, False), (True, False), (True, True)])
def test_growing_by_half_a_patch_marks_every_pixel_of_the_patches(patch_size, wrap):
    mask = torch.rand((1, 1, 20, 15), generator=torch.Generator().manual_seed(1)) > 0.97
    half = patch_size // 2
    wanted = torch.zeros_like(mask)
    for y, x in mask[0, 0].nonzero().tolist():
        for i in range(y - half, y + half + 1):
            for j in range(x - half, x + half + 1):
                if (wrap[0] or 0 <= i < 20) and (wrap[1] or 0 <= j < 15):
                    wanted[0, 0, i % 20, j % 15] = True
    assert torch.equal(grown(mask, half, wrap), wanted)


def test_soft_masks_grow_as_they_are():
    mask = torch.rand(2, 1, 13, 17, generator=torch.Generator().manual_seed(0)) ** 8
    before = mask.clone()
    for by in (0, 1, 3, 20):
        size = (2 * by + 1, 2 * by + 1)
        wanted = [grey_dilation(each, size, mode="constant") for each in mask[:, 0].numpy()]
        assert np.array_equal(grown(mask, by)[:, 0].numpy(), wanted)
    turned = grown(mask.roll((5, 7), (2, 3)), 3, (True, True)).roll((-5, -7), (2, 3))
    assert torch.equal(turned, grown(mask, 3, (True, True)))
    assert torch.equal(mask, before)


def test_whole_patches_keep_off_the_border_that_is_not_wrapped():
    inner = whole_patches((8, 9), 5, (False, True), torch.device("cpu"))[0, 0]
    assert inner[2:6].all() and not inner[:2].any() and not inner[6:].any()


def test_the_border_band_of_a_finer_field_continues_the_coarse_one():
    """All patches moved by (3, -2): so does every whole patch on the finer scale, by (6, -4)."""
    y, x = torch.meshgrid(torch.arange(12), torch.arange(14), indexing="ij")
    inner = whole_patches((12, 14), 5, (False, False), torch.device("cpu"))
    moved = torch.stack([y + 3, x - 2]).int()[None, None].clamp(min=2)
    positions = torch.where(inner[:, :, None], moved, -1)
    distances = torch.where(inner, 1.0, torch.inf)
    field = Field(positions, distances, 5, (20, 14))
    queries = whole_patches((24, 28), 5, (False, False), torch.device("cpu"))
    fine = upscaled(field, (24, 28), (40, 28), queries).validate()
    assert torch.equal(fine.found, queries)
    offsets = fine.offsets()[0, 0, :, 2:22, 9:26]  # left of it the coarse clamp shows
    assert (offsets[0] == 6).all() and (offsets[1] == -4).all()


def test_asking_only_where_the_picture_moves_loses_nothing(monkeypatch):
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand((1, 3, 8, 8), generator=generator)
    reference = F.interpolate(coarse, (64, 64), mode="bicubic").clamp(0, 1)

    def energies():
        fields = [
            generate(reference, scales=2, patch_size=7, seed=s, with_field=True)[1]
            for s in range(4)
        ]
        return torch.stack([f.distances[f.found].mean() for f in fields]).mean()

    frugal = energies()
    monkeypatch.setattr(alternation, "MOVED", -1.0)
    monkeypatch.setattr(alternation, "WEIGHED", -1.0)
    assert frugal < 1.05 * energies()


@pytest.fixture
def three_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def test_torchs_threads_are_given_back_by_the_last_one_to_leave(three_threads):
    inside, leave = threading.Event(), threading.Event()

    def other():
        with kernels_only():
            inside.set()
            leave.wait(10)

    thread = threading.Thread(target=other)
    with kernels_only():
        assert torch.get_num_threads() == 1 and count() == 3
        thread.start()
        assert inside.wait(10)
    assert count() == 3
    leave.set()
    thread.join()
    assert torch.get_num_threads() == 3 and count() == 3


def test_blocks_within_one_another_leave_torch_on_one_thread(three_threads):
    with kernels_only():
        with kernels_only():
            pass
        assert torch.get_num_threads() == 1 and count() == 3
    assert torch.get_num_threads() == 3 and count() == 3
