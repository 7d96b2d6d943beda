"""Our stand-ins for ComfyUI's own nodes give what ComfyUI's nodes give, value for value."""

import json

import av
import numpy as np
import pytest
import torch
from PIL import Image

from internal_methods.headless import core, core_video, host
from videos import write_video

SCALES = [("nearest-exact", "disabled"), ("bilinear", "center"), ("area", "disabled")]
SCALES += [("bicubic", "center"), ("lanczos", "disabled"), ("lanczos", "center")]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """One file of every kind that people feed to a Load node."""
    folder = tmp_path_factory.mktemp("pictures")
    random = np.random.default_rng(5)
    rgba = Image.fromarray(random.integers(0, 256, (5, 7, 4), dtype=np.uint8), "RGBA")
    rgb, turned = rgba.convert("RGB"), Image.Exif()
    frames = [rgb.rotate(180), rgb.convert("L").convert("RGB")]
    turned[0x0112] = 6
    deep = Image.fromarray(random.integers(0, 65536, (5, 7), dtype=np.uint16))
    palette = rgb.convert("P")
    colour = tuple(int(value) for value in np.asarray(rgb)[0, 0])
    rgb.save(folder / "rgb.png")
    rgba.save(folder / "rgba.png")
    rgba.convert("LA").save(folder / "grey_alpha.png")
    rgb.convert("L").save(folder / "grey.png")
    rgb.convert("1").save(folder / "bits.png")
    palette.save(folder / "palette.png")
    palette.save(folder / "palette_alpha.png", transparency=palette.getpixel((2, 3)))
    rgb.save(folder / "one_colour_transparent.png", transparency=colour)
    deep.save(folder / "sixteen_bits.png")
    rgb.convert("CMYK").save(folder / "ink.jpg")
    rgb.save(folder / "turned.jpg", exif=turned)
    rgb.save(folder / "phone.mpo", save_all=True, append_images=frames)
    rgb.save(folder / "frames.gif", save_all=True, append_images=frames)
    rgba.save(folder / "frames.webp", save_all=True, append_images=frames, lossless=True)
    rgb.save(folder / "frames.png", save_all=True, append_images=frames)
    rgb.save(folder / "plain.tif")
    Image.fromarray(random.random((5, 7), dtype=np.float32)).save(folder / "float.tif")
    (folder / "broken.png").write_bytes(b"not a picture")
    return folder


@pytest.fixture(scope="module")
def videos(pictures):
    """And one video of every kind, beside them."""
    random = np.random.default_rng(7)
    frames = random.integers(0, 256, (5, 16, 18, 4), dtype=np.uint8)
    deep = random.integers(0, 65536, (2, 6, 8, 3), dtype=np.uint16)
    one, two = (random.uniform(-1, 1, (n, 900)).astype(np.float32) for n in (1, 2))
    rgb = np.ascontiguousarray(frames[..., :3])
    write_video(pictures / "lossless.mkv", rgb, sound=one)
    write_video(pictures / "alpha.mkv", frames, pixels="bgra")
    write_video(pictures / "deep.mkv", deep, pixels="gbrp16le", sound=two)
    write_video(pictures / "usual.mp4", rgb, "libx264", "yuv420p", rate=30)
    write_video(pictures / "full.mp4", rgb, "libx264", "yuvj444p", rate=24)
    write_video(pictures / "old.avi", rgb, "mpeg4", "yuv420p", rate=12)
    (pictures / "broken.mp4").write_bytes(b"not a video")
    (pictures / "empty.mkv").write_bytes(b"")
    kinds = (".mkv", ".mp4", ".avi")
    return sorted(path.name for path in pictures.iterdir() if path.suffix in kinds)


