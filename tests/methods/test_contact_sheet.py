"""A sheet of pictures: everything is on it, where it belongs."""

import torch

from internal_methods.methods.contact_sheet import GAP, contact_sheet


def test_pictures_stand_in_rows_and_columns_in_their_proportions():
    red, grey = torch.zeros(1, 3, 20, 10), torch.full((1, 1, 10, 40), 0.6)
    red[:, 0] = 1
    sheet = contact_sheet([[red, grey], [grey, red]], ["", ""], [["", ""]] * 2, side=40)
    assert sheet.shape[:2] == (1, 3) and sheet.shape[3] == 3 * GAP + 80
    is_red = (sheet[0] - torch.tensor([1.0, 0, 0]).view(3, 1, 1)).abs().sum(0) < 0.02
    is_grey = (sheet[0] - 0.6).abs().sum(0) < 0.02
    assert int(is_red.sum()) == 2 * 40 * 20 and int(is_grey.sum()) == 2 * 40 * 10
    rows, columns = is_red.nonzero().unbind(1)
    assert int(columns[rows == rows.min()].max()) < int(columns[rows == rows.max()].min())


def test_words_are_drawn_and_shortened_to_their_column():
    picture = torch.zeros(1, 3, 10, 10)
    blank = contact_sheet([[picture, picture]], ["", ""], [["", ""]], side=60)
    words = contact_sheet([[picture, picture]], ["a very long heading", ""], [["x", ""]], side=60)
    changed = (blank != words).any(1)[0]
    columns = changed.any(0).nonzero()[:, 0]
    assert changed.any() and int(columns.max()) < GAP + 60
    assert changed[: GAP + 20].any() and changed[-28:].any()
