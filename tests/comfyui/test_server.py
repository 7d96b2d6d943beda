"""The pack inside a running ComfyUI: what it offers, and that it computes what we compute."""

import io
import json
import time
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from canvas import needs_checkpoint, trains, works_on_clips
from internal_methods.headless.command import main
from internal_methods.headless.run import descriptions, node_classes
from internal_methods.headless.settings import apply
from internal_methods.headless.workflow import load, read, sockets
from internal_methods.storage.clip_reader import About, opened
from internal_methods.storage.clips import is_clip
from internal_methods.storage.clips import read as read_clip
from internal_methods.storage.pictures import read as picture
from internal_methods.storage.pictures import write
from quick_settings import quick
from videos import write_video

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / "workflows").glob("*.json"))
ALONE = [path for path in WORKFLOWS if not needs_checkpoint(path)]
INPUTS = ROOT / "workflows" / "inputs"


@pytest.fixture(scope="module")
def described(server):
    return server.json("/object_info")


@pytest.fixture
def listed(capsys):
    """What `internal-methods nodes --json` prints."""
    assert main(["nodes", "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def shortened(path: Path) -> list[str]:
    """What to set, so that workflows which work for minutes work for a moment."""
    return quick(path) if trains(path) or works_on_clips(path) else []


@pytest.fixture(scope="module")
def documents():
    """Every shipped workflow, and it in the API format, as our own reader converts it."""
    describe = descriptions(node_classes())
    found = {}
    for path in WORKFLOWS:
        document = load(path)
        apply(document, shortened(path)[1::2], describe)
        found[path.stem] = document, read(document, describe).prompt()
    return found


def picture_of(server, file: dict) -> Image.Image:
    return Image.open(io.BytesIO(server.get("/view", **file)))


def test_no_error_while_loading(server):
    log = (server.base / "server.log").read_text(encoding="utf-8", errors="replace")
    loading = log.partition("got prompt")[0]  # what follows are the graphs of other tests
    assert "IMPORT FAILED" not in loading
    assert "Traceback" not in loading


def test_nodes_are_described_as_our_own_listing_describes_them(described, listed):
    for id, ours in listed.items():
        assert id in described, f"{id} is not among ComfyUI's nodes"
        theirs = described[id]
        for description in (ours, theirs):
            del description["python_module"]  # ComfyUI's name for the folder
            for _, options in sockets(description).values():
                uploads = options.get("image_upload") or options.get("video_upload")
                if uploads or id == "InternalLoadModel":
                    options.pop("options", None)  # the files in the input folder
        assert set(ours) == set(theirs)
        for part in ours:
            assert ours[part] == theirs[part], f"{id}: {part}"


def test_every_node_of_ours_in_comfyui_is_in_our_listing(described, listed):
    assert {id for id in described if id.startswith("Internal")} == set(listed)


def test_stand_ins_have_the_sockets_of_comfyuis_nodes(described):
    def shape(info: dict) -> tuple:
        kinds = [(name, kind) for name, (kind, _) in sockets(info).items()]
        inputs = [(name, "COMBO" if isinstance(kind, list) else kind) for name, kind in kinds]
        return inputs, info["output"], info["output_node"]

    for id, info in descriptions(node_classes()).items():
        assert shape(info) == shape(described[id]), id
        for name, (_, options) in sockets(described[id]).items():
            ours = sockets(info)[name][1]
            for limit in ("default", "min", "max", "step"):
                assert ours.get(limit) == options.get(limit), f"{id}.{name}: {limit}"


def test_examples_are_copied_for_the_first_press(server):
    for path in (path for path in INPUTS.rglob("*") if path.is_file()):
        copy = server.base / "input" / "internal_methods" / path.relative_to(INPUTS)
        assert copy.read_bytes() == path.read_bytes(), path.name


def test_workflows_are_offered_as_templates(server):
    offered = server.json("/workflow_templates")["internal-methods"]
    assert sorted(offered) == [path.stem for path in WORKFLOWS]
    for path in WORKFLOWS:
        address = f"/api/workflow_templates/internal-methods/{path.name}"
        assert server.json(address) == json.loads(path.read_text(encoding="utf-8"))
        thumbnail = server.get(address.removesuffix(".json") + ".jpg")
        assert Image.open(io.BytesIO(thumbnail)).format == "JPEG", path.stem


def test_every_node_has_a_help_page(server, listed):
    for id in listed:
        page = server.get(f"/extensions/internal-methods/docs/{id}.md").decode()
        assert len(page) > 200, id


@pytest.mark.parametrize("path", ALONE, ids=[path.stem for path in ALONE])
def test_a_workflow_gives_the_same_pixels_in_both_places(path, server, documents, capsys, tmp_path):
    document, prompt = documents[path.stem]
    history = server.run(prompt, document)
    assert history["status"]["status_str"] == "success", server.told(history)
    command = ["run", str(path), "--output-dir", str(tmp_path / "out"), "--json"]
    command += ["--models-dir", str(tmp_path / "models"), *shortened(path)]
    assert main(command) == 0
    report = json.loads(capsys.readouterr().out)
    ours = {output["id"]: output for output in report["outputs"] if "files" in output}
    theirs = {id: ui["images"] for id, ui in history["outputs"].items() if "images" in ui}
    assert set(ours) == set(theirs)
    for id, output in ours.items():
        assert len(output["files"]) == len(theirs[id])
        for name, file in zip(output["files"], theirs[id], strict=True):
            if is_clip(name):
                copy = server.base / file["type"] / file["subfolder"] / file["filename"]
                assert_same_clips(Path(name), copy)
                continue
            with Image.open(name) as mine, picture_of(server, file) as their:
                assert np.array_equal(mine, their), f"{output['node']}: {Path(name).name}"
                assert embedded(mine.info) == embedded(their.info)


def assert_same_clips(ours: Path, theirs: Path) -> None:
    """The same frames at the same times, and the same workflow in the file."""
    with opened(ours) as mine, opened(theirs) as other:
        assert _alike(mine.about) == _alike(other.about), ours.name
        for one, two in zip(mine, other, strict=True):
            assert one.time == two.time and np.array_equal(one.pixels, two.pixels), ours.name
    if ours.is_file():
        with av.open(str(ours)) as mine, av.open(str(theirs)) as other:
            told = [{k.lower(): v for k, v in each.metadata.items()} for each in (mine, other)]
        assert embedded(told[0]) == embedded(told[1])


def _alike(about: About) -> About:
    """Without its name, and without what it tells besides, in which ComfyUI adds notes."""
    return replace(about, name="", text={})


def embedded(info: dict) -> tuple[dict, dict]:
    """The prompt and the workflow that a file carries."""
    prompt = json.loads(info["prompt"])
    for node in prompt.values():
        node.pop("is_changed", None)  # ComfyUI's notes of what its cache may keep
    return prompt, json.loads(info["workflow"])


def saving(values: dict, **load: object) -> dict:
    """A graph that loads a picture with our node and saves it with our node."""
    loader = {"class_type": "InternalLoadImage", "inputs": {"channels": "rgb", **load}}
    inputs = {"images": ["1", 0], "filename_prefix": "kept", "format": "png", **values}
    return {"1": loader, "2": {"class_type": "InternalSaveImage", "inputs": inputs}}


def test_what_our_node_saves_is_what_comfyuis_node_saves(server):
    pixels = np.random.default_rng(1).integers(0, 256, (9, 13, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(server.base / "input" / "pixels.png")
    prompt = saving({}, image="pixels.png")
    theirs = {"images": ["1", 0], "filename_prefix": "core/kept"}
    prompt["3"] = {"class_type": "SaveImage", "inputs": theirs}
    history = server.run(prompt, {"nodes": [], "links": [], "é": "é"})
    files = [history["outputs"][id]["images"][0] for id in ("2", "3")]
    with picture_of(server, files[0]) as ours, picture_of(server, files[1]) as core:
        assert np.array_equal(ours, pixels) and np.array_equal(core, pixels)
        assert ours.info == core.info and "workflow" in ours.info


def test_depth_survives_the_way_through_comfyui(server):
    pixels = np.arange(5 * 7 * 3, dtype=np.uint16).reshape(5, 7, 3) * 611
    path = server.base / "input" / "deep.png"
    write(path, pixels.astype(np.float32) / 65535, "png16", {})
    history = server.run(saving({"format": "png16"}, image="deep.png"))
    file = history["outputs"]["2"]["images"][0]
    copy = server.base / "output" / file["subfolder"] / file["filename"]
    assert np.array_equal(np.rint(picture(copy) * 65535), pixels)


def test_a_missing_picture_is_refused_before_anything_runs(server):
    answer = server.post("/prompt", {"prompt": saving({}, image="nowhere.png")})
    told = json.dumps(answer["node_errors"]["1"])
    assert "nowhere.png" in told and "there is no file" in told


def test_what_a_node_says_of_its_failure_reaches_the_client(server):
    (server.base / "input" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n, then nothing")
    history = server.run(saving({}, image="broken.png"))
    assert history["status"]["status_str"] == "error"
    error = server.told(history)["execution_error"]
    assert error["node_id"] == "1" and error["node_type"] == "InternalLoadImage"
    assert "broken.png is not a picture" in error["exception_message"]


LONG = [id for id, info in descriptions(node_classes()).items() if "backend" in sockets(info)]
LONGEST = {"iterations": 100, "count": 64, "quality": "exact"}


def working(id: str, described: dict) -> dict:
    """A graph in which the node has minutes to do, or so long as its settings allow."""
    image = {"class_type": "LoadImage", "inputs": {"image": "noise.png"}}
    mask = {"class_type": "LoadImageMask", "inputs": {"image": "hole.png", "channel": "red"}}
    other = {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}}
    sources, inputs = {"IMAGE": ["1", 0], "MASK": ["2", 0]}, {}
    for name in described[id]["input_order"]["required"]:
        kind, options = sockets(described[id])[name]
        inputs[name] = sources.get(kind) or LONGEST.get(name, options.get("default"))
    graph = {"1": image, "2": mask, "3": {"class_type": id, "inputs": inputs}}
    result, first = ["3", 0], described[id]["output"][0]
    if described[id]["category"] == "internal/video":
        frames = {"image": ["1", 0], "amount": 12}
        graph |= {"8": {"class_type": "RepeatImageBatch", "inputs": frames}}
        graph |= {"9": {"class_type": "CreateVideo", "inputs": {"images": ["8", 0], "fps": 12.0}}}
        inputs |= {name: ["8", 0] for name in ("image", "clip") if name in inputs}
        inputs |= {"video": ["9", 0], "mask": ["2", 0]} if "video" in inputs else {}
    if first == "VIDEO":
        save = {"video": result, "filename_prefix": "a", "format": "auto", "codec": "auto"}
        return graph | {"4": {"class_type": "SaveVideo", "inputs": save}}
    if first == "INTERNAL_SCORES":
        measured = next((name for name in ("result", "images") if name in inputs), None)
        if measured:  # a clip, and not the reference itself: that is compared at once
            clip = {"image": ["6", 0], "amount": 6}
            graph |= {"6": other, "7": {"class_type": "RepeatImageBatch", "inputs": clip}}
            inputs[measured] = ["7", 0]
        table = {"scores": result, "plot_region": "auto"}
        return graph | {"4": {"class_type": "InternalScoreTable", "inputs": table}}
    if first != "IMAGE":
        graph["4"] = {"class_type": "InternalFieldPreview", "inputs": {"field": result}}
        result = ["4", 0]
    return graph | {"5": {"class_type": "PreviewImage", "inputs": {"images": result}}}


@pytest.mark.parametrize("id", LONG)
def test_cancel_ends_a_long_run_soon(id, server, described):
    pixels = np.random.default_rng(2).integers(0, 256, (1024, 1024, 3), dtype=np.uint8)
    hole = np.zeros_like(pixels)
    hole[100:900, 50:450] = 255  # there is room for another of its shape
    Image.fromarray(pixels).save(server.base / "input" / "noise.png")
    Image.fromarray(hole).save(server.base / "input" / "hole.png")
    job = server.queue(working(id, described))
    time.sleep(1)
    server.post("/interrupt", {})
    # A second, where kernels are compiled and the machine has nothing else to do.
    told = server.told(server.finished(job, seconds=20))
    assert told["execution_interrupted"]["node_id"] == "3"


def test_a_video_is_read_and_saved_as_a_stream(server):
    """VIDEO from ComfyUI's own Load Video through our Save Clip, and from there through its own."""
    frames = np.random.default_rng(3).integers(0, 256, (7, 16, 20, 3), dtype=np.uint8)
    write_video(server.base / "input" / "noise.mkv", frames, rate=5)
    prompt = {
        "1": {"class_type": "LoadVideo", "inputs": {"file": "noise.mkv"}},
        "2": {
            "class_type": "InternalSaveClip",
            "inputs": {"video": ["1", 0], "filename_prefix": "a", "format": "ffv1_16", "fps": 1.0},
        },
        "3": {"class_type": "GetVideoComponents", "inputs": {"video": ["1", 0]}},
        "4": {"class_type": "CreateVideo", "inputs": {"images": ["3", 0], "fps": 5.0}},
        "5": {
            "class_type": "InternalSaveClip",
            "inputs": {"video": ["4", 0], "filename_prefix": "b", "format": "png", "fps": 1.0},
        },
    }
    history = server.run(prompt)
    assert history["status"]["status_str"] == "success", server.told(history)
    for id in ("2", "5"):
        [file] = history["outputs"][id]["images"]
        clip, rate = read_clip(server.base / "output" / file["subfolder"] / file["filename"])
        assert np.array_equal(np.rint(clip * 255), frames) and rate in (5, None)
