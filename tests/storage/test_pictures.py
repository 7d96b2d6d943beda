import json

import cv2
import numpy as np
import pytest
from PIL import Image

from internal_methods.storage.pictures import PictureError, read, write

TEXT = {"prompt": json.dumps({"1": "ü"}), "workflow": '{"nodes": []}'}


def steps(top: int, channels: int) -> np.ndarray:
    """A picture that holds every step of its depth."""
    values = np.arange((top + 1) * channels) % (top + 1)
    width = {255: 32, 65535: 256}[top]
    return (values.reshape(-1, width, channels) / np.float32(top)).astype(np.float32)


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize(("format", "top"), [("png", 255), ("png16", 65535)])
def test_png_comes_back_bit_for_bit(tmp_path, format, top, channels):
    picture = steps(top, channels)
    write(tmp_path / "a.png", picture, format, {})
    assert np.array_equal(read(tmp_path / "a.png"), picture)


@pytest.mark.parametrize("channels", [3, 4])
def test_exr_comes_back_bit_for_bit_at_any_range(tmp_path, channels):
    values = np.random.default_rng(0).normal(0, 1000, (13, 17, channels)).astype(np.float32)
    values[0, 0] = 1e-30
    write(tmp_path / "a.exr", values, "exr", {})
    assert np.array_equal(read(tmp_path / "a.exr"), values)


def test_other_programs_read_the_16_bit_png(tmp_path):
    picture = steps(65535, 3)
    write(tmp_path / "a.png", picture, "png16", TEXT)
    theirs = cv2.imread(str(tmp_path / "a.png"), cv2.IMREAD_UNCHANGED)
    assert theirs.dtype == np.uint16
    assert np.array_equal(theirs[..., ::-1], np.rint(picture * 65535))
    with Image.open(tmp_path / "a.png") as opened:
        opened.load()  # checks the sums of all chunks
        assert opened.size == (picture.shape[1], picture.shape[0])


@pytest.mark.parametrize("format", ["png", "png16"])
def test_the_text_of_a_png_is_read_by_other_programs(tmp_path, format):
    write(tmp_path / "a.png", steps(255, 3), format, TEXT | {"note": "日本"})
    with Image.open(tmp_path / "a.png") as opened:
        assert opened.text == TEXT | {"note": "日本"}


def test_values_outside_are_clamped_and_rounded_in_png(tmp_path):
    picture = np.array([[[-1, 0.5, 7]]], np.float32)
    write(tmp_path / "a.png", picture, "png", {})
    assert np.array_equal(np.asarray(Image.open(tmp_path / "a.png")), [[[0, 128, 255]]])


def test_grey_becomes_three_equal_channels(tmp_path):
    grey = np.arange(12, dtype=np.uint16).reshape(3, 4) * 5000
    cv2.imwrite(str(tmp_path / "a.png"), grey)
    picture = read(tmp_path / "a.png")
    assert picture.shape == (3, 4, 3)
    assert np.array_equal(np.rint(picture[..., 1] * 65535), grey)


def test_a_picture_is_turned_as_its_exif_says(tmp_path):
    picture = Image.fromarray(np.zeros((10, 30, 3), np.uint8))
    exif = picture.getexif()
    exif[0x0112] = 6  # lies on its side
    picture.save(tmp_path / "a.jpg", exif=exif)
    assert read(tmp_path / "a.jpg").shape == (30, 10, 3)


def test_float_tiff_keeps_its_values(tmp_path):
    values = np.random.default_rng(0).normal(0, 9, (5, 7, 3)).astype(np.float32)
    cv2.imwrite(str(tmp_path / "a.tif"), values[..., ::-1])
    assert np.array_equal(read(tmp_path / "a.tif"), values)


@pytest.mark.parametrize("format", ["png", "png16", "exr"])
def test_a_cut_file_is_named(tmp_path, format):
    path = tmp_path / f"a.{'exr' if format == 'exr' else 'png'}"
    write(path, np.random.default_rng(0).random((64, 64, 3), np.float32), format, {})
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(PictureError, match="a\\."):
        read(path)


def test_a_file_of_another_kind_is_named(tmp_path):
    (tmp_path / "a.png").write_text("no picture")
    with pytest.raises(PictureError, match=r"a\.png is not a picture"):
        read(tmp_path / "a.png")


def test_an_unknown_format_is_refused(tmp_path):
    with pytest.raises(ValueError, match="'tga' is not one of png, png16, exr"):
        write(tmp_path / "a.tga", np.zeros((2, 2, 3), np.float32), "tga", {})
