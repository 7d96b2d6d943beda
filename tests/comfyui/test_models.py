"""Trained models inside a running ComfyUI: listed, loaded, loaded anew, saved, refused."""

import json
import shutil

import pytest

from internal_methods.storage.models import load_model, save_model
from trained_models import same, trained_model


@pytest.fixture
def folder(server):
    folder = server.base / "models" / "internal"
    folder.mkdir(exist_ok=True)
    save_model(folder / "brick.safetensors", trained_model())
    yield folder
    shutil.rmtree(folder)


def copying(name: str, copy: str = "copy") -> dict:
    """A graph that loads a model, shows what is known of it and saves it under another name."""
    given = {"model": ["1", 0]}
    save = {"name": copy, "overwrite": False, **given}
    return {
        "1": {"class_type": "InternalLoadModel", "inputs": {"name": name}},
        "2": {"class_type": "InternalModelInfo", "inputs": given},
        "3": {"class_type": "InternalSaveModel", "inputs": save},
    }


def ran(server, history: dict) -> set[str]:
    """The nodes that were not taken from the cache."""
    return set("123") - set(server.told(history)["execution_cached"]["nodes"])


def test_a_model_goes_in_and_out(server, folder):
    [options] = server.json("/object_info/InternalLoadModel").values()
    assert "brick.safetensors" in options["input"]["required"]["name"][1]["options"]
    history = server.run(copying("brick.safetensors"))
    assert history["status"]["status_str"] == "success", server.told(history)
    assert "2 steps, loss" in history["outputs"]["2"]["text"][0]
    assert history["outputs"]["3"]["text"] == [f"saved as {folder / 'copy.safetensors'}"]
    assert same(load_model(folder / "copy.safetensors"), trained_model())


def test_a_changed_file_is_loaded_anew(server, folder):
    graph = copying("brick.safetensors", "changing")
    server.run(graph)
    assert ran(server, server.run(graph)) == set()
    save_model(folder / "brick.safetensors", trained_model(seed=1))
    assert ran(server, server.run(graph)) == set("123")
    assert same(load_model(folder / "changing_2.safetensors"), trained_model(seed=1))


def test_what_is_wrong_is_told_before_anything_runs(server, folder):
    for graph, part in (
        (copying("nowhere"), "there is no model 'nowhere'"),
        (copying("brick", "a:b"), "may not hold any of"),
    ):
        told = json.dumps(server.post("/prompt", {"prompt": graph})["node_errors"])
        assert part in told


def test_a_cut_file_is_told_on_the_node(server, folder):
    path = folder / "cut.safetensors"
    save_model(path, trained_model())
    path.write_bytes(path.read_bytes()[:-5])
    error = server.told(server.run(copying("cut.safetensors")))["execution_error"]
    assert (
        error["node_id"] == "1"
        and "cut.safetensors is no safetensors" in error["exception_message"]
    )
