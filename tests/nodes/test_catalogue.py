"""What every node owes its users, and what it has promised for ever."""

import json
from pathlib import Path

import pytest

from internal_methods.headless.workflow import sockets, widget_names
from internal_methods.nodes import NODES

ROOT = Path(__file__).resolve().parents[2]
PROMISED = json.loads(Path(__file__).with_name("promised.json").read_text(encoding="utf-8"))
FILES = {
    ("InternalLoadModel", "name"),
    ("InternalLoadClip", "file"),
}  # a choice of what there is, which may be nothing
INFO = {node.GET_SCHEMA().node_id: node.GET_NODE_INFO_V1() for node in NODES}


def shape(info: dict) -> dict:
    """What workflows depend on: ids, types and order of a node's inputs and outputs."""
    return {
        "inputs": [[name, kind] for name, (kind, _) in sockets(info).items()],
        "required": list(info["input"]["required"]),
        "widgets": [name or "(after run)" for name in widget_names(info)],
        "outputs": list(map(list, zip(info["output_name"], info["output"], strict=True))),
    }


def test_the_list_of_nodes_is_as_promised():
    assert list(INFO) == list(PROMISED)


@pytest.mark.parametrize("id", list(INFO))
def test_a_node_is_as_promised(id):
    """A saved workflow holds widget values by place: change promised.json by appending only."""
    assert shape(INFO[id]) == PROMISED[id]


@pytest.mark.parametrize("id", list(INFO))
def test_every_node_is_named_and_described(id):
    info = INFO[id]
    assert id.startswith("Internal") and info["category"].startswith("internal/")
    assert info["display_name"] and len(info["description"]) > 30


@pytest.mark.parametrize("id", list(INFO))
def test_every_input_and_output_is_explained(id):
    info = INFO[id]
    for name, (kind, options) in sockets(info).items():
        assert len(options.get("tooltip", "")) > 15, name
        if kind in ("INT", "FLOAT"):
            assert {"default", "min", "max"} <= set(options), name
            assert options["min"] <= options["default"] <= options["max"], name
        if kind == "COMBO" and not options.get("image_upload") and (id, name) not in FILES:
            assert options["default"] in options["options"], name
    assert all(info["output_tooltips"]), info["output_tooltips"]


@pytest.mark.parametrize("id", list(INFO))
def test_every_node_has_a_help_page_that_names_its_inputs(id):
    page = (ROOT / "web" / "docs" / f"{id}.md").read_text(encoding="utf-8")
    assert page.startswith(f"# {INFO[id]['display_name']}\n")
    missing = [name for name in sockets(INFO[id]) if name not in page]
    assert not missing


@pytest.mark.parametrize("id", list(INFO))
def test_a_help_page_tells_the_defaults_as_they_are(id):
    page = (ROOT / "web" / "docs" / f"{id}.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1:3] for line in page.splitlines() if line.startswith("| ")]
    told = {name.strip(): value.strip() for names, value in rows for name in names.split(",")}
    for name, (kind, options) in sockets(INFO[id]).items():
        if kind in ("INT", "FLOAT", "STRING") or (kind == "COMBO" and "default" in options):
            default = options["default"]
            if "\n" in str(default):  # more than a cell of the table holds
                assert default in page
                continue
            assert told[name] == (f"{default:g}" if kind == "FLOAT" else str(default)), name


@pytest.mark.parametrize("id", list(INFO))
def test_every_node_stands_in_a_workflow(id):
    files = (ROOT / "workflows").glob("*.json")
    used = {node["type"] for f in files for node in json.loads(f.read_text("utf-8"))["nodes"]}
    assert id in used


def test_there_is_no_help_page_without_a_node():
    assert {page.stem for page in (ROOT / "web" / "docs").glob("*.md")} == set(INFO)
