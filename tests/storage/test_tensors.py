"""Tensors and their description come back as they were, or not at all."""

import json
import os
from dataclasses import dataclass

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from internal_methods.storage.tensors import (
    Kind,
    digest,
    read_description,
    read_metadata,
    read_tensors,
    write_tensors,
)

THING = Kind("thing")
TENSORS = {
    "float": torch.linspace(0, 1, 12).reshape(3, 4),
    "view": torch.arange(24.0).reshape(4, 6).t()[::2],
    "half": torch.ones(2, dtype=torch.bfloat16),
    "count": torch.tensor(7),
    "empty": torch.zeros(0, 3),
    "flags": torch.tensor([True, False]),
}
TENSORS["the same"] = TENSORS["float"]
ABOUT = {"steps": 3, "losses": [0.1, 1e-300, 3.0], "name": "é", "none": None}


@pytest.fixture
def path(tmp_path):
    write_tensors(tmp_path / "a.safetensors", THING, TENSORS, ABOUT)
    return tmp_path / "a.safetensors"


def test_all_comes_back(path):
    tensors, about = read_tensors(path, THING)
    assert about == read_description(path, THING) == ABOUT
    assert set(tensors) == set(TENSORS)
    for name, tensor in TENSORS.items():
        assert torch.equal(tensors[name], tensor) and tensors[name].dtype == tensor.dtype
    assert [file.name for file in path.parent.iterdir()] == ["a.safetensors"]


def test_any_reader_of_safetensors_reads_it(path):
    with safe_open(path, "pt") as file:
        assert file.metadata()["format"] == "internal-methods thing 1"
        assert json.loads(file.metadata()["thing"]) == ABOUT
        assert torch.equal(file.get_tensor("view"), TENSORS["view"])
        assert read_metadata(path) == file.metadata()


def test_what_is_read_in_a_node_can_be_trained(path):
    with torch.inference_mode():
        tensors, _ = read_tensors(path, THING)
    assert not tensors["float"].is_inference()
    tensors["float"].requires_grad_().sum().backward()


def test_the_file_is_let_go(path):
    tensors, _ = read_tensors(path, THING)
    with path.open("r+b") as file:
        file.truncate(0)
    assert torch.equal(tensors["float"], TENSORS["float"])


def test_another_kind_and_another_version_are_told(path, tmp_path):
    with pytest.raises(ValueError, match=r"a\.safetensors holds no cup of this pack"):
        read_tensors(path, Kind("cup"))
    with pytest.raises(ValueError, match="holds a thing of version 1, and this pack reads versio"):
        read_tensors(path, Kind("thing", 2))
    save_file({"x": torch.zeros(1)}, tmp_path / "b.safetensors")
    with pytest.raises(ValueError, match=r"b\.safetensors holds no thing of this pack"):
        read_description(tmp_path / "b.safetensors", THING)


def test_a_cut_file_is_refused_wherever_it_is_cut(path):
    whole = path.read_bytes()
    for length in {0, 1, 7, 8, 9, len(whole) // 2, len(whole) - 1, *range(10, len(whole), 97)}:
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"a\.safetensors "):
            read_tensors(path, THING)


def test_no_changed_byte_passes(path):
    whole, refused = path.read_bytes(), 0
    for place in range(0, len(whole), 7):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x11]) + whole[place + 1 :])
        try:
            tensors, about = read_tensors(path, THING)
        except ValueError as error:
            assert "a.safetensors " in str(error)
            refused += 1
        else:  # a blank of the header, or the name that a byte of UTF-8 stands for
            assert about == ABOUT and digest(tensors) == digest(TENSORS)
    assert refused > len(whole) // 7 * 0.9


@pytest.mark.parametrize("content", [b"", b"PK\3\4", b"\x89PNG\r\n\x1a\n" * 9, b"[]" * 50])
def test_other_files_are_refused(tmp_path, content):
    (tmp_path / "a.safetensors").write_bytes(content)
    with pytest.raises(ValueError, match="no safetensors file"):
        read_tensors(tmp_path / "a.safetensors", THING)


def test_a_description_that_is_none_is_told(tmp_path):
    metadata = {"format": THING.format, "thing": "{"}
    save_file({"x": torch.zeros(1)}, tmp_path / "a.safetensors", metadata)
    with pytest.raises(ValueError, match="the description of its thing"):
        read_tensors(tmp_path / "a.safetensors", THING)


def test_an_older_file_stays_when_a_new_one_cannot_be_written(path, monkeypatch):
    resource = pytest.importorskip("resource")
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(OSError):
            write_tensors(path, THING, {"x": torch.zeros(5000)}, None)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before and os.listdir(path.parent) == ["a.safetensors"]


@dataclass(frozen=True)
class Settings:
    steps: int = 3


def test_the_digest_tells_every_difference():
    x = torch.arange(6.0)
    known = [
        digest({"x": x}),
        digest({"y": x}),
        digest({"x": x.reshape(2, 3)}),
        digest({"x": x.double()}),
        digest({"x": x + 1e-7}),
        digest({"x": x, "y": x}),
        digest({"x": x}, {"steps": 3}),
        digest({"x": x}, {"steps": 4}),
    ]
    assert len(set(known)) == len(known)


def test_the_digest_is_of_values_not_of_how_they_lie():
    x = torch.arange(6.0).reshape(2, 3)
    assert digest({"x": x, "y": x}) == digest({"y": x.t().contiguous().t(), "x": x})
    assert digest({}, Settings()) == digest({}, {"steps": 3})
    with pytest.raises(TypeError, match="cannot be written as JSON"):
        digest({}, {"x": x})
