"""Training and sampling inside a running ComfyUI: cancelled, gone on with, and what comes out."""

import io
import json
import time

import numpy as np
import pytest
from PIL import Image

from internal_methods.headless.command import main

TRAINERS = ("InternalTrainDiffusion", "InternalIntervalInpaint")
SMALL = {"window": 16, "batch": 2, "width": 8, "levels": 2, "precision": "float32"}


@pytest.fixture(scope="module")
def described(server):
    return server.json("/object_info")


@pytest.fixture(scope="module")
def pictures(server):
    """A striped picture and a hole in it, among the server's inputs."""
    rows, columns = np.mgrid[:48, :64]
    stripes = 128 + 100 * np.sin((rows + 2 * columns) / 3)
    noise = np.random.default_rng(1).normal(0, 10, (48, 64, 3))
    pixels = (stripes[..., None] + noise).clip(0, 255).astype(np.uint8)
    hole = np.zeros_like(pixels)
    hole[16:32, 24:40] = 255
    folder = server.base / "input"
    Image.fromarray(pixels).save(folder / "stripes.png")
    Image.fromarray(hole).save(folder / "stripes_hole.png")
    return pixels, hole[..., 0] > 0


def graph(described: dict, trainer: str = "InternalTrainDiffusion", **settings) -> dict:
    """Train on the striped picture, and save what fills its hole."""
    wanted = described[trainer]["input"]
    known = {**wanted["required"], **wanted.get("optional", {})}
    given = {n: o.get("default") for n, (_, o) in known.items() if "default" in o}
    given |= {"image": ["1", 0], "mask": ["2", 0], **SMALL, **settings}
    prompt = {
        "1": {"class_type": "LoadImage", "inputs": {"image": "stripes.png"}},
        "2": {
            "class_type": "LoadImageMask",
            "inputs": {"image": "stripes_hole.png", "channel": "red"},
        },
        "3": {"class_type": trainer, "inputs": {n: v for n, v in given.items() if n in known}},
    }
    result = ["3", 0]
    if trainer == "InternalTrainDiffusion":
        fill = {"steps": 8, "sampler": "dpm2", "count": 2, "seed": 3, "strip": 4}
        fill |= {"model": result, "image": ["1", 0], "mask": ["2", 0]}
        prompt["4"] = {"class_type": "InternalDiffusionInpaint", "inputs": fill}
        result = ["4", 0]
    saved = {"images": result, "filename_prefix": "trained"}
    prompt["5"] = {"class_type": "SaveImage", "inputs": saved, "_meta": {"title": "Result"}}
    return prompt


def checkpoints(server) -> list:
    return list((server.base / "user" / "__internal_methods" / "checkpoints").glob("*.safetensors"))


def pixels_of(server, history: dict) -> np.ndarray:
    assert history["status"]["status_str"] == "success", json.dumps(server.told(history))
    files = history["outputs"]["5"]["images"]
    return np.stack([np.array(Image.open(io.BytesIO(server.get("/view", **f)))) for f in files])


def pixels_alone(prompt: dict, server, folder, capsys) -> np.ndarray:
    """What the command line makes of the same graph, with the same inputs."""
    path = folder / "graph.json"
    inputs = (server.base / "input").as_posix()
    path.write_text(json.dumps(prompt).replace("stripes", f"{inputs}/stripes"))
    assert main(["run", str(path), "--output-dir", str(folder / "out"), "--json"]) == 0
    [result] = [o for o in json.loads(capsys.readouterr().out)["outputs"] if o["node"] == "Result"]
    return np.stack([np.array(Image.open(file)) for file in result["files"]])


def cancelled(server, prompt: dict) -> None:
    """Cancel a training in its midst; on a busy machine that takes longer to come to."""
    for seconds in (2, 4, 8, 16):
        job = server.queue(prompt)
        time.sleep(seconds)
        server.post("/interrupt", {})
        # A second, where the machine has nothing else to do.
        told = server.told(server.finished(job, seconds=20))
        assert told["execution_interrupted"]["node_id"] == "3"
        if checkpoints(server):
            return
    raise AssertionError("the training did not come as far as its first step")


@pytest.mark.parametrize("trainer", TRAINERS)
def test_a_cancelled_training_ends_soon_goes_on_and_gives_the_same(
    trainer, server, described, pictures, tmp_path, capsys
):
    prompt = graph(described, trainer, steps=800)
    cancelled(server, prompt)
    resumed = pixels_of(server, server.run(prompt))
    assert not checkpoints(server)
    assert np.array_equal(resumed, pixels_alone(prompt, server, tmp_path, capsys))
    known, hole = pictures
    assert all(np.array_equal(made[~hole], known[~hole]) for made in resumed)


def test_training_in_a_node_changes_the_weights(server, described, pictures):
    """ComfyUI runs nodes in inference mode, where a careless training changes nothing."""
    once, often = (
        pixels_of(server, server.run(graph(described, steps=steps, seed=5))) for steps in (1, 200)
    )
    known, hole = pictures
    errors = [np.square(made[0][hole].astype(float) - known[hole]).mean() for made in (once, often)]
    assert errors[1] < 0.5 * errors[0]


@pytest.mark.parametrize("trainer", TRAINERS)
def test_a_hole_that_leaves_nothing_is_told(trainer, server, described, pictures):
    Image.new("RGB", (64, 48), "white").save(server.base / "input" / "all.png")
    prompt = graph(described, trainer, steps=5)
    prompt["2"]["inputs"]["image"] = "all.png"
    history = server.run(prompt)
    error = server.told(history)["execution_error"]
    assert error["node_id"] == "3" and "mask" in error["exception_message"]
