"""Trained models in files."""

import json
import os

import pytest
import torch
from safetensors.torch import save_file

from internal_methods.storage import models
from internal_methods.storage.models import (
    describe_model,
    load_model,
    path_for,
    save_model,
    saved_models,
    why_not_a_name,
)
from internal_methods.storage.tensors import Kind, write_tensors
from trained_models import same, trained_model


@pytest.fixture
def path(tmp_path):
    save_model(tmp_path / "a.safetensors", trained_model())
    return tmp_path / "a.safetensors"


def test_a_model_comes_back_to_the_bit(path):
    assert same(load_model(path), trained_model())


def test_it_is_described_without_its_weights(path):
    assert describe_model(path)["network"]["width"] == 4
    assert describe_model(path)["training"]["batch"] == 2


def test_a_cut_file_is_told(path):
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ValueError, match=r"a\.safetensors is no safetensors file, or a broken one"):
        load_model(path)


def test_other_weights_are_told(path):
    save_file({name: w.contiguous() for name, w in trained_model().weights.items()}, path)
    with pytest.raises(ValueError, match=r"a\.safetensors holds no model of this pack"):
        load_model(path)


def test_another_version_is_told(path, monkeypatch):
    monkeypatch.setattr(models, "KIND", Kind("model", 2))
    with pytest.raises(
        ValueError, match=r"a\.safetensors holds a model of version 1, and this pack"
    ):
        load_model(path)


def test_settings_that_are_not_known_are_told(path):
    tensors, description = trained_model().to_dict()
    for harm in ({"network": {"wings": 2}}, {"network": {"width": 0}}, {"network": None}, {}):
        other = {**json.loads(json.dumps(description)), **harm}
        if not harm:
            del other["training"]
        write_tensors(path, models.KIND, tensors, other)
        with pytest.raises(
            ValueError, match=r"a\.safetensors holds no model that this pack can use"
        ):
            load_model(path)


def test_weights_that_are_not_finite_are_told(path):
    tensors, description = trained_model().to_dict()
    name = min(tensors)
    tensors = {**tensors, name: tensors[name].clone()}
    tensors[name].view(-1)[0] = float("nan")
    write_tensors(path, models.KIND, tensors, description)
    with pytest.raises(ValueError, match=f"{name} holds values that are not finite"):
        load_model(path)


def test_a_pickle_is_never_opened(path):
    torch.save(trained_model().weights, path)
    with pytest.raises(ValueError, match="no safetensors file"):
        load_model(path)


def test_models_are_listed_and_nothing_else(path, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    save_model(other / "b.safetensors", trained_model())
    save_model(other / "a.safetensors", trained_model())
    save_file({"x": torch.zeros(1)}, tmp_path / "weights.safetensors")
    (tmp_path / "text.safetensors").write_text("nothing")
    (tmp_path / "folder.safetensors").mkdir()
    (tmp_path / ".b.12.safetensors").write_bytes(path.read_bytes())  # what a killed run leaves
    found = saved_models([tmp_path, other, tmp_path / "missing"])
    assert found == {"a.safetensors": path, "b.safetensors": other / "b.safetensors"}
    path.write_bytes(path.read_bytes()[:-40])  # cut: it is listed, and says so when it is loaded
    assert saved_models([tmp_path]) == {"a.safetensors": path}


def test_a_name_is_taken_once(path, tmp_path):
    assert path_for(tmp_path, "b") == tmp_path / "b.safetensors"
    assert path_for(tmp_path, "b.safetensors") == tmp_path / "b.safetensors"
    assert path_for(tmp_path, "a") == tmp_path / "a_2.safetensors"
    (tmp_path / "a_2.safetensors").touch()
    assert path_for(tmp_path, "a.safetensors") == tmp_path / "a_3.safetensors"
    assert path_for(tmp_path, "a", overwrite=True) == path


def test_only_models_are_overwritten(path, tmp_path):
    save_file({"x": torch.zeros(1)}, tmp_path / "vgg.safetensors")
    with pytest.raises(ValueError, match=r"vgg\.safetensors is no model of this pack"):
        path_for(tmp_path, "vgg", overwrite=True)
    assert path_for(tmp_path, "vgg") == tmp_path / "vgg_2.safetensors"


GOOD = ["texture", "brick wall 2", "mur-brique_ä", "v1.2", "日本", "console", "x.safetensors"]
BAD = ["", " ", "a:b", "a/b", "a\\b", "../a", "a*", "what?", 'a"', "a|b", "<a>", "a\nb", ".a", "a."]
DEVICES = ["con", "NUL", "aux.safetensors", "com1", "LPT9.old", "prn.a.b"]


@pytest.mark.parametrize("name", GOOD)
def test_names_that_every_system_can_hold(name, tmp_path):
    assert why_not_a_name(name) is None
    path_for(tmp_path, name).touch()


@pytest.mark.parametrize("name", [*BAD, *DEVICES, "a ", " a", "a" * 101])
def test_names_that_some_system_cannot_hold(name, tmp_path):
    told = why_not_a_name(name)
    assert told and "name" in told
    with pytest.raises(ValueError, match="name"):
        path_for(tmp_path, name)
    assert not os.listdir(tmp_path)
