"""Models saved, loaded and described by nodes."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import canvas
from internal_methods.headless import host
from internal_methods.headless.command import main
from internal_methods.methods.cost import Cost
from internal_methods.methods.diffusion.provenance import model_words, provenance
from internal_methods.nodes.models import NEAREST, LoadModel, ModelInfo, SaveModel
from internal_methods.storage.checkpoints import Checkpoints
from internal_methods.storage.models import save_model
from internal_methods.storage.tensors import Kind, write_tensors
from trained_models import picture, same, trained_model


@pytest.fixture
def folder(tmp_path):
    """The run's models are in models/, its inputs in inputs/."""
    (tmp_path / "inputs").mkdir()
    where = host.Host(models=tmp_path / "models", inputs=(tmp_path / "inputs",))
    with host.hosting(where), torch.inference_mode():
        yield tmp_path


def save(name: str, model=None, overwrite: bool = False) -> Path:
    output = SaveModel.execute(model or trained_model(), name, overwrite)
    [path] = output.args
    assert path in output.ui.as_dict()["text"][0]
    return Path(path)


def test_what_is_saved_is_listed_and_loaded(folder):
    path = save("brick")
    assert path == folder / "models" / "brick.safetensors"
    name, last = LoadModel.define_schema().inputs[0].options
    assert name == "brick.safetensors" and last == NEAREST
    for given in (name, "brick"):
        assert LoadModel.validate_inputs(given) is True
        assert same(LoadModel.execute(given).args[0], trained_model())


def test_a_name_that_is_taken(folder):
    first, second = save("brick"), save("brick", trained_model(seed=1))
    assert second.name == "brick_2.safetensors"
    assert same(LoadModel.execute("brick").args[0], trained_model())
    third = save("brick", trained_model(seed=1), overwrite=True)
    assert third == first and same(LoadModel.execute("brick").args[0], trained_model(seed=1))
    assert sorted(os.listdir(folder / "models")) == ["brick.safetensors", "brick_2.safetensors"]


def test_a_bad_name_is_refused_before_the_training(folder):
    assert SaveModel.validate_inputs("brick") is True
    assert "may not hold any of" in SaveModel.validate_inputs("walls/brick")


def test_a_model_among_the_inputs(folder):
    save_model(folder / "inputs" / "mine.safetensors", trained_model())
    assert LoadModel.validate_inputs("mine.safetensors") is True
    assert same(LoadModel.execute("mine.safetensors").args[0], trained_model())
    absolute = str(folder / "inputs" / "mine.safetensors")
    assert same(LoadModel.execute(absolute).args[0], trained_model())


def test_a_missing_model_is_told_with_the_folders(folder):
    told = LoadModel.validate_inputs("brick")
    for part in ("'brick'", str(folder / "models"), str(folder / "inputs")):
        assert part in told
    (folder / "models").mkdir()
    (folder / "secret.safetensors").write_bytes(b"")
    assert "no model" in LoadModel.validate_inputs("../secret")


def test_a_changed_file_is_loaded_anew(folder):
    path = save("brick")
    first = LoadModel.fingerprint_inputs("brick")
    assert first == LoadModel.fingerprint_inputs("brick")
    before = path.stat()
    save("brick", trained_model(seed=1), overwrite=True)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert first != LoadModel.fingerprint_inputs("brick")


def trained_on(image: torch.Tensor, seed: int):
    """A model that says so."""
    return replace(trained_model(seed), provenance=provenance(image))


def waves(length: float, size: int = 64) -> torch.Tensor:
    """(1, 3, size, size): stripes, and a bit of noise."""
    line = torch.sin(torch.arange(size) * 6.283 / length).expand(1, 3, size, size)
    return 0.5 + 0.3 * line + 0.02 * picture(0, size)


def test_the_nearest_model_is_found(folder, caplog):
    for seed, length in enumerate((4, 9, 30)):
        save(f"waves {length}", trained_on(waves(length), seed))
    save("knows nothing", replace(trained_model(), provenance={}))
    tensors, description = trained_on(waves(9), 5).to_dict()
    write_tensors(folder / "models" / "new.safetensors", Kind("model", 99), tensors, description)
    for seed, length in enumerate((4, 9, 30)):
        model, told = LoadModel.execute(NEAREST, waves(length)[..., 10:].movedim(1, -1)).args
        assert same(model, trained_on(waves(length), seed))
        assert told.startswith(f"waves {length}.safetensors, the nearest of 3: 0.0")
    assert "new.safetensors holds a model of version 99" in caplog.text


def test_the_nearest_is_not_sought_under_the_mask(folder):
    save("fine", trained_on(waves(4), 0))
    save("coarse", trained_on(waves(30), 1))
    image, mask = waves(4), torch.zeros(1, 64, 64)
    image[..., 12:], mask[..., 12:] = waves(30)[..., 12:], 1
    image = image.movedim(1, -1)
    assert LoadModel.execute(NEAREST, image).args[1].startswith("coarse")
    assert LoadModel.execute(NEAREST, image, mask).args[1].startswith("fine")


def test_where_nothing_can_be_compared_it_is_said(folder):
    image = waves(9).movedim(1, -1)
    assert LoadModel.validate_inputs(NEAREST) is True
    with pytest.raises(ValueError, match="has no image; link one"):
        LoadModel.execute(NEAREST)
    with pytest.raises(ValueError, match="of 0 saved models none"):
        LoadModel.execute(NEAREST, image)
    save("waves", trained_on(waves(9), 0))
    with pytest.raises(ValueError, match="of 1 saved models none .* of 4 channels"):
        LoadModel.execute(NEAREST, torch.cat([image, image[..., :1]], -1))


