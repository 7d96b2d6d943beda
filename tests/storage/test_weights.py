"""Weights are known by their tensors, in every form in which they are published or saved."""

import os
import pickle

import pytest
import torch
from safetensors.torch import save_file

from internal_methods.methods.metrics.backbones import ALEXNET, VGG16
from internal_methods.methods.metrics.dists import DISTS
from internal_methods.methods.metrics.lpips import LPIPS_ALEX, LPIPS_VGG
from internal_methods.methods.metrics.weights import MissingWeights, WeightsKind
from internal_methods.storage import weights
from internal_methods.storage.weights import WeightsFolder
from shared import shared

SMALL = WeightsKind(
    name="small",
    shapes={"features.0.weight": (4, 3, 2, 2), "features.0.bias": (4,), "lin.weight": (1, 4)},
    file="small.pth",
    source="https://example.org/small.pth",
)


def tensors(kind: WeightsKind = SMALL, dtype=torch.float32) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(5)
    return {n: torch.rand(s, generator=generator).to(dtype) for n, s in kind.shapes.items()}


def vgg19() -> dict[str, torch.Tensor]:
    """The convolutions of torchvision's VGG19: the first ten are those of VGG16."""
    places = (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34)
    widths = (3, 64, 64, 128, 128, *[256] * 4, *[512] * 8)
    shapes = zip(places, widths[:-1], widths[1:], strict=True)
    return {f"features.{n}.weight": torch.zeros(o, i, 3, 3) for n, i, o in shapes} | {
        f"features.{n}.bias": torch.zeros(o) for n, o in zip(places, widths[1:], strict=True)
    }


def in_safetensors(path, content):
    save_file(content, path.with_suffix(".safetensors"))


def in_pth(path, content):
    torch.save(content, path.with_suffix(".pth"))


def in_old_pth(path, content):
    torch.save(content, path.with_suffix(".pth"), _use_new_zipfile_serialization=False)


def in_pt(path, content):
    torch.save(content, path.with_suffix(".pt"))


def wrapped(path, content):
    torch.save({"state_dict": content, "epoch": 3, "best": 0.1}, path.with_suffix(".pth"))


def of_data_parallel(path, content):
    in_pth(path, {f"module.{name}": tensor for name, tensor in content.items()})


def as_parameters(path, content):
    in_pth(path, {name: torch.nn.Parameter(tensor) for name, tensor in content.items()})


def with_more(path, content):
    """Backbone and heads, or features and classifier, in one file."""
    in_safetensors(path, content | {"classifier.6.weight": torch.zeros(7, 7)})


FORMS = [
    in_safetensors, in_pth, in_old_pth, in_pt, wrapped, of_data_parallel, as_parameters, with_more
]  # fmt: skip


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize("write", FORMS)
def test_every_form_of_file_is_known(tmp_path, write, dtype):
    write(tmp_path / "any name.v2", tensors(dtype=dtype))
    loaded = WeightsFolder([tmp_path]).load(SMALL)
    assert set(loaded.tensors) == set(SMALL.shapes)
    for name, expected in tensors(dtype=dtype).items():
        assert torch.equal(loaded.tensors[name], expected)
        assert loaded.tensors[name].dtype == dtype and not loaded.tensors[name].requires_grad


def test_subfolders_are_looked_through_and_what_else_lies_there_is_not(tmp_path):
    (tmp_path / "vgg").mkdir()
    in_pth(tmp_path / "vgg" / "a", tensors())
    (tmp_path / "readme.txt").write_text("pth")
    (tmp_path / "folder.pth").mkdir()
    source = WeightsFolder([tmp_path / "missing", tmp_path])
    assert [path.name for path in source.files()] == ["a.pth"]
    assert source.load(SMALL).label.startswith("a.pth ")


def test_of_several_files_the_first_by_name_is_taken(tmp_path):
    for name in ("c", "b", "d"):
        in_safetensors(tmp_path / name, {n: t + ord(name) for n, t in tensors().items()})
    loaded = WeightsFolder([tmp_path]).load(SMALL)
    assert loaded.label.startswith("b.safetensors")
    assert torch.equal(loaded.tensors["lin.weight"], tensors()["lin.weight"] + ord("b"))


def test_the_label_holds_the_start_of_the_sha256(tmp_path):
    import hashlib

    in_pth(tmp_path / "a", tensors())
    expected = hashlib.sha256((tmp_path / "a.pth").read_bytes()).hexdigest()[:8]
    assert WeightsFolder([tmp_path]).load(SMALL).label == f"a.pth {expected}"


def test_a_missing_file_is_told_with_its_name_its_source_and_its_folder(tmp_path):
    with pytest.raises(MissingWeights) as error:
        WeightsFolder([tmp_path]).load(SMALL)
    for part in ("small", "small.pth", SMALL.source, str(tmp_path), "0 files"):
        assert part in str(error.value)


def test_a_file_that_nearly_fits_is_told_with_what_was_expected(tmp_path):
    in_pth(tmp_path / "near", {**tensors(), "lin.weight": torch.zeros(1, 5)})
    in_pth(tmp_path / "part", {n: t for n, t in tensors().items() if n != "lin.weight"})
    in_pth(tmp_path / "other", {"conv.weight": torch.zeros(2)})
    in_pth(tmp_path / "whole", {**tensors(), "lin.weight": torch.zeros(1, 4, dtype=torch.int8)})
    with pytest.raises(MissingWeights) as error:
        WeightsFolder([tmp_path]).load(SMALL)
    message = str(error.value)
    assert "near.pth is not it: expected lin.weight of 1x4, which has 1x5" in message
    assert "part.pth is not it: expected lin.weight of 1x4" in message
    assert "whole.pth is not it: expected lin.weight of 1x4" in message
    assert "other.pth" not in message and "1 file of other networks" in message


