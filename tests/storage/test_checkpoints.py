"""A training that ends early, however it ends, goes on from its last checkpoint."""

import logging
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from internal_methods.storage import checkpoints
from internal_methods.storage.checkpoints import Checkpoints, InUse, key_of

ROOT = Path(__file__).resolve().parents[2]
INPUTS = {"image": torch.linspace(0, 1, 48).reshape(1, 3, 4, 4), "mask": torch.zeros(1, 1, 4, 4)}


@dataclass(frozen=True)
class Settings:
    steps: int = 100
    rate: float = 1e-3


def state(step: int, size: int = 8) -> dict[str, torch.Tensor]:
    return {"weights": torch.full((size,), float(step)), "step": torch.tensor(step)}


class Stopped(Exception):
    """What a cancelled run ends with."""


def stop_after(shelf: Checkpoints, step: int, settings: object = None, size: int = 8) -> None:
    with pytest.raises(Stopped), shelf.of(INPUTS, settings) as checkpoint:
        assert checkpoint
        checkpoint.save(state(step, size), {"step": step})
        raise Stopped


def left(shelf: Checkpoints, settings: object = None):
    """What a run with these settings finds, which is then stopped at once."""
    with pytest.raises(Stopped), shelf.of(INPUTS, settings) as checkpoint:
        assert checkpoint
        found = checkpoint.load()
        raise Stopped
    return found


def names(shelf: Checkpoints) -> list[str]:
    return sorted(os.listdir(shelf.folder))


@pytest.fixture
def shelf(tmp_path):
    return Checkpoints(tmp_path / "new" / "folder")


def test_a_stopped_run_goes_on_and_a_finished_one_leaves_nothing(shelf):
    assert left(shelf) is None
    stop_after(shelf, 3)
    with shelf.of(INPUTS, None) as checkpoint:
        tensors, description = checkpoint.load()
        assert torch.equal(tensors["weights"], torch.full((8,), 3.0)) and description == {"step": 3}
        checkpoint.save(state(4), {"step": 4})
        tensors, description = checkpoint.load()
        assert tensors["step"] == 4 and description == {"step": 4}
    assert names(shelf) == []


def test_other_inputs_and_settings_have_a_checkpoint_of_their_own(shelf):
    stop_after(shelf, 3, Settings())
    assert left(shelf, Settings(rate=2e-3)) is None
    changed = {**INPUTS, "mask": INPUTS["mask"].clone()}
    changed["mask"][0, 0, 1, 2] = 1
    with shelf.of(changed, Settings()) as checkpoint:
        assert checkpoint.load() is None
    assert left(shelf, Settings())[1] == {"step": 3}


