"""`internal-methods score` on files, from the outside."""

import json

import numpy as np
import pytest
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio

from internal_methods.headless.command import main


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """truth/, fills/ and masks/ with pictures a and b, that differ inside the masks alone."""
    rng = np.random.default_rng(0)
    for name in "ab":
        truth = rng.integers(0, 256, (40, 48, 3), dtype=np.uint8)
        mask = np.zeros((40, 48), np.uint8)
        mask[10:24, 12:30] = 255
        fill = np.where(mask[..., None] > 0, 255 - truth, truth)
        for place, pixels in (("truth", truth), ("fills", fill), ("masks", mask)):
            (tmp_path / place).mkdir(exist_ok=True)
            Image.fromarray(pixels).save(tmp_path / place / f"{name}.png")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "nothing"))
    return tmp_path


def rows(capsys, *argv):
    assert main(["score", *argv, "--json"]) == 0
    captured = capsys.readouterr()
    return json.loads(captured.out)["scores"], captured.err


def pixels(path):
    with Image.open(path) as file:
        return np.asarray(file)


def test_a_fill_by_region(folder, capsys):
    found, _ = rows(capsys, "fills/a.png", "truth/a.png", "--mask", "masks/a.png",
                    "--metrics", "psnr,l1")  # fmt: skip
    by = {(row["metric"], row["region"]): row for row in found}
    assert set(by) == {(m, r) for m in ("psnr", "l1") for r in ("all", "inside", "ring", "outside")}
    wanted = peak_signal_noise_ratio(pixels("truth/a.png"), pixels("fills/a.png"))
    assert by["psnr", "all"]["value"] == pytest.approx(wanted, abs=1e-4)
    assert by["psnr", "outside"]["value"] == "inf" and by["l1", "outside"]["value"] == 0
    assert by["l1", "inside"]["method"] == "a" and by["l1", "inside"]["better"] == "lower"
    assert set(by["l1", "all"]) == {
        "method", "image", "metric", "region", "value", "better", "weights", "seconds", "note",
    }  # fmt: skip


def test_folders_go_together_by_name(folder, capsys):
    found, _ = rows(capsys, "fills", "truth", "--mask", "masks", "--metrics", "l2")
    assert [row["image"] for row in found if row["region"] == "all"] == ["a", "b"]
    assert {row["method"] for row in found} == {"fills"}
    one, _ = rows(capsys, "fills", "truth/b.png", "--metrics", "l2")
    by = {row["image"]: row["value"] for row in one}
    inside = next(r["value"] for r in found if (r["image"], r["region"]) == ("b", "all"))
    assert by["b"] == inside and by["a"] > inside


def test_what_lacks_weights_is_left_out_unless_asked_for(folder, capsys):
    found, err = rows(capsys, "fills/a.png", "truth/a.png")
    names = {row["metric"] for row in found}
    assert {"psnr", "ssim", "l1", "flip"} <= names and "lpips_alex" not in names
    assert "lpips_alex: no weights of alexnet" in err
    asked, _ = rows(capsys, "fills/a.png", "truth/a.png", "--metrics", "lpips_alex,l1")
    assert [row["value"] is None for row in asked] == [False, True]
    assert "alexnet" in asked[1]["note"]


def test_without_json_it_is_a_table(folder, capsys):
    assert main(["score", "fills/a.png", "truth/a.png", "--metrics", "l1"]) == 0
    head, _, line = capsys.readouterr().out.splitlines()[:3]
    assert head.split() == ["metric", "region", "better", "a"]
    assert line.split()[:3] == ["l1", "all", "lower"]


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["fills/a.png", "truth/c.png"], "no file or folder truth/c.png"),
        (["fills/a.png", "small.png"], "resize"),
        (["fills/a.png", "truth/a.png", "--metrics", "psrn"], "no metric psrn; there are psnr"),
        (["fills", "lonely"], "0 pictures in lonely are called b"),
        (["empty", "truth"], "empty holds no pictures"),
        (["broken.png", "truth/a.png"], "broken.png"),
    ],
)
def test_wrong_input_ends_with_2_and_says_what(folder, capsys, argv, words):
    Image.new("RGB", (20, 20)).save("small.png")
    (folder / "empty").mkdir()
    (folder / "lonely").mkdir()
    Image.new("RGB", (48, 40)).save("lonely/a.png")
    (folder / "broken.png").write_bytes(b"no picture")
    assert main(["score", *argv]) == 2
    captured = capsys.readouterr()
    assert words in captured.err and captured.out == ""


def test_a_folder_of_samples_has_a_diversity(folder, capsys):
    found, _ = rows(capsys, "fills", "truth/a.png", "--metrics", "diversity")
    samples = np.stack([pixels(f"fills/{name}.png") for name in "ab"]) / 255
    wanted = samples.std(axis=0).mean() / (pixels("truth/a.png") / 255).std(axis=(0, 1)).mean()
    by = {row["metric"]: row["value"] for row in found}
    assert by["diversity"] == pytest.approx(wanted, rel=1e-5)
    every, _ = rows(capsys, "fills", "truth/a.png")
    assert {"psnr", "diversity"} <= {row["metric"] for row in every}


def test_a_folder_against_a_folder_is_a_set_too(folder, capsys):
    asked, err = rows(capsys, "fills", "truth", "--metrics", "frechet_vgg16")
    assert [(row["metric"], row["value"]) for row in asked] == [("frechet_vgg16", None)]
    assert "no weights of vgg16" in err


def test_videos_are_clips_and_so_are_folders_of_which_that_is_asked(folder, capsys):
    av = pytest.importorskip("av")
    for place in ("truth", "fills"):
        with av.open(f"{place}.mkv", "w") as file:
            stream = file.add_stream("ffv1", rate=8, width=48, height=40, pix_fmt="bgr0")
            for name in "aba":
                frame = av.VideoFrame.from_ndarray(pixels(f"{place}/{name}.png"), format="rgb24")
                file.mux(stream.encode(frame))
            file.mux(stream.encode())
    found, _ = rows(capsys, "fills.mkv", "truth.mkv", "--mask", "masks/a.png",
                    "--metrics", "l1,noise")  # fmt: skip
    by = {(row["metric"], row["region"]): row for row in found}
    assert by["l1", "outside"]["value"] == 0 and by["l1", "inside"]["value"] > 0.1
    assert by["noise", "inside"]["image"] == "fills"
    folders, _ = rows(capsys, "fills", "truth", "--mask", "masks/a.png", "--metrics", "noise")
    assert [row["metric"] for row in folders] == ["noise"]
