"""The command line: what it prints, what it writes, how it ends."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import canvas
from internal_methods.headless import host
from internal_methods.headless.command import main
from internal_methods.methods.metrics.dists import DISTS
from random_weights import random_weights

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A current folder with a picture in.png and the workflow job.json that inverts it."""
    pixels = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "in.png")
    canvas.write(tmp_path, canvas.invert_and_save())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def picture(path) -> np.ndarray:
    with Image.open(path) as opened:
        return np.asarray(opened)


def text_of(path) -> dict:
    with Image.open(path) as opened:
        return opened.text


def fails(capsys, *argv: str) -> tuple[int, str]:
    """Exit code and the one line on stderr."""
    code = main([*argv])
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.splitlines()) == 1, captured.err
    return code, captured.err


def test_run_prints_the_path_of_the_result_last(folder, capsys):
    assert main(["run", "job.json"]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == str(folder / "output" / "inverted_00001_.png")
    inverted = picture(last).astype(int)
    sums = inverted + picture("in.png")  # ComfyUI's SaveImage, and so ours, cuts to whole steps
    assert sums.shape == (24, 32, 3) and sums.min() >= 254 and sums.max() == 255


def test_a_second_run_counts_on(folder, capsys):
    main(["run", "job.json"])
    main(["run", "job.json"])
    assert capsys.readouterr().out.splitlines()[-1].endswith("inverted_00002_.png")


def test_json_reports_what_ran(folder, capsys):
    assert main(["run", "job.json", "--json", "--output-dir", "new/place", "--device", "cpu"]) == 0
    report = json.loads(capsys.readouterr().out)
    [output] = report["outputs"]
    path = folder / "new" / "place" / "inverted_00001_.png"
    assert output == {
        "node": "Result",
        "id": "3",
        "class": "SaveImage",
        "type": "output",
        "files": [str(path)],
    }
    assert path.is_file()
    assert [node["title"] for node in report["nodes"]] == ["Image", "Settings", "Result"]
    assert report["device"] == "cpu" and report["seconds"] > 0
    assert report["peak_memory_bytes"] > 10**7


def test_saved_files_come_before_previews(folder, capsys):
    document = canvas.invert_and_save()
    preview = {"id": 4, "type": "PreviewImage", "title": "Look"}
    preview["inputs"] = [{"name": "images", "type": "IMAGE", "link": 3}]
    document["nodes"].insert(0, document["nodes"][0] | preview | {"widgets_values": []})
    document["links"].append([3, 2, 0, 4, 0, "IMAGE"])
    canvas.write(folder, document)
    assert main(["run", "job.json", "--json"]) == 0
    outputs = json.loads(capsys.readouterr().out)["outputs"]
    assert [(o["node"], o["type"]) for o in outputs] == [("Result", "output"), ("Look", "temp")]
    assert Path(outputs[1]["files"][0]).is_file()


def test_the_picture_carries_workflow_and_prompt(folder):
    main(["run", "job.json", "--set", "Result.filename_prefix=sub/x"])
    text = text_of(folder / "output" / "sub" / "x_00001_.png")
    workflow, prompt = json.loads(text["workflow"]), json.loads(text["prompt"])
    assert workflow["nodes"][2]["widgets_values"] == ["sub/x"]  # what ran, not what was in the file
    assert prompt["3"]["inputs"] == {"images": ["2", 0], "filename_prefix": "sub/x"}
    again = canvas.write(folder, workflow, "again.json")
    assert main(["run", str(again)]) == 0
    assert (folder / "output" / "sub" / "x_00002_.png").is_file()


def test_the_api_format_runs_too(folder, capsys):
    main(["run", "job.json"])
    prompt = json.loads(text_of("output/inverted_00001_.png")["prompt"])
    canvas.write(folder, prompt, "prompt.json")
    assert main(["run", "prompt.json", "--set", "3.filename_prefix=api"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith("api_00001_.png")
    assert "workflow" not in text_of("output/api_00001_.png")


def test_pictures_are_found_here_and_beside_the_workflow(folder, capsys, monkeypatch):
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert main(["run", "../job.json"]) == 0
    Image.new("RGB", (5, 5)).save(elsewhere / "in.png")
    assert main(["run", "../job.json"]) == 0
    path = capsys.readouterr().out.splitlines()[-1]
    assert picture(path).shape == (5, 5, 3)
    assert main(["run", "../job.json", "--set", f"Image.image={folder / 'in.png'}"]) == 0
    assert picture(capsys.readouterr().out.splitlines()[-1]).shape == (24, 32, 3)


def test_setting_an_input_replaces_its_link(folder, capsys):
    scale = {
        "id": 2,
        "type": "ImageScale",
        "title": "Settings",
        "inputs": [
            {"name": "image", "type": "IMAGE", "link": 1},
            {"name": "width", "type": "INT", "link": 4, "widget": {"name": "width"}},
        ],
        "widgets_values": ["bilinear", 8, 8, "disabled"],
    }
    document = canvas.invert_and_save()
    document["nodes"][1] |= scale
    primitive = {"id": 9, "type": "PrimitiveNode", "title": "P", "widgets_values": [16, "fixed"]}
    document["nodes"].append(document["nodes"][0] | primitive)
    document["links"].append([4, 9, 0, 2, 1, "INT"])
    canvas.write(folder, document)
    assert main(["run", "job.json"]) == 0
    assert main(["run", "job.json", "--set", "Settings.width=11"]) == 0
    first, second = (picture(path).shape for path in capsys.readouterr().out.splitlines())
    assert (first, second) == ((8, 16, 3), (8, 11, 3))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("Settings", "expected NODE.INPUT=VALUE"),
        ("Nobody.seed=1", "no node has that title or id; there are 'Image', 'Result', 'Settings'"),
        ("Result.quality=1", "it has no such input; it has filename_prefix"),
        ("Result.images=a.png", "takes IMAGE from another node"),
    ],
)
def test_a_wrong_setting(folder, capsys, setting, message):
    code, line = fails(capsys, "run", "job.json", "--set", setting)
    assert code == 2 and message in line


def test_a_value_of_the_wrong_type(folder, capsys):
    document = canvas.invert_and_save()
    document["nodes"][1] |= {"type": "ImageScale", "widgets_values": ["bilinear", 8, 8, "disabled"]}
    canvas.write(folder, document)
    code, line = fails(capsys, "run", "job.json", "--set", "Settings.width=wide")
    assert code == 2 and "Settings.width=wide: expected a whole number" in line
    code, line = fails(capsys, "run", "job.json", "--set", "Settings.width=99999")
    assert code == 2 and "'Settings'" in line and "99999 is not within 0 ... 16384" in line
    code, line = fails(capsys, "run", "job.json", "--set", "Settings.crop=left")
    assert code == 2 and "'left' is not one of disabled, center" in line


def test_a_title_that_occurs_twice(folder, capsys):
    document = canvas.invert_and_save()
    document["nodes"][1]["title"] = "Image"
    canvas.write(folder, document)
    code, line = fails(capsys, "run", "job.json", "--set", "Image.image=in.png")
    assert code == 2 and "2 nodes have that title (ids 1, 2)" in line
    assert main(["run", "job.json", "--set", "1.image=in.png"]) == 0


def test_a_missing_picture_names_node_input_and_places(folder, capsys):
    code, line = fails(capsys, "run", "job.json", "--set", "Image.image=none.png")
    assert code == 2
    assert "'Image' (LoadImage, id 1), input image: there is no file 'none.png'" in line
    assert str(folder / "none.png") in line


def test_a_broken_picture(folder, capsys):
    (folder / "in.png").write_bytes((folder / "in.png").read_bytes()[:200])
    code, line = fails(capsys, "run", "job.json")
    assert code == 2 and "'Image'" in line and "in.png is not a picture, or a broken one" in line
    assert not list((folder / "output").iterdir())


def test_a_truncated_workflow(folder, capsys):
    whole = (folder / "job.json").read_text()
    (folder / "job.json").write_text(whole[: len(whole) // 2])
    code, line = fails(capsys, "run", "job.json")
    assert code == 2 and "no complete JSON file" in line


def test_an_unknown_node_and_an_unknown_workflow(folder, capsys):
    document = canvas.invert_and_save()
    document["nodes"][1]["type"] = "KSamplerAdvanced"
    canvas.write(folder, document)
    code, line = fails(capsys, "run", "job.json")
    assert code == 2 and "'Settings' (id 2) is of the class 'KSamplerAdvanced'" in line
    code, line = fails(capsys, "run", "none.json")
    assert code == 2 and "there is no workflow none.json" in line


def test_a_link_of_the_wrong_type(folder, capsys):
    document = canvas.invert_and_save()
    document["links"][0] = [1, 1, 1, 2, 0, "MASK"]
    canvas.write(folder, document)
    code, line = fails(capsys, "run", "job.json")
    assert code == 2
    assert "'Settings' (ImageInvert, id 2), input image: expected IMAGE" in line
    assert "'Image' (LoadImage, id 1) gives MASK" in line


def test_a_missing_link_and_a_circle(folder, capsys):
    document = canvas.invert_and_save()
    document["nodes"][1]["inputs"][0]["link"] = None
    canvas.write(folder, document)
    code, line = fails(capsys, "run", "job.json")
    assert code == 2 and "'Settings'" in line and "input image: nothing is linked" in line
    document["nodes"][1]["inputs"][0]["link"] = 2
    canvas.write(folder, document)
    code, line = fails(capsys, "run", "job.json")
    assert code == 2 and "needs its own result" in line


def test_a_workflow_without_an_output(folder, capsys):
    document = canvas.invert_and_save()
    document["nodes"].pop()
    canvas.write(folder, document)
    code, line = fails(capsys, "run", "job.json")
    assert code == 2 and "nothing in the workflow saves or shows" in line


def test_an_output_folder_that_cannot_be_written(folder, capsys):
    code, line = fails(capsys, "run", "job.json", "--output-dir", "in.png/below")
    assert code == 1 and "in.png/below cannot be written" in line


def test_a_name_outside_the_output_folder(folder, capsys):
    code, line = fails(capsys, "run", "job.json", "--set", "Result.filename_prefix=../x")
    assert code == 1 and "'Result'" in line and "leaves the output folder" in line
    assert not (folder / "x_00001_.png").exists()


def test_a_full_disk_leaves_no_half_file(folder, capsys):
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        code = main(["run", "job.json"])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert code == 1 and "'Result' (SaveImage, id 3)" in capsys.readouterr().err
    assert not list((folder / "output").iterdir())


def test_a_wrong_command(capsys):
    assert main(["walk"]) == 2
    assert main(["run"]) == 2
    assert "usage" in capsys.readouterr().err


@pytest.mark.parametrize("threads", ["0", "-1"])
def test_a_wrong_number_of_threads(folder, capsys, threads):
    code, line = fails(capsys, "run", "job.json", "--threads", threads)
    assert code == 2 and "expected 1 or more" in line


def test_nodes_lists_ours_alone(capsys):
    assert main(["nodes", "--json"]) == 0
    described = json.loads(capsys.readouterr().out)
    assert described and all(id.startswith("Internal") for id in described)
    assert described["InternalSaveImage"]["input_order"]["required"] == [
        "images",
        "filename_prefix",
        "format",
    ]
    assert main(["nodes"]) == 0
    assert set(described) == {line.split()[0] for line in capsys.readouterr().out.splitlines()}


def test_doctor_tells_of_torch_and_of_every_backend(capsys):
    assert main(["doctor"]) == 0
    told = capsys.readouterr().out
    for subject in ("torch", "backend eager", "backend cpu", "backend cuda", "numba", "av"):
        assert any(line.startswith(subject) for line in told.splitlines()), told


def test_doctor_tells_which_weights_are_there_and_where_others_go(tmp_path, monkeypatch, capsys):
    name = {"win32": "LOCALAPPDATA", "darwin": "HOME"}.get(sys.platform, "XDG_DATA_HOME")
    monkeypatch.setenv(name, str(tmp_path))
    [folder] = host.metrics_folders()
    assert folder.is_relative_to(tmp_path) and folder.parts[-2:] == ("internal-methods", "metrics")
    folder.mkdir(parents=True)
    torch.save(random_weights(DISTS), folder / "any.pt")
    assert main(["doctor"]) == 0
    [line] = [t for t in capsys.readouterr().out.splitlines() if t.startswith("weights")]
    assert f"dists in {folder / 'any.pt'}" in line
    assert "missing alexnet, lpips_alex, vgg16" in line and line.endswith(f"go into {folder}")


def test_models_dir_holds_the_weights_directly(tmp_path):
    with host.hosting(host.Host(models=tmp_path)):
        assert host.metrics_folders() == [tmp_path.resolve()]


START = (
    "import importlib.util, sys; "
    f"spec = importlib.util.spec_from_file_location('internal_methods', r'{ROOT}/__init__.py'); "
    "sys.modules['internal_methods'] = m = importlib.util.module_from_spec(spec); "
    "spec.loader.exec_module(m); "
)


def test_ctrl_c_in_the_middle_of_a_run(folder):
    """As a process of its own: 130, and no half file."""
    Image.new("RGB", (256, 256)).save("in.png")
    document = canvas.invert_and_save()
    grow = {"type": "GrowMask", "widgets_values": [16384, True]}  # takes long enough
    document["nodes"][1] |= grow
    document["nodes"][1]["inputs"] = [{"name": "mask", "type": "MASK", "link": 1}]
    document["links"][0] = [1, 1, 1, 2, 0, "MASK"]
    show = {"id": 4, "type": "MaskToImage", "title": "M"}
    show["inputs"] = [{"name": "mask", "type": "MASK", "link": 2}]
    document["nodes"].append(document["nodes"][1] | show)
    document["links"][1] = [2, 2, 0, 4, 0, "MASK"]
    document["links"].append([3, 4, 0, 3, 0, "IMAGE"])
    document["nodes"][2]["inputs"][0]["link"] = 3
    canvas.write(folder, document)
    code = START + "from internal_methods.headless.command import script; script()"
    command = [sys.executable, "-c", code, "run", "job.json"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as job:
        while not (folder / "output").exists() and job.poll() is None:
            time.sleep(0.05)
        time.sleep(0.3)
        job.send_signal(signal.SIGINT)
        told = job.communicate(timeout=20)[1]
    assert (job.returncode, told.splitlines()[-1]) == (130, "internal-methods: interrupted")
    assert os.listdir(folder / "output") == []


def test_without_torch_nodes_and_doctor_still_speak(folder):
    blocked = START + (
        "sys.modules['torch'] = None; from internal_methods.headless.command import main; "
        "codes = [main(['nodes']), main(['doctor']), main(['run', 'job.json'])]; "
        "sys.exit(codes != [0, 0, 1])"
    )
    done = subprocess.run([sys.executable, "-c", blocked], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "torch        missing" in done.stdout
    assert done.stderr.splitlines() == [
        "internal-methods: PyTorch is not installed; pip install "
        '"internal-methods[standalone]", or pip install torch'
    ]
