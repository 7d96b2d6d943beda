"""A training on the command line that ends early goes on later, and comes to the same bits."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from internal_methods.headless import host
from internal_methods.headless.command import main
from internal_methods.headless.run import descriptions, node_classes
from internal_methods.headless.workflow import sockets
from internal_methods.methods.diffusion import training
from internal_methods.storage.models import load_model
from internal_methods.storage.pictures import read

ROOT = Path(__file__).resolve().parents[2]
STEPS, STOP = 40, 17
SMALL = {"steps": STEPS, "window": 16, "batch": 2, "width": 8, "levels": 2}

# The command, with a checkpoint after every step, that ends in the step STOP.
ENDING = f"""
import importlib.util, os, signal, sys
spec = importlib.util.spec_from_file_location("internal_methods", {str(ROOT / "__init__.py")!r})
pack = sys.modules["internal_methods"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(pack)
from internal_methods.methods.diffusion import training
training.SAVED, advance = 0.0, training.Trainer.advance
def end(self, share):
    if self.done == {STOP}:
        END
    advance(self, share)
training.Trainer.advance = end
from internal_methods.headless.command import script
script()
"""
ENDS = {
    "kill -9": "os.kill(os.getpid(), getattr(signal, 'SIGKILL', signal.SIGTERM))",
    "ctrl-c": "raise KeyboardInterrupt",
}
TRAIN, INTERVALS = "InternalTrainDiffusion", "InternalIntervalInpaint"
CASES = [("kill -9", TRAIN), ("ctrl-c", TRAIN), ("kill -9", INTERVALS)]
ARGUMENTS = ["run", "job.json", "--threads", "1", "--device", "cpu", "--models-dir", "models"]
MODEL, FILL = Path("models", "trained.safetensors"), Path("output", "filled_00001_.exr")


@pytest.fixture(scope="module", params=CASES, ids=" of ".join)
def left(request, tmp_path_factory):
    """A folder with a picture, a hole, a workflow that trains and saves, and what a run has left
    there that came to a bad end; data/ is the user's.
    """
    folder = tmp_path_factory.mktemp("left")
    random = np.random.default_rng(0)
    Image.fromarray(random.integers(0, 256, (40, 48, 3), np.uint8)).save(folder / "in.png")
    hole = np.zeros((40, 48, 3), np.uint8)
    hole[10:20, 10:20] = 255
    Image.fromarray(hole).save(folder / "hole.png")
    how, node = request.param
    (folder / "job.json").write_text(json.dumps(graph(node)))
    command = [sys.executable, "-c", ENDING.replace("END", ENDS[how]), *ARGUMENTS]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=folder, env={**os.environ, **user(folder)}
    )
    code = {"kill -9": -getattr(signal, "SIGKILL", -15), "ctrl-c": 130}[how]
    assert done.returncode == code, done.stderr
    assert not (folder / MODEL).exists() and not (folder / FILL).exists()
    return folder


def user(folder: Path) -> dict[str, str]:
    """Where the user's data lie, on any system."""
    return dict.fromkeys(("XDG_DATA_HOME", "LOCALAPPDATA", "HOME"), str(folder / "data"))


@pytest.fixture
def folder(left, tmp_path, monkeypatch):
    """A copy of that, the current folder."""
    shutil.copytree(left, tmp_path, dirs_exist_ok=True)
    for name, place in user(tmp_path).items():
        monkeypatch.setenv(name, place)
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()
    yield tmp_path
    torch.set_num_threads(threads)


def graph(node: str) -> dict:
    """Trains with that node and saves what it gives, in the API format."""
    known = sockets(descriptions(node_classes())[node])
    given = {
        name: options["default"] for name, (_, options) in known.items() if "default" in options
    }
    given |= {"image": ["1", 0], "mask": ["2", 0], **SMALL}
    saved = {"images": ["3", 0], "filename_prefix": "filled", "format": "exr"}
    last = {"class_type": "InternalSaveImage", "inputs": saved}
    if node == TRAIN:
        saved = {"model": ["3", 0], "name": "trained", "overwrite": True}
        last = {"class_type": "InternalSaveModel", "inputs": saved}
    else:
        given |= {"intervals": 4, "asked": 2}
    return {
        "1": {"class_type": "LoadImage", "inputs": {"image": "in.png"}},
        "2": {"class_type": "LoadImageMask", "inputs": {"image": "hole.png", "channel": "red"}},
        "3": {"class_type": node, "inputs": given, "_meta": {"title": "Settings"}},
        "4": last,
    }


@pytest.fixture
def steps(monkeypatch):
    """How many steps were made in this process."""
    made, advance = [], training.Trainer.advance

    def counted(self, share):
        made.append(self.done)
        advance(self, share)

    monkeypatch.setattr(training.Trainer, "advance", counted)
    return made


def run(*more: str) -> dict[str, torch.Tensor]:
    """What a whole run comes to: weights and losses of the model, or the picture."""
    assert main([*ARGUMENTS, *more]) == 0
    if FILL.exists():
        picture = torch.from_numpy(read(FILL))
        FILL.unlink()
        return {"picture": picture}
    model = load_model(MODEL)
    MODEL.unlink()
    return {**model.weights, "losses": torch.tensor(model.losses)}


def checkpoints() -> list[str]:
    folder = host.checkpoint_folder()
    return sorted(os.listdir(folder)) if folder.exists() else []


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[n], other[n]) for n in one)


def test_it_goes_on_to_the_same_bits(folder, steps):
    resumed = run()
    assert steps == list(range(STOP, STEPS)) and checkpoints() == []
    steps.clear()
    assert same(run(), resumed) and steps == list(range(STEPS))


def test_another_input_begins_anew_and_leaves_the_other_checkpoint(folder, steps):
    other = run("--set", "Settings.seed=1")
    assert steps == list(range(STEPS)) and len(checkpoints()) > 0
    steps.clear()
    assert not same(run(), other)
    assert steps == list(range(STOP, STEPS))


@pytest.mark.parametrize("harm", ["cut", "foreign"])
def test_a_bad_checkpoint_is_told_and_not_used(folder, steps, caplog, harm):
    [path] = host.checkpoint_folder().glob("*.safetensors")
    path.write_bytes(path.read_bytes()[:-1] if harm == "cut" else b"not of ours")
    begun = run()
    assert steps == list(range(STEPS)) and same(run(), begun)
    assert str(path) in caplog.text and f"it is now {path.stem}.broken" in caplog.text
