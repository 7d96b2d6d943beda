"""Every shipped workflow: complete, and running from the first press to the picture."""

import json
from pathlib import Path

import pytest
from PIL import Image
from small_nodes import SMALL

from canvas import needs_checkpoint
from internal_methods.headless import host, run
from internal_methods.headless.command import main
from internal_methods.headless.run import descriptions, node_classes
from internal_methods.headless.workflow import read
from internal_methods.storage.clip_reader import opened
from internal_methods.storage.clips import is_clip
from internal_methods.storage.pictures import as_steps
from quick_settings import quick

FOLDER = Path(__file__).resolve().parents[1] / "workflows"
FILES = sorted(FOLDER.glob("*.json"))
SAMPLING = [path for path in FILES if needs_checkpoint(path)]  # with a model of the user's
LIMIT = 8 * 10**6  # bytes of pictures that the pack may bring

# class -> the input that names a file
LOADERS = dict.fromkeys(("LoadImage", "LoadImageMask", "InternalLoadImage"), "image")
LOADERS |= {"LoadVideo": "file", "InternalLoadClip": "file", "InternalLoadModel": "name"}


@pytest.fixture(scope="module")
def classes():
    return node_classes()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_workflow_is_complete(path, classes):
    document = json.loads(path.read_text(encoding="utf-8"))
    describe = descriptions(classes)
    graph = read(document, describe)
    assert document["version"] == 0.4
    assert {node.kind for node in graph.nodes.values()} <= set(classes)
    titles = [node.title for node in graph.nodes.values()]
    assert titles.count("Settings") == titles.count("Result") == 1
    assert any(node["type"] == "MarkdownNote" for node in document["nodes"])
    for node in graph.nodes.values():
        if node.kind in LOADERS:
            folder, name = node.inputs[LOADERS[node.kind]].split("/")
            assert folder == "internal_methods" and (FOLDER / "inputs" / name).is_file()
    check_links(document)


def check_links(document):
    """The two ends of every link agree, as the canvas demands."""
    nodes = {node["id"]: node for node in document["nodes"]}
    for id, source, out, target, place, kind in document["links"]:
        assert id in nodes[source]["outputs"][out]["links"]
        assert nodes[target]["inputs"][place]["link"] == id
        assert nodes[source]["outputs"][out]["type"] == kind
        assert nodes[target]["inputs"][place]["type"] in (kind, "*")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_workflow_has_a_thumbnail(path):
    with Image.open(path.with_suffix(".jpg")) as thumbnail:
        assert max(thumbnail.size) <= 1024


@pytest.mark.parametrize("path", SAMPLING, ids=lambda path: path.stem)
def test_a_workflow_with_a_model_is_for_comfyui_and_says_so(path, tmp_path, capsys):
    assert main(["run", str(path), "--output-dir", str(tmp_path / "out")]) == 2
    told = capsys.readouterr().err
    assert "CheckpointLoaderSimple" in told and "open the workflow there" in told
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_workflow_runs(path, tmp_path, monkeypatch, capsys):
    """Those that need a checkpoint of the user's: with a small model of random weights."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(host, "_user_data", lambda: tmp_path / "data")
    if path in SAMPLING:
        known = node_classes()
        monkeypatch.setattr(run, "node_classes", lambda: known | SMALL)
    assert main(["run", str(path), "--json", *quick(path)]) == 0, capsys.readouterr().err
    report = json.loads(capsys.readouterr().out)
    [result] = [output for output in report["outputs"] if output["node"] == "Result"]
    for file in result["files"]:
        for low, high in extremes(Path(file)):
            assert high - low > 50  # a picture, not an empty one
    assert len(report["nodes"]) == len(node_titles(path))


def extremes(file: Path):
    """The darkest and the lightest value, of 255, of the picture or of every frame in a file."""
    if is_clip(file):
        with opened(file) as reading:
            for frame in reading:
                pixels = as_steps(frame.pixels, 8)
                yield int(pixels.min()), int(pixels.max())
        return
    with Image.open(file) as picture:
        yield picture.convert("L").getextrema()


def node_titles(path) -> list[str]:
    document = json.loads(path.read_text(encoding="utf-8"))
    return [node for node in document["nodes"] if node["type"] != "MarkdownNote"]


def test_the_pictures_are_small():
    pictures = [*(FOLDER / "inputs").rglob("*"), *FOLDER.glob("*.jpg")]
    assert sum(picture.stat().st_size for picture in pictures) < LIMIT


def test_every_input_is_used():
    used = " ".join(path.read_text(encoding="utf-8") for path in FILES)
    unused = [p.name for p in (FOLDER / "inputs").iterdir() if f"/{p.name}" not in used]
    assert not unused