def test_a_new_model_is_compared_too(folder):
    save("a", trained_on(waves(9), 0))
    first = LoadModel.fingerprint_inputs(NEAREST, image=None)
    assert first == LoadModel.fingerprint_inputs(NEAREST, image=None)
    save("b", trained_on(waves(4), 0))
    assert first != LoadModel.fingerprint_inputs(NEAREST, image=None)


def described(**more) -> tuple[str, torch.Tensor]:
    output = ModelInfo.execute(replace(trained_model(), **more))
    text, curve = output.args
    assert output.ui.as_dict()["text"] == (text,)
    return text, curve


def test_the_information_has_all(folder):
    mask = torch.zeros(1, 1, 24, 24)
    mask[..., :6] = 1
    cost = Cost(300.0, "cpu", memory=10**9)
    text, curve = described(provenance=provenance(picture(), mask, cost=cost, steps=2))
    assert "trained on: 1 picture of 24x24 pixels, 3 channels, 25.0% hidden, SHA-256 " in text
    assert "width 4" in text and "prediction x0" in text and "seed 0" in text
    assert "2 steps, loss " in text and f"torch {torch.__version__}" in text
    assert "5 min on cpu, 5.42 Wh at 65 W, 0.308 gCO2eq at 56.9 g/kWh, peak memory 1 GB" in text
    assert "stated, not measured" in text and "threads: " in text and "descriptor" not in text
    assert curve.shape[0] == 1 and curve.shape[3] == 3 and curve.std() > 0.01


def test_from_how_many_fills_on_the_training_pays(folder):
    told = provenance(picture(), cost=Cost(300.0, "cpu", 100.0))
    model = replace(trained_model(), provenance=told)
    assert "| this model |" not in ModelInfo.execute(model, 0.0, 20.0).args[0]
    alone = ModelInfo.execute(model, 2.0, 0.0).args[0]
    assert "| this model | 5 min cpu | 8.33 Wh |" in alone and "fills on" not in alone
    both = ModelInfo.execute(model, 2.0, 20.0).args[0]
    assert "this model costs less energy than the other method from 17 fills on" in both
    assert 300 + 16 * 2 >= 16 * 20 and 300 + 17 * 2 < 17 * 20
    ModelInfo.execute(replace(model, provenance={}), 2.0, 20.0)


def test_a_model_that_knows_little_is_described_too(folder):
    text, curve = described(provenance={}, losses=[])
    assert "trained on: not known" in text and "no training" in text
    assert curve.shape[0] == 1


def test_the_hash_tells_pictures_apart():
    def hashed(image):
        return provenance(image)["trained_on"]["sha256"]

    assert hashed(picture()) == hashed(picture().double())
    assert hashed(picture()) != hashed(picture().mT) != hashed(picture(1))
    json.dumps(provenance(picture(size=3)))


def graph(name: str) -> dict:
    """Loads a model and shows what is known of it."""
    load = {"id": 1, "type": "InternalLoadModel", "title": "Model", "widgets_values": [name]}
    load["outputs"] = [{"name": "model", "type": "INTERNAL_MODEL", "links": [1]}]
    info = {"id": 2, "type": "InternalModelInfo", "title": "Result"}
    info["inputs"] = [{"name": "model", "type": "INTERNAL_MODEL", "link": 1}]
    return canvas.canvas([load, info], [[1, 1, 0, 2, 0, "INTERNAL_MODEL"]])


def test_on_the_command_line(folder, capsys, monkeypatch):
    path = save("wall")
    job = canvas.write(folder, graph("wall.safetensors"))
    common = [str(job), "--json", "--output-dir", str(folder / "out")]
    assert main(["run", *common, "--models-dir", str(folder / "models")]) == 0
    [output] = json.loads(capsys.readouterr().out)["outputs"]
    assert output["text"] == model_words(trained_model())
    monkeypatch.setattr(host, "_user_data", lambda: folder / "data")
    assert main(["run", *common]) == 2
    assert "there is no model 'wall.safetensors'" in capsys.readouterr().err
    shutil.copy(path, folder / "wall.safetensors")  # beside the workflow
    assert main(["run", *common]) == 0
    told = ["--set", "Model.name=models/wall.safetensors"]
    monkeypatch.chdir(folder)
    assert main(["run", *common, *told]) == 0
    path.write_bytes(path.read_bytes()[:-9])
    capsys.readouterr()
    assert main(["run", *common, *told]) == 1
    assert "wall.safetensors is no safetensors file, or a broken one" in capsys.readouterr().err


def test_without_a_folder_given_models_are_the_user_s(tmp_path, monkeypatch):
    monkeypatch.setattr(host, "_user_data", lambda: tmp_path / "data")
    assert save("brick").parent == tmp_path / "data" / "internal"
    assert host.checkpoint_folder() == tmp_path / "data" / "checkpoints"
    monkeypatch.setattr(host, "_COMFYUI", [tmp_path / "comfy"])
    (tmp_path / "comfy" / "models").mkdir(parents=True)
    assert save("brick").parent == tmp_path / "comfy" / "models" / "internal"
    assert host.trained_model_folders()[1] == tmp_path / "data" / "internal"


def test_doctor_tells_what_is_kept(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(host, "_user_data", lambda: tmp_path)
    save("brick")
    with pytest.raises(KeyboardInterrupt), Checkpoints(host.checkpoint_folder()).of({}, 1) as kept:
        kept.save({"x": torch.zeros(250_000)}, None)
        raise KeyboardInterrupt
    assert main(["doctor"]) == 0
    told = capsys.readouterr().out
    assert f"models       1 trained ones in {tmp_path / 'internal'}" in told
    assert f"1 trainings can go on: 1.0 MB in {tmp_path / 'checkpoints'}" in told
