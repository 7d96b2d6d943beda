"""The stand-ins for ComfyUI's own nodes; tests/comfyui compares them with the real ones."""

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage

from internal_methods.headless import core, host


@pytest.fixture
def folder(tmp_path):
    with host.hosting(host.Host(output=tmp_path / "out", inputs=(tmp_path,))):
        yield tmp_path


def random(*shape) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def test_a_picture_without_alpha_has_the_64x64_mask(folder):
    pixels = random(5, 7, 3)
    Image.fromarray(pixels).save(folder / "a.png")
    image, mask = core.LoadImage.execute("a.png")
    assert np.array_equal(image.mul(255).round().byte().numpy()[0], pixels)
    assert mask.shape == (1, 64, 64) and not mask.any()


def test_alpha_becomes_the_inverted_mask(folder):
    pixels = random(5, 7, 4)
    Image.fromarray(pixels).save(folder / "a.png")
    image, mask = core.LoadImage.execute("a.png")
    assert image.shape == (1, 5, 7, 3)
    assert torch.allclose(mask[0], 1 - torch.from_numpy(pixels[..., 3]) / 255)
    masks = {c: core.LoadImageMask.execute("a.png", c)[0] for c in ("alpha", "red", "blue")}
    assert torch.equal(masks["alpha"], mask)
    assert torch.allclose(masks["blue"][0], torch.from_numpy(pixels[..., 2]) / 255)


def test_the_frames_of_an_animation_are_a_batch(folder):
    frames = [Image.fromarray(random(5, 7, 3) // 64 * i) for i in range(3)]
    frames[0].save(folder / "a.png", save_all=True, append_images=frames[1:])
    assert core.LoadImage.execute("a.png")[0].shape == (3, 5, 7, 3)


@pytest.mark.parametrize("corners", [True, False])
@pytest.mark.parametrize("expand", [3, -2, 0])
def test_growing_and_shrinking_a_mask(corners, expand):
    mask = torch.from_numpy(random(2, 9, 11)).float() / 255
    kernel = ndimage.generate_binary_structure(2, 1 if corners else 2)
    expected = mask.numpy()
    for _ in range(abs(expand)):
        change = ndimage.grey_dilation if expand > 0 else ndimage.grey_erosion
        expected = np.stack([change(m, footprint=kernel) for m in expected])
    assert np.array_equal(core.GrowMask.execute(mask, expand, corners)[0].numpy(), expected)


@pytest.mark.parametrize("method", core.ImageScale.METHODS)
def test_scaling_to_a_size_and_in_proportion(method):
    image = torch.rand(1, 20, 30, 3)
    assert core.ImageScale.execute(image, method, 15, 10, "disabled")[0].shape == (1, 10, 15, 3)
    assert core.ImageScale.execute(image, method, 60, 0, "disabled")[0].shape == (1, 40, 60, 3)
    assert core.ImageScale.execute(image, method, 0, 0, "disabled")[0] is image


def test_a_crop_takes_the_middle():
    image = torch.zeros(1, 4, 8, 1)
    image[:, :, 2:6] = 1
    assert core.ImageScale.execute(image, "nearest-exact", 4, 4, "center")[0].min() == 1


def test_batches():
    a, b = torch.rand(1, 4, 6, 3), torch.rand(2, 8, 8, 3)
    assert core.ImageBatch.execute(a, b)[0].shape == (3, 4, 6, 3)
    assert torch.equal(core.RepeatImageBatch.execute(a, 3)[0][2], a[0])


def test_masks_and_images_turn_into_each_other():
    mask = torch.rand(2, 4, 5)
    image = core.MaskToImage.execute(mask)[0]
    assert image.shape == (2, 4, 5, 3)
    assert torch.equal(core.ImageToMask.execute(image, "green")[0], mask)
    assert torch.allclose(core.InvertMask.execute(mask)[0], 1 - mask)
    assert torch.allclose(core.ImageInvert.execute(image)[0], 1 - image)


def test_saving_counts_on_and_stays_inside(folder):
    image = torch.rand(1, 4, 5, 3)
    names = [core.SaveImage.execute(image, "a/b").ui.results[0]["filename"] for _ in range(2)]
    assert names == ["b_00001_.png", "b_00002_.png"]
    assert core.SaveImage.execute(image, "%width%x%height%").ui.results[0]["filename"] == (
        "5x4_00001_.png"
    )
    with pytest.raises(ValueError, match="leaves the output folder"):
        core.SaveImage.execute(image, "../b")


@pytest.mark.parametrize(
    ("source", "text"), [("as it is", "as it is"), (2.5, "2.5"), ({"a": [1]}, '{"a": [1]}')]
)
def test_anything_is_shown_as_text(source, text):
    assert core.PreviewAny.execute(source).ui == {"text": (text,)}
