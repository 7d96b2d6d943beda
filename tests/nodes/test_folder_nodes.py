"""Folders of pictures as the nodes take them."""

import math
import os

import numpy as np
import pytest
import torch

from internal_methods.headless import host
from internal_methods.methods.metrics.backbones import ALEXNET
from internal_methods.nodes.folders import FidFolder
from internal_methods.storage.pictures import write
from random_weights import random_weights


@pytest.fixture
def folder(tmp_path):
    """Inputs with two folders of pictures, weights/ with AlexNet's."""
    random = np.random.default_rng(3)
    for name, channels in (("made", 4), ("real", 3)):
        (tmp_path / name).mkdir()
        for index in range(3):
            picture = random.random((40, 36 + index, channels), dtype=np.float32)
            write(tmp_path / name / f"{index}.png", picture, "png", {})
    (tmp_path / "made" / "notes.txt").write_text("not a picture")
    (tmp_path / "made" / "._0.png").write_text("what a Mac leaves behind")
    (tmp_path / "weights").mkdir()
    torch.save(random_weights(ALEXNET), tmp_path / "weights" / "alex.pth")
    with host.hosting(host.Host(inputs=(tmp_path,), models=tmp_path / "weights")):
        yield tmp_path


def score(*arguments):
    with torch.inference_mode():
        [[row]] = FidFolder.execute(*arguments).args
    return row


def test_a_row_for_two_folders(folder):
    row = score("made", "real", "auto", "mine")
    assert (row.method, row.image, row.metric) == ("mine", "made", "frechet_alexnet")
    assert row.value > 0 and "3 samples for 256" in row.note and row.weights.startswith("alex.pth")
    assert score(str(folder / "made"), "real", "alexnet", "mine").value == row.value
    assert score("made", "made", "alexnet", "mine").value < 1e-9 * row.value


def test_missing_weights_are_no_error(folder):
    row = score("made", "real", "inception", "mine")
    assert math.isnan(row.value) and row.metric == "fid" and str(folder / "weights") in row.note


def test_the_bar_moves_with_every_picture(folder):
    moves = []
    told = host.Host(
        inputs=(folder,), models=folder / "weights", progress=lambda *move: moves.append(move)
    )
    with host.hosting(told):
        score("made", "real", "auto", "mine")
    assert moves == [(done, 6) for done in range(1, 7)]


def test_what_is_not_there_is_named(folder):
    with pytest.raises(FileNotFoundError, match="no folder 'other'"):
        score("made", "other", "auto", "mine")
    with pytest.raises(FileNotFoundError, match="no folder 'made/0.png'"):
        score("made/0.png", "real", "auto", "mine")
    with pytest.raises(ValueError, match=r"weights holds no pictures \(.png"):
        score("made", "weights", "auto", "mine")
    with pytest.raises(ValueError, match="name both folders"):
        score("made", " ", "auto", "mine")


def test_a_changed_folder_is_measured_again(folder):
    def mark():
        return FidFolder.fingerprint_inputs("made", "real", features="auto", method="mine")

    first = mark()
    assert first == mark()
    os.utime(folder / "real" / "1.png", ns=(1, 1))
    second = mark()
    assert first != second
    (folder / "real" / "1.png").unlink()
    assert second != mark()
