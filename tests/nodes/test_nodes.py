"""The nodes themselves: ComfyUI's data in, ComfyUI's data out."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from internal_methods.headless import host
from internal_methods.headless.core import LoadImage as CoreLoadImage
from internal_methods.methods import Field, generate
from internal_methods.nodes.generation import Generate
from internal_methods.nodes.patches import ApplyField, FieldPreview, PatchField
from internal_methods.nodes.pictures import LoadImage, SaveImage
from internal_methods.storage.pictures import read, write


@pytest.fixture
def folder(tmp_path):
    with host.hosting(host.Host(output=tmp_path / "out", inputs=(tmp_path,))):
        yield tmp_path


def defaults(node) -> dict:
    """What the canvas would send for the widgets that nobody touched."""
    return {
        socket.id: socket.default
        for socket in node.GET_SCHEMA().inputs
        if getattr(socket, "default", None) is not None
    }


def noise(*shape) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


def test_load_keeps_what_16_bits_hold(folder):
    picture = (np.arange(60, dtype=np.float32).reshape(4, 5, 3) * 999 + 7) / 65535
    write(folder / "a.png", picture, "png16", {})
    image, mask = LoadImage.execute("a.png", "rgb").args
    assert torch.equal(image[0], torch.from_numpy(picture))
    assert mask.shape == (1, 4, 5) and not mask.any()


def test_load_gives_the_alpha_as_mask_and_on_request_as_channel(folder):
    picture = noise(4, 5, 4).mul(255).round().div(255).numpy()
    write(folder / "a.png", picture, "png", {})
    image, mask = LoadImage.execute("a.png", "rgb").args
    assert image.shape == (1, 4, 5, 3)
    assert torch.equal(mask[0], 1 - torch.from_numpy(picture[..., 3]))
    assert LoadImage.execute("a.png", "rgba").args[0].shape == (1, 4, 5, 4)


def test_load_agrees_with_comfyuis_own_on_8_bits(folder):
    pixels = (noise(6, 7, 4) * 255).byte().numpy()
    Image.fromarray(pixels).save(folder / "a.png")
    for ours, theirs in zip(
        LoadImage.execute("a.png", "rgb").args, CoreLoadImage.execute("a.png"), strict=True
    ):
        assert torch.equal(ours, theirs)


def test_load_sees_a_changed_file(folder):
    Image.new("RGB", (4, 4)).save(folder / "a.png")
    before = LoadImage.fingerprint_inputs("a.png")
    assert LoadImage.fingerprint_inputs("a.png") == before
    Image.new("RGB", (4, 4), "red").save(folder / "a.png")
    assert LoadImage.fingerprint_inputs("a.png") != before


def test_load_says_which_file_is_missing(folder):
    assert "there is no file 'b.png'" in LoadImage.validate_inputs("b.png")


@pytest.mark.parametrize(("format", "scale"), [("png", 255), ("png16", 65535)])
@pytest.mark.parametrize("channels", [3, 4])
def test_save_and_load_change_no_bit(folder, format, scale, channels):
    images = noise(2, 5, 6, channels).mul(scale).round().div(scale)
    output = SaveImage.execute(images, "sub/a", format)
    assert [r["filename"] for r in output.ui.results] == ["a_00001_.png", "a_00002_.png"]
    assert {r["subfolder"] for r in output.ui.results} == {"sub"}
    for index, image in enumerate(images):
        saved = read(folder / "out" / "sub" / f"a_0000{index + 1}_.png")
        assert np.array_equal(saved, image.numpy())


def test_exr_keeps_any_range(folder):
    images = noise(1, 5, 6, 3) * 100 - 30
    SaveImage.execute(images, "a", "exr")
    image, _ = LoadImage.execute("out/a_00001_.exr", "rgb").args
    assert torch.equal(image, images)


@pytest.mark.parametrize("format", ["png", "png16"])
def test_save_writes_prompt_and_workflow_like_comfyuis_own(folder, format):
    prompt, workflow = {"1": {"class_type": "X"}}, {"nodes": []}
    hidden = {"PROMPT": prompt, "EXTRA_PNGINFO": {"workflow": workflow}}
    SaveImage.PREPARE_CLASS_CLONE(hidden).execute(noise(1, 4, 4, 3), "a", format)
    with Image.open(folder / "out" / "a_00001_.png") as opened:
        assert opened.text == {"prompt": json.dumps(prompt), "workflow": json.dumps(workflow)}


def test_half_precision_is_saved(folder):
    SaveImage.execute(noise(1, 4, 4, 3).half(), "a", "png16")
    assert read(folder / "out" / "a_00001_.png").shape == (4, 4, 3)


def search(target, source, **changes):
    return PatchField.execute(target, source, **(defaults(PatchField) | changes)).args[0]


def test_a_field_of_a_picture_in_itself_rebuilds_it():
    image = noise(1, 24, 30, 3)
    field = search(image, image, patch_size=5, quality="exact", wrap="both")
    assert not field.distances.any()
    assert torch.equal(ApplyField.execute(field, image, "best").args[0], image)


def test_alpha_is_not_compared_but_carried():
    image = noise(1, 24, 30, 3)
    with_alpha = torch.cat([image, noise(1, 24, 30, 1)], dim=-1)
    field = search(with_alpha, image, patch_size=5, quality="exact", wrap="both")
    assert not field.distances.any()
    assert torch.equal(ApplyField.execute(field, with_alpha, "nearest").args[0], with_alpha)


def test_one_field_carries_a_batch_of_larger_maps():
    field = search(noise(1, 12, 16, 3), noise(1, 10, 20, 3), patch_size=3)
    maps = noise(3, 20, 40, 1)
    carried = ApplyField.execute(field, maps, "average").args[0]
    assert carried.shape == (3, 24, 32, 1)


def test_masks_reach_the_search():
    image = noise(1, 16, 16, 3)
    wanted, allowed = torch.zeros(1, 16, 16), torch.zeros(1, 16, 16)
    wanted[:, :8], allowed[:, :, :8] = 1, 1
    field = search(image, image, patch_size=3, target_mask=wanted, source_mask=allowed)
    assert torch.equal(field.found[0, 0], wanted[0] > 0.5)
    assert field.positions[0, 0, 1].max() <= 6


def test_a_field_starts_another_search():
    image, other = noise(1, 16, 16, 3), noise(2, 16, 16, 3)[1:]
    exact = search(image, other, patch_size=3, quality="exact")
    again = search(image, other, patch_size=3, iterations=0, field=exact)
    assert torch.equal(again.positions, exact.positions)


def test_the_preview_shows_two_pictures():
    field = search(noise(1, 12, 16, 3), noise(1, 12, 16, 3), patch_size=3)
    offsets, distances = FieldPreview.execute(field).args
    assert offsets.shape == distances.shape == (1, 12, 16, 3)
    assert 0 <= offsets.min() and offsets.max() <= 1


def create(reference, **changes):
    quick = {"scales": 2, "patch_size": 5, "iterations": 2}
    return Generate.execute(reference, **(defaults(Generate) | quick | changes)).args


def test_generate_gives_the_method_s_pictures_field_and_scales():
    reference = noise(1, 24, 28, 3)
    images, field, scales = create(reference, count=2, width=36, seed=5)
    assert images.shape == (2, 24, 36, 3) and scales.shape == (4, 24, 36, 3)
    assert isinstance(field, Field) and field.size == (24, 36)
    direct = generate(
        reference.movedim(-1, 1),
        size=(24, 36),
        scales=2,
        patch_size=5,
        iterations=2,
        count=2,
        seed=5,
    )
    assert torch.equal(images, direct.movedim(1, -1))
    assert torch.equal(scales[1], images[0]) and torch.equal(scales[3], images[1])


def test_generate_keeps_pixels_exactly():
    keep, mask = noise(1, 24, 24, 3), torch.zeros(1, 24, 24)
    mask[:, 4:12, 4:12] = 1
    image = create(noise(2, 24, 24, 3)[1:], keep=keep, keep_mask=mask)[0]
    assert torch.equal(image[:, 4:12, 4:12], keep[:, 4:12, 4:12])


def test_no_node_writes_to_its_inputs():
    image = noise(1, 20, 20, 3)
    before = image.clone()
    field = search(image, image, patch_size=3)
    kept = field.positions.clone()
    ApplyField.execute(field, image, "average")
    FieldPreview.execute(field)
    create(image)
    assert torch.equal(image, before) and torch.equal(field.positions, kept)
