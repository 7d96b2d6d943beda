import json

import pytest
import torch
from safetensors.torch import save_file

from internal_methods.methods import Field
from internal_methods.storage.fields import load_field, save_field


def field() -> Field:
    positions = torch.randint(1, 8, (2, 3, 2, 5, 7), dtype=torch.int32)
    positions[0, 0, :, 0, 0] = -1
    distances = torch.rand(2, 3, 5, 7)
    distances[0, 0, 0, 0] = float("inf")
    return Field(positions, distances, 3, (10, 9), (True, False), (False, False))


def test_a_field_comes_back_as_it_was(tmp_path):
    saved = field()
    save_field(tmp_path / "a.safetensors", saved)
    loaded = load_field(tmp_path / "a.safetensors")
    assert torch.equal(loaded.positions, saved.positions)
    assert torch.equal(loaded.distances, saved.distances)
    assert loaded.positions.dtype == torch.int32
    for name in ("patch_size", "source_size", "wrap", "source_wrap"):
        assert getattr(loaded, name) == getattr(saved, name)
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]


def test_a_field_with_wild_positions_is_refused_at_load(tmp_path):
    wild = field()
    wild.positions[1, 2, 0, 4, 4] = 10**6
    save_field(tmp_path / "a.safetensors", wild)
    with pytest.raises(ValueError, match="1 positions of the field"):
        load_field(tmp_path / "a.safetensors")


def test_other_files_are_refused(tmp_path):
    (tmp_path / "a.safetensors").write_bytes(b"nothing of the kind")
    with pytest.raises(ValueError, match="no safetensors file"):
        load_field(tmp_path / "a.safetensors")
    save_file({"x": torch.zeros(1)}, tmp_path / "b.safetensors", {"field": json.dumps({})})
    with pytest.raises(ValueError, match="holds no field"):
        load_field(tmp_path / "b.safetensors")


def test_a_cut_file_is_refused(tmp_path):
    save_field(tmp_path / "a.safetensors", field())
    data = (tmp_path / "a.safetensors").read_bytes()
    (tmp_path / "a.safetensors").write_bytes(data[:-100])
    with pytest.raises(ValueError, match="broken"):
        load_field(tmp_path / "a.safetensors")