@pytest.fixture(scope="module")
def arrays():
    random = np.random.default_rng(6)
    return {
        "images": random.random((2, 5, 7, 3), dtype=np.float32) * 1.4 - 0.2,
        "steps": np.arange(256, dtype=np.float32).reshape(1, 16, 16, 1).repeat(3, 3) / 255,
        "half": random.random((1, 9, 4, 3)).astype(np.float16),
        "rgba": random.random((1, 6, 6, 4), dtype=np.float32),
        "mask": random.random((2, 13, 11), dtype=np.float32),
        "clip": random.random((24, 16, 18, 3), dtype=np.float32) * 1.4 - 0.2,
        "mono": random.random((1, 1, 40000), dtype=np.float32) - 0.5,
        "stereo": random.random((1, 2, 20000), dtype=np.float32) - 0.5,
        "flat_mask": (random.random((13, 11)) > 0.7).astype(np.float32),
    }


@pytest.fixture(scope="module")
def cases(pictures, videos):
    """name -> which node with which inputs, "@name" being an array."""
    asked = {}
    for file in sorted({path.name for path in pictures.iterdir()} - set(videos)):
        asked[f"load {file}"] = ("LoadImage", {"image": file})
        for channel in ("alpha", "red", "green", "blue"):
            inputs = {"image": file, "channel": channel}
            asked[f"load {channel} of {file}"] = ("LoadImageMask", inputs)
    for name in ("images", "steps", "half", "rgba"):
        inputs = {"images": f"@{name}", "filename_prefix": f"%width%/{name} %batch_num%"}
        asked[f"save {name}"] = ("SaveImage", inputs)
        asked[f"invert {name}"] = ("ImageInvert", {"image": f"@{name}"})
        asked[f"repeat {name}"] = ("RepeatImageBatch", {"image": f"@{name}", "amount": 3})
        asked[f"red of {name}"] = ("ImageToMask", {"image": f"@{name}", "channel": "red"})
    for method, crop in SCALES:
        for width, height in ((4, 9), (11, 0), (0, 3), (0, 0)):
            inputs = {"image": "@images", "upscale_method": method, "crop": crop}
            inputs |= {"width": width, "height": height}
            asked[f"scale to {width}x{height} {method} {crop}"] = ("ImageScale", inputs)
    asked["batch"] = ("ImageBatch", {"image1": "@images", "image2": "@images"})
    asked["batch of two sizes"] = ("ImageBatch", {"image1": "@images", "image2": "@steps"})
    for name in ("mask", "flat_mask"):
        asked[f"invert {name}"] = ("InvertMask", {"mask": f"@{name}"})
        asked[f"picture of {name}"] = ("MaskToImage", {"mask": f"@{name}"})
        for expand in (3, -2, 0):
            for tapered in (True, False):
                inputs = {"mask": f"@{name}", "expand": expand, "tapered_corners": tapered}
                asked[f"grow {name} by {expand} {tapered}"] = ("GrowMask", inputs)
    asked = {case: {"node": node, "inputs": inputs} for case, (node, inputs) in asked.items()}
    for file in videos:
        load = {"node": "LoadVideo", "inputs": {"file": file}}
        asked[f"video {file}"] = load | {"then": {"node": "GetVideoComponents", "inputs": {}}}
        for codec in ("auto", "h264"):
            saved = {"filename_prefix": f"video/{codec} {file}", "format": "auto", "codec": codec}
            asked[f"save {codec} {file}"] = load | {"then": {"node": "SaveVideo", "inputs": saved}}
    for sound in (None, "mono", "stereo"):
        made = {"images": "@clip", "fps": 24.0} | ({"audio": f"@{sound}"} if sound else {})
        saved = {"filename_prefix": f"video/made {sound}", "format": "mp4", "codec": "auto"}
        asked[f"make a video, {sound}"] = {
            "node": "CreateVideo",
            "inputs": made,
            "then": {"node": "SaveVideo", "inputs": saved},
        }
    return asked


@pytest.fixture(scope="module")
def theirs(in_comfyui, cases, arrays, pictures, tmp_path_factory):
    """What ComfyUI's nodes answer, and the folder that they saved to."""
    folder = tmp_path_factory.mktemp("asked")
    (folder / "cases.json").write_text(json.dumps(cases), encoding="utf-8")
    np.savez(folder / "arrays.npz", **arrays)
    out = in_comfyui("core_nodes.py", folder / "cases.json", folder / "arrays.npz", pictures)
    return dict(np.load(out / "results.npz")), out / "output"


