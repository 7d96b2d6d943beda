"""ComfyUI's data and the methods'."""

import pytest
import torch

from internal_methods.headless import host
from internal_methods.methods import Field, Step
from internal_methods.nodes import convert

CPU = torch.device("cpu")


def identity(height=4, width=6, batch=1) -> Field:
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    positions = torch.stack([y, x]).int().expand(batch, 1, 2, height, width).clone()
    distances = torch.zeros(batch, 1, height, width)
    return Field(positions, distances, 1, (height, width))


def test_an_image_turns_and_turns_back_unchanged():
    image = torch.rand(2, 5, 7, 3)
    turned = convert.image(image, CPU)
    assert turned.shape == (2, 3, 5, 7) and turned.is_contiguous()
    assert torch.equal(convert.to_image(turned), image)


def test_half_precision_and_alpha():
    image = torch.rand(1, 5, 7, 4).half()
    assert convert.image(image, CPU).dtype == torch.float32
    assert convert.image(image, CPU).shape == (1, 4, 5, 7)
    assert torch.equal(convert.image(image, CPU, 3), image[..., :3].movedim(-1, 1).float())


def test_an_image_is_not_written_to_through_its_converted_self():
    image = torch.rand(1, 5, 7, 3)
    before = image.clone()
    convert.image(image, CPU).zero_()
    assert torch.equal(image, before)


def test_a_picture_without_batch_and_a_wrong_shape():
    assert convert.image(torch.rand(5, 7, 3), CPU).shape == (1, 3, 5, 7)
    with pytest.raises(ValueError, match=r"\[B, H, W, C\], not \[5, 7\]"):
        convert.image(torch.rand(5, 7), CPU)


@pytest.mark.parametrize("shape", [(5, 7), (1, 5, 7), (1, 1, 5, 7)])
def test_the_shapes_of_a_mask(shape):
    value = torch.rand(shape)
    converted = convert.mask(value, (5, 7), CPU)
    assert converted.shape == (1, 1, 5, 7)
    assert torch.equal(converted[0, 0], value.reshape(5, 7))


def test_no_mask_stays_none():
    assert convert.mask(None, (5, 7), CPU) is None


def test_comfyuis_sign_for_no_alpha_is_an_empty_mask_of_any_batch():
    empty = convert.mask(torch.zeros(3, 64, 64), (5, 7), CPU)
    assert empty.shape == (3, 1, 5, 7) and not empty.any()


def test_a_drawn_64x64_mask_is_not_taken_for_that_sign():
    drawn = torch.zeros(1, 64, 64)
    drawn[0, 3, 3] = 1
    assert torch.equal(convert.mask(drawn, (64, 64), CPU)[0], drawn)
    with pytest.raises(ValueError, match="mask is 64x64, but the image is 7x5"):
        convert.mask(drawn, (5, 7), CPU)


def test_a_mask_of_another_size_names_both_sizes():
    with pytest.raises(ValueError, match="avoid_mask is 9x8, but the image is 7x5"):
        convert.mask(torch.zeros(1, 8, 9), (5, 7), CPU, "avoid_mask")


def test_batches_of_one_are_repeated():
    image, mask, none = convert.same_batch(
        image=torch.rand(3, 3, 4, 4), mask=torch.rand(1, 1, 4, 4), guide=None
    )
    assert (image.shape[0], mask.shape[0], none) == (3, 3, None)
    one, many = convert.same_batch(image=torch.rand(1, 3, 4, 4), mask=torch.rand(5, 1, 4, 4))
    assert (one.shape[0], many.shape[0]) == (5, 5)


def test_batches_that_differ_are_named():
    with pytest.raises(ValueError, match="image has 3, mask has 2"):
        convert.same_batch(image=torch.rand(3, 3, 4, 4), mask=torch.rand(2, 1, 4, 4))


def test_wrap_is_y_then_x():
    wraps = {word: convert.wrap(word) for word in convert.WRAPS}
    assert wraps == {
        "none": (False, False),
        "x": (False, True),
        "y": (True, False),
        "both": (True, True),
    }