def test_a_key_changes_with_the_code_the_pack_and_torch(monkeypatch):
    keys = {key_of(INPUTS, Settings())}
    for module, name, value in (
        (checkpoints, "_code", lambda: "changed"),
        (checkpoints, "__version__", "9.9"),
        (torch, "__version__", "9.9"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(module, name, value)
            keys.add(key_of(INPUTS, Settings()))
    assert len(keys) == 4 and key_of(INPUTS, Settings()) in keys


@pytest.mark.parametrize("harm", ["cut", "empty", "foreign", "other", "pickle"])
def test_a_bad_checkpoint_is_named_set_aside_and_never_loaded(shelf, caplog, harm):
    stop_after(shelf, 3)
    [path] = shelf.folder.glob("*.safetensors")
    if harm == "cut":
        path.write_bytes(path.read_bytes()[:-3])
    elif harm == "empty":
        path.write_bytes(b"")
    elif harm == "foreign":
        save_file(state(3), path)
    elif harm == "other":  # the checkpoint of another training, under this one's name
        stop_after(shelf, 9, "other settings")
        [other] = set(shelf.folder.glob("*.safetensors")) - {path}
        os.replace(other, path)
    else:
        torch.save(state(3), path)
    bad = path.read_bytes()
    with caplog.at_level(logging.WARNING):
        assert left(shelf) is None
    aside = path.with_suffix(".broken")
    assert str(path) in caplog.text and aside.name in caplog.text
    assert aside.read_bytes() == bad and not path.exists()
    stop_after(shelf, 5)
    assert left(shelf)[1] == {"step": 5}


def test_one_training_has_one_owner(shelf):
    with shelf.of(INPUTS, None):
        with pytest.raises(InUse, match=f"running already, in process {os.getpid()}"):
            with shelf.of(INPUTS, None):
                pass
        with shelf.of(INPUTS, "other settings") as other:
            assert other.load() is None
    with shelf.of(INPUTS, None) as checkpoint:
        assert checkpoint


def test_the_oldest_go_first(shelf):
    now = time.time()
    for number in range(4):
        stop_after(shelf, number, number, size=1000)
        age = (now - 100 + number, now - 100 + number)
        os.utime(shelf.folder / f"{key_of(INPUTS, number)}.safetensors", age)
    (shelf.folder / f"{'0' * 32}.broken").write_bytes(bytes(5000))
    os.utime(shelf.folder / f"{'0' * 32}.broken", (now - 99.5, now - 99.5))  # between 0 and 1
    size = (shelf.folder / f"{key_of(INPUTS, 0)}.safetensors").stat().st_size
    small = Checkpoints(shelf.folder, limit=3 * size + 100)
    stop_after(small, 4, 4, size=1000)
    assert not list(shelf.folder.glob("*.broken"))
    assert [left(small, n) is not None for n in range(5)] == [False, False, True, True, True]


def test_what_is_in_use_stays(shelf):
    small = Checkpoints(shelf.folder, limit=1)
    with small.of(INPUTS, "first") as first:
        first.save(state(1), None)
        with small.of(INPUTS, "second") as second:
            second.save(state(2), None)
            assert first.load() and second.load()
        with pytest.raises(Stopped), small.of(INPUTS, "third") as third:
            third.save(state(3), None)
            raise Stopped
        first.save(state(4), None)
        assert first.load()[0]["step"] == 4
    assert names(small) == []


def test_what_killed_runs_leave_behind_goes(shelf):
    stop_after(shelf, 1)
    (shelf.folder / f"{'1' * 32}.lock").write_text("123")  # killed before it saved anything
    key = key_of(INPUTS, None)
    (shelf.folder / f".{key}.99999.safetensors").write_bytes(bytes(10))  # killed while saving
    assert left(shelf) and f"{'1' * 32}.lock" not in names(shelf)
    small = Checkpoints(shelf.folder, limit=1)
    stop_after(small, 1, "other")
    assert names(small) == [f"{key_of(INPUTS, 'other')}.safetensors"]


def test_a_full_disk_stops_no_training(shelf, caplog):
    resource = pytest.importorskip("resource")
    stop_after(shelf, 1)
    with pytest.raises(Stopped), shelf.of(INPUTS, None) as checkpoint:
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))
        try:
            checkpoint.save(state(2, size=5000), {"step": 2})
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        raise Stopped
    assert "no checkpoint was written" in caplog.text
    assert left(shelf)[1] == {"step": 1}


def test_without_a_folder_a_training_runs_without_checkpoints(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    with Checkpoints(tmp_path / "file" / "folder").of(INPUTS, None) as checkpoint:
        assert checkpoint is None
    assert "cannot be resumed" in caplog.text


def test_without_safetensors_too(tmp_path, monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with Checkpoints(tmp_path).of(INPUTS, None) as checkpoint:
        assert checkpoint is None
    assert "cannot be resumed" in caplog.text


TRAIN = f"""
import importlib.util, sys, time
spec = importlib.util.spec_from_file_location("internal_methods", {str(ROOT / "__init__.py")!r})
pack = sys.modules["internal_methods"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(pack)
import torch
from pathlib import Path
from internal_methods.storage.checkpoints import Checkpoints
with Checkpoints(Path(sys.argv[1])).of({{"image": torch.zeros(2)}}, None) as checkpoint:
    found = checkpoint.load()
    step = found[1]["step"] if found else 0
    print("from", step, flush=True)
    while True:
        step += 1
        checkpoint.save({{"x": torch.full((300_000,), float(step))}}, {{"step": step}})
        if step % 10 == 0:
            print("at", step, flush=True)
"""


def test_kill_9_between_and_within_saves(tmp_path):
    """A run that only saves, killed again and again: each one goes on where the last one was."""
    inputs, before = {"image": torch.zeros(2)}, 0
    for kill in range(3):
        command = [sys.executable, "-c", TRAIN, str(tmp_path)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert process.stdout and process.stdout.readline().split() == ["from", str(before)]
            with (
                pytest.raises(InUse, match=str(process.pid)),
                Checkpoints(tmp_path).of(inputs, None),
            ):
                pass
            said = int(process.stdout.readline().split()[1])
            time.sleep(0.003 * kill)
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
        with pytest.raises(Stopped), Checkpoints(tmp_path).of(inputs, None) as checkpoint:
            tensors, description = checkpoint.load()
            raise Stopped
        before = description["step"]
        assert before >= said
        assert torch.equal(tensors["x"], torch.full((300_000,), float(before)))
    assert not list(tmp_path.glob("*.broken"))