@pytest.fixture(scope="module")
def ours(cases, arrays, pictures, tmp_path_factory):
    """What the stand-ins answer, in the same form."""
    out = tmp_path_factory.mktemp("ours")
    nodes = (*core.NODES, *core_video.NODES)
    classes = {node.GET_SCHEMA().node_id: node for node in nodes}
    tensors = {f"@{name}": torch.from_numpy(array) for name, array in arrays.items()}
    results = {}
    with host.hosting(host.Host(output=out, inputs=(pictures,))):
        for case, asked in cases.items():
            try:
                returned = answered(classes, asked, tensors)
                if "then" in asked:
                    returned = answered(classes, asked["then"], tensors, video=returned[0])
            except (ValueError, OSError) as error:
                results[f"refused/{case}"] = np.array(str(error))
                continue
            for index, value in enumerate(returned):
                results |= {f"{case}/{index}{part}": array for part, array in plain(value).items()}
    return results, out


def answered(classes: dict, asked: dict, tensors: dict, **more) -> tuple:
    inputs = {
        name: tensors.get(value, value) if isinstance(value, str) else value
        for name, value in asked["inputs"].items()
    }
    if "audio" in inputs:
        inputs["audio"] = {"waveform": inputs["audio"], "sample_rate": 16000}
    return classes[asked["node"]].EXECUTE_NORMALIZED(**inputs, **more).args


def plain(value) -> dict:
    """A result as arrays, as core_nodes.py writes it."""
    if isinstance(value, dict):
        return {f"/{part}": np.asarray(value[part]) for part in ("waveform", "sample_rate")}
    return {"": np.array(str(value)) if value is None else np.asarray(value)}


def test_a_stand_in_answers_or_refuses_where_comfyui_does(theirs, ours):
    assert set(ours[0]) == set(theirs[0])


def test_stand_ins_give_comfyuis_values(theirs, ours):
    differ = []
    for case, expected in theirs[0].items():
        got = ours[0].get(case)
        if case.startswith("refused/") or got is None:
            continue
        same = got.shape == expected.shape and got.dtype == expected.dtype
        if not same or not np.array_equal(got, expected):
            differ.append(f"{case}: {got.shape} {got.dtype}, not {expected.shape} {expected.dtype}")
    assert not differ, "\n".join(differ)


def test_saved_pictures_are_comfyuis(theirs, ours):
    expected = {path.relative_to(theirs[1]).as_posix(): path for path in theirs[1].rglob("*.png")}
    got = {path.relative_to(ours[1]).as_posix(): path for path in ours[1].rglob("*.png")}
    assert set(got) == set(expected)
    for name, path in expected.items():
        with Image.open(path) as their_picture, Image.open(got[name]) as our_picture:
            assert our_picture.mode == their_picture.mode, name
            assert np.array_equal(our_picture, their_picture), name


def test_saved_videos_are_comfyuis(theirs, ours):
    expected = {path.relative_to(theirs[1]).as_posix(): path for path in theirs[1].rglob("*.mp4")}
    got = {path.relative_to(ours[1]).as_posix(): path for path in ours[1].rglob("*.mp4")}
    for case in ours[0]:
        if case.startswith("refused/save "):  # ComfyUI leaves the beginning of a file there
            expected.pop(f"video/{case.removeprefix('refused/save ')}_00001_.mp4", None)
    assert len(expected) > 8 and set(got) == set(expected)
    for name, path in expected.items():
        for kind in ("video", "audio"):
            ours_, theirs_ = (decoded(file, kind) for file in (got[name], path))
            assert len(ours_) == len(theirs_), f"{kind} of {name}"
            for one, other in zip(ours_, theirs_, strict=True):
                assert one[0] == other[0], f"times of the {kind} of {name}"
                assert np.array_equal(one[1], other[1]), f"{kind} of {name}"


def decoded(path, kind: str) -> list:
    """The times and the content of all frames of a kind."""
    with av.open(str(path)) as container:
        if not getattr(container.streams, kind):
            return []
        frames = container.decode(**{kind: 0})
        wanted = {"format": "rgb24"} if kind == "video" else {}
        return [(frame.time, frame.to_ndarray(**wanted)) for frame in frames]