def test_an_edited_field_is_refused():
    wild = identity()
    wild.positions[0, 0, 0, 1, 1] = 1000
    with pytest.raises(ValueError, match="position"):
        convert.field(wild, CPU)


def test_a_field_is_enlarged_for_a_larger_map():
    assert convert.field_for(identity(4, 6), (4, 6), CPU).size == (4, 6)
    larger = convert.field_for(identity(4, 6), (8, 12), CPU)
    assert (larger.size, larger.source_size) == ((8, 12), (8, 12))


@pytest.mark.parametrize("size", [(8, 11), (2, 3), (4, 12)])
def test_a_map_of_another_proportion_or_smaller_names_both_sizes(size):
    with pytest.raises(ValueError, match=f"image is {size[1]}x{size[0]}.*source was 6x4"):
        convert.field_for(identity(4, 6), size, CPU)


def test_a_field_goes_over_a_batch_of_maps():
    field, values = convert.same_batch_of(identity(), torch.rand(3, 2, 4, 6))
    assert field.positions.shape[0] == field.distances.shape[0] == values.shape[0] == 3


class Watch:
    """A host that remembers what it was told, and cancels when asked to."""

    def __init__(self):
        self.told, self.cancel = [], False

    def __call__(self, done, total):
        if self.cancel:
            raise InterruptedError
        self.told.append((done, total))


@pytest.fixture
def watch():
    watch = Watch()
    with host.hosting(host.Host(progress=watch)):
        yield watch


def step(done, size=8, level_done=False) -> Step:
    picture = torch.full((1, 3, size, size), done / 10)
    return Step(done, 10, 0, 2, picture, level_done)


def test_progress_is_told_but_not_at_every_step(watch):
    progress = convert.Progress()
    for done in range(1, 10):
        progress(step(done))
    assert watch.told == [(1, 10)]
    progress(step(10, level_done=True))
    assert watch.told == [(1, 10), (10, 10)]


def test_a_picture_is_sent_once(monkeypatch):
    sent = []
    monkeypatch.setattr(host, "wants_preview", lambda: True)
    monkeypatch.setattr(host, "progress", lambda done, total, preview: sent.append(preview))
    progress, shown = convert.Progress(), torch.zeros(1, 3, 4, 4)
    for done in (1, 2):
        progress(Step(done, 10, 0, 1, shown, True))
    progress(step(3, level_done=True))
    assert [picture is None for picture in sent] == [False, True, False]


def test_cancel_reaches_the_method(watch):
    watch.cancel = True
    with pytest.raises(InterruptedError):
        convert.Progress()(step(1))


def test_the_scales_are_collected_at_one_size():
    progress = convert.Progress()
    progress(step(3, size=4, level_done=True))
    progress(step(4, size=8))
    progress(step(5, size=8, level_done=True))
    scales = progress.scales(torch.zeros(1, 3, 8, 8))
    assert scales.shape == (2, 8, 8, 3)
    assert torch.allclose(scales.mean((1, 2, 3)), torch.tensor([0.3, 0.5]))


def test_large_scales_are_reduced_and_none_is_the_result():
    progress = convert.Progress()
    assert torch.equal(progress.scales(torch.ones(1, 3, 6, 8)), torch.ones(1, 6, 8, 3))
    progress(Step(1, 1, 0, 1, torch.rand(1, 3, 64, 2048), True))
    assert progress.scales(torch.zeros(1)).shape == (1, 32, 1024, 3)


def test_a_preview_is_a_picture_of_three_channels():
    for channels in (1, 3, 4):
        picture = convert._preview(torch.full((2, channels, 5, 7), 2.0))
        assert (picture.size, picture.mode) == ((7, 5), "RGB")
        assert picture.getpixel((0, 0)) == (255, 255, 255)


def test_the_device_follows_the_backend():
    assert convert.device("cpu").type == "cpu"
    with host.hosting(host.Host(device="cpu")):
        assert convert.device("auto").type == "cpu"
    with host.hosting(host.Host(device="mps")):
        assert convert.device("eager").type == "mps"