def test_broken_files_are_passed_over_and_told(tmp_path):
    in_safetensors(tmp_path / "cut", tensors())
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(cut.read_bytes()[:-20])
    (tmp_path / "empty.safetensors").write_bytes(b"")
    (tmp_path / "text.pth").write_text("<html>404</html>")
    (tmp_path / "empty.pth").write_bytes(b"")
    in_pth(tmp_path / "cut", tensors())
    (tmp_path / "cut.pth").write_bytes((tmp_path / "cut.pth").read_bytes()[:200])
    torch.save([torch.zeros(2)], tmp_path / "list.pt")
    with pytest.raises(MissingWeights) as error:
        WeightsFolder([tmp_path]).load(SMALL)
    names = ("cut.safetensors", "empty.safetensors", "text.pth", "empty.pth", "cut.pth", "list.pt")
    for name in names:
        assert name in str(error.value)
    in_pth(tmp_path / "zz", tensors())
    assert WeightsFolder([tmp_path]).load(SMALL).label.startswith("zz.pth")


class Harm:
    def __reduce__(self):
        return os.mkdir, ("harm",)


@pytest.mark.parametrize("old", [True, False])
def test_nothing_but_tensors_is_unpickled(tmp_path, monkeypatch, old):
    monkeypatch.chdir(tmp_path)
    torch.save({**tensors(), "x": Harm()}, "a.pth", _use_new_zipfile_serialization=not old)
    (tmp_path / "b.pth").write_bytes(pickle.dumps(Harm(), protocol=2))
    with pytest.raises(MissingWeights, match=r"a\.pth cannot be loaded.*b\.pth cannot be loaded"):
        WeightsFolder([tmp_path]).load(SMALL)
    assert not (tmp_path / "harm").exists()


def test_a_file_is_read_once_until_it_changes(tmp_path, monkeypatch):
    reads = []
    read = weights._read_shapes
    monkeypatch.setattr(weights, "_read_shapes", lambda path: reads.append(path) or read(path))
    in_safetensors(tmp_path / "a", {"x": torch.zeros(2)})
    for _ in range(2):
        with pytest.raises(MissingWeights):
            WeightsFolder([tmp_path]).load(SMALL)
    assert len(reads) == 1
    in_safetensors(tmp_path / "a", tensors())
    first = WeightsFolder([tmp_path]).load(SMALL)
    assert len(reads) == 2
    in_safetensors(tmp_path / "a", {n: t + 1 for n, t in tensors().items()})
    os.utime(tmp_path / "a.safetensors", ns=(1, 1))  # of the same size, however coarse the clock
    second = WeightsFolder([tmp_path]).load(SMALL)
    assert first.label != second.label
    assert torch.equal(second.tensors["lin.weight"], first.tensors["lin.weight"] + 1)


@pytest.mark.parametrize("write", [in_safetensors, in_pth, in_old_pth])
def test_any_broken_byte_is_at_most_a_broken_file(tmp_path, write):
    write(tmp_path / "a", tensors())
    [path] = tmp_path.iterdir()
    whole, found = path.read_bytes(), 0
    for place in range(0, len(whole), max(1, len(whole) // 60)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        os.utime(path, ns=(place, place))
        try:
            found += WeightsFolder([tmp_path]).find(SMALL) == path
        except MissingWeights as error:
            assert path.name in str(error) or "other networks" in str(error)
    assert 0 < found < 60


def test_what_was_loaded_outlives_the_file(tmp_path):
    in_pth(tmp_path / "a", tensors())
    loaded = WeightsFolder([tmp_path]).load(SMALL)
    with (tmp_path / "a.pth").open("r+b") as file:
        file.truncate(0)
    assert torch.equal(loaded.tensors["lin.weight"], tensors()["lin.weight"])


def test_the_two_heads_of_lpips_are_told_apart(tmp_path):
    in_pth(tmp_path / "a", tensors(LPIPS_VGG))
    in_pth(tmp_path / "b", tensors(LPIPS_ALEX))
    source = WeightsFolder([tmp_path])
    assert source.find(LPIPS_ALEX).name == "b.pth"
    assert source.find(LPIPS_VGG).name == "a.pth"


def test_a_kind_can_be_a_key():
    assert {ALEXNET: 1, VGG16: 2}[VGG16] == 2


def test_vgg19_is_not_taken_for_vgg16(tmp_path):
    in_pth(tmp_path / "a", vgg19())
    with pytest.raises(MissingWeights, match=r"a\.pth is not it: expected .*features\.\d+\.weight"):
        WeightsFolder([tmp_path]).load(VGG16)


def test_the_shared_files_are_what_they_are():
    source = WeightsFolder([shared("weights")])
    both = "vgg16_features_lpips_fp16.safetensors"
    assert source.find(VGG16).name == source.find(LPIPS_VGG).name == both
    both = "alexnet_features_lpips.safetensors"
    assert source.find(ALEXNET).name == source.find(LPIPS_ALEX).name == both
    assert source.find(DISTS).name == "dists_alpha_beta.safetensors"
