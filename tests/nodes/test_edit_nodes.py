"""The nodes that change a picture and leave part of it alone."""

import pytest
import torch

from internal_methods.methods import Field
from internal_methods.nodes.editing import Harmonise
from internal_methods.nodes.tiling import MakeTileable


def noise(*shape) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


def tile(image, **changes):
    settings = {"axes": "both", "band": 0.3, "patch_size": 5, "seed": 0, "backend": "auto"}
    return MakeTileable.execute(image, **(settings | changes)).args


def harmonise(image, mask, **changes):
    settings = {"scales": 2, "start_scale": 0, "patch_size": 5, "bands": 1, "seed": 0}
    return Harmonise.execute(image, mask, **(settings | {"backend": "auto"} | changes)).args


def test_a_tile_keeps_its_middle_and_is_shown_two_by_two():
    image = noise(2, 48, 40, 3)
    tiles, field, tiled = tile(image)
    assert torch.equal(tiles[:, 12:36, 10:30], image[:, 12:36, 10:30])
    assert not torch.equal(tiles[:, 0], image[:, 0])
    assert isinstance(field, Field) and field.positions.shape[0] == 2
    assert torch.equal(tiled[:, 48:, 40:], tiles) and tiled.shape == (2, 96, 80, 3)


@pytest.mark.parametrize(("axes", "kept"), [("x", (0, slice(10, 30))), ("y", (slice(12, 36), 0))])
def test_only_the_sides_that_shall_meet_change(axes, kept):
    image = noise(1, 48, 40, 3)
    tiles = tile(image, axes=axes)[0]
    assert torch.equal(tiles[0][kept], image[0][kept])
    assert not torch.equal(tiles, image)


def test_a_batch_of_tiles_equals_one_by_one():
    images = noise(2, 40, 40, 3)
    assert torch.equal(tile(images)[0][1:], tile(images[1:])[0])


def test_harmonising_changes_nothing_outside_the_mask():
    image, mask = noise(1, 40, 44, 4), torch.zeros(1, 40, 44)
    mask[:, 12:28, 12:28] = 1
    result, field = harmonise(image, mask)
    outside = mask[0] == 0
    assert torch.equal(result[0][outside], image[0][outside])
    assert not torch.equal(result[0][~outside], image[0][~outside])
    assert field.size == (40, 44)


def test_harmonising_with_a_reference_and_a_batch():
    images, mask = noise(2, 40, 44, 3), torch.zeros(1, 40, 44)
    mask[:, 12:28, 12:28] = 1
    reference = noise(1, 32, 36, 3)
    results, field = harmonise(images, mask, reference=reference)
    assert results.shape == images.shape and field.source_size == (32, 36)
    alone = harmonise(images[1:], mask, reference=reference)[0]
    assert torch.equal(results[1:], alone)


def test_a_mask_of_another_size_names_both():
    with pytest.raises(ValueError, match="mask is 20x20, but the image is 44x40"):
        harmonise(noise(1, 40, 44, 3), torch.ones(1, 20, 20))
