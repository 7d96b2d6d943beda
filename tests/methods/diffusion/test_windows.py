"""Where training windows come from, and what they hide."""

import torch
from torch import Generator

from internal_methods.methods.diffusion.likeness import likeness
from internal_methods.methods.diffusion.settings import TrainingSettings
from internal_methods.methods.diffusion.windows import Windows

SETTINGS = TrainingSettings(window=16, batch=64)


def numbered(height: int, width: int) -> torch.Tensor:
    """A picture whose values tell their place."""
    return torch.arange(height * width, dtype=torch.float32).view(1, 1, height, width)


def holes(height: int, width: int, rows: slice, columns: slice) -> torch.Tensor:
    made = torch.zeros(1, 1, height, width)
    made[..., rows, columns] = 1
    return made


def test_windows_are_cut_from_the_picture_and_avoid_the_hole():
    image, hole = numbered(64, 80), holes(64, 80, slice(20, 40), slice(30, 50))
    windows = Windows(image, hole, SETTINGS, (16, 16))
    assert windows.avoids_hole
    batch = windows.draw(Generator().manual_seed(0))
    for clean in batch.clean:
        first = int(clean[0, 0, 0])
        top, left = divmod(first, 80)
        assert torch.equal(clean[0], image[0, 0, top : top + 16, left : left + 16])
    assert bool((batch.learnt == 1).all())


def test_in_a_small_picture_what_is_in_the_hole_is_zero_and_not_learnt_from():
    image, hole = numbered(24, 24) + 1, holes(24, 24, slice(8, 16), slice(8, 16))
    windows = Windows(image, hole, SETTINGS, (16, 16))
    assert not windows.avoids_hole
    batch = windows.draw(Generator().manual_seed(0))
    assert torch.equal(batch.clean == 0, batch.learnt == 0)
    assert bool((batch.learnt == 0).any())


def test_windows_of_a_clip_are_cut_from_it():
    clip = torch.arange(9 * 24 * 32, dtype=torch.float32).view(1, 1, 9, 24, 32)
    hole = torch.zeros(1, 1, 9, 24, 32)
    hole[:, :, 4:, 10:14, 20:24] = 1
    windows = Windows(clip, hole, TrainingSettings(window=16, batch=64), (4, 8, 16))
    assert windows.avoids_hole
    batch = windows.draw(Generator().manual_seed(0))
    starts = set()
    for clean in batch.clean:
        frame, rest = divmod(int(clean[0, 0, 0, 0]), 24 * 32)
        top, left = divmod(rest, 32)
        cut = (slice(frame, frame + 4), slice(top, top + 8), slice(left, left + 16))
        assert torch.equal(clean[0], clip[0, 0][cut]) and not hole[0, 0][cut].any()
        starts.add(frame)
    assert starts == set(range(6))
    assert batch.hidden.shape == batch.learnt.shape == (64, 1, 4, 8, 16)
    assert batch.hidden.dtype == batch.clean.dtype


def test_hidden_pieces_have_the_shape_of_the_hole():
    hole = holes(64, 80, slice(20, 40), slice(30, 50))
    settings = TrainingSettings(window=16, batch=64, masks="hole")
    pieces = Windows(numbered(64, 80), hole, settings, (16, 16)).masks
    for piece in pieces[:, 0]:
        rows, columns = piece.any(1), piece.any(0)
        assert torch.equal(piece > 0, rows[:, None] & columns)  # of a box a box is seen
    assert 0.04 <= float(pieces.mean((1, 2, 3)).min())
    assert float(pieces.mean((1, 2, 3)).max()) == 1  # the middle of the hole


def test_likeness_knows_the_texture_around_the_hole():
    draw = Generator().manual_seed(0)
    image = 0.5 + 0.05 * torch.rand(1, 3, 64, 128, generator=draw)
    image[..., 64:] = torch.rand(1, 3, 64, 64, generator=draw)
    hole = holes(64, 128, slice(24, 40), slice(88, 104))
    alike = likeness(image, hole, 16)
    assert float(alike[..., 10:54, 76:116].mean()) > 5 * float(alike[..., 10:54, 10:50].mean())
    windows = Windows(
        image, hole, TrainingSettings(window=16, batch=512, focus=1.0), (16, 16), alike
    )
    lefts = windows.draw(draw).clean.std((1, 2, 3)) < 0.1  # of the smooth half
    assert float(lefts.float().mean()) < 0.2


def test_a_likeness_of_nothing_hidden_is_even():
    assert bool((likeness(numbered(16, 16), torch.zeros(1, 1, 16, 16), 8) == 1).all())
