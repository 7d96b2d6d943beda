"""Random masks: what is asked for is drawn, and the same again."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from internal_methods.methods.masks import (
    KINDS,
    LargeMasks,
    box_masks,
    brush_masks,
    large_masks,
    published_large_masks,
)

SIZE = (96, 128)
GENERATORS = {
    "brush": lambda **which: brush_masks(SIZE, **which),
    "box at random": lambda **which: box_masks(SIZE, (20, 30), place="random", **which),
    **{kind: lambda kind=kind, **which: large_masks(SIZE, kind, **which) for kind in KINDS},
}


@pytest.mark.parametrize("draw", GENERATORS.values(), ids=GENERATORS)
def test_a_mask_depends_on_the_seed_and_its_number_alone(draw):
    torch.manual_seed(0)
    before = torch.get_rng_state()
    masks = draw(count=7, seed=5)
    assert masks.shape == (7, 1, *SIZE) and masks.dtype == torch.float32
    assert set(masks.unique().tolist()) == {0.0, 1.0}
    assert (masks.flatten(1).sum(1) > 0).all()
    assert torch.equal(draw(count=2, seed=5), masks[:2])
    assert torch.equal(draw(count=3, seed=5, first=4), masks[4:])
    assert not torch.equal(draw(count=7, seed=6), masks)
    assert len({mask.numpy().tobytes() for mask in masks}) == 7
    assert torch.equal(torch.get_rng_state(), before)


def test_a_large_batch_is_drawn_in_parts_without_a_trace():
    masks = brush_masks((512, 512), count=9)  # more than are drawn at once
    assert torch.equal(masks[8:], brush_masks((512, 512), first=8))


def rows_and_columns(mask):
    return (int(mask.amax(axis).sum()) for axis in (2, 1))


def test_one_stroke_is_as_long_and_as_wide_as_asked():
    one = dict(strokes=(1, 1), segments=(1, 1), length=(40, 40), width=(9, 9), count=50)
    for angle, along in ((0.0, 0), (90.0, 1)):
        masks = brush_masks((200, 200), angle=(angle, angle), **one)
        extents = torch.tensor([list(rows_and_columns(mask)) for mask in masks])
        assert extents[:, along].amax() == 49 and extents[:, 1 - along].amax() == 9


def test_brush_strokes_are_counted():
    from scipy.ndimage import label

    thin = dict(segments=(1, 1), length=(5, 5), width=(1, 1), count=60)
    masks = brush_masks((500, 500), strokes=(2, 4), **thin)
    counts = [label(mask[0], np.ones((3, 3)))[1] for mask in masks.numpy()]
    assert set(counts) == {2, 3, 4}


def lama_with_opencv(rng, size, numbers: LargeMasks):
    """The published recipe in a loop, drawn by OpenCV."""
    import cv2

    mask = np.zeros(size, np.uint8)
    for stroke in range(rng.integers(*numbers.strokes, endpoint=True)):
        y, x = (int(rng.integers(side)) for side in size)
        for _ in range(rng.integers(*numbers.segments, endpoint=True)):
            angle = 0.01 + rng.integers(numbers.angles)
            angle = angle if stroke % 2 else 2 * np.pi - angle
            length = rng.integers(*numbers.length, endpoint=True)
            to_x = int(np.clip(x + length * np.sin(angle), 0, size[1]))
            to_y = int(np.clip(y + length * np.cos(angle), 0, size[0]))
            width = int(rng.integers(*numbers.width, endpoint=True))
            cv2.line(mask, (x, y), (to_x, to_y), 1, width)
            y, x = to_y, to_x
    return mask


@pytest.mark.parametrize("kind", ["thin", "medium", "wide"])
def test_large_masks_cover_what_the_published_recipe_covers(kind):
    pytest.importorskip("cv2")
    size, rng = (256, 256), np.random.default_rng(0)
    numbers = replace(published_large_masks(kind, size), box_share=0.0)
    ours = large_masks(size, count=400, numbers=numbers)
    theirs = np.stack([lama_with_opencv(rng, size, numbers) for _ in range(400)])
    shares = ours.flatten(1).mean(1), torch.from_numpy(theirs).float().flatten(1).mean(1)
    error = sum(share.var() / 400 for share in shares).sqrt()
    assert (shares[0].mean() - shares[1].mean()).abs() < 3 * error + 0.005
    where = [ours.mean((0, 1)).numpy(), theirs.mean(0)]  # more in the middle, less at the sides
    assert np.corrcoef(*(part.reshape(16, 16, 16, 16).mean((1, 3)).ravel() for part in where))[
        0, 1
    ] > (0.5 if kind == "wide" else 0.2)


def test_published_numbers_are_those_of_the_nearer_size():
    assert published_large_masks("thin", (256, 300)).strokes == (4, 50)
    assert published_large_masks("thin", (512, 512)).width == (5, 24)
    wide = published_large_masks("wide", (1024, 2048))
    assert (wide.length, wide.width, wide.margin) == ((20, 918), (10, 508), 20)
    assert (wide.box_size, wide.boxes, wide.box_share) == ((60, 600), (1, 4), 3 / 13)
    medium = published_large_masks("medium", (256, 256))
    assert (medium.boxes, medium.box_size, medium.margin) == ((1, 5), (10, 50), 0)


def test_boxes_have_their_sizes_and_margins():
    numbers = replace(
        published_large_masks("box", (256, 256)), boxes=(1, 1), box_size=(20, 60), margin=25
    )
    masks = large_masks((120, 200), count=300, numbers=numbers)
    extents = torch.tensor([list(rows_and_columns(mask)) for mask in masks])
    assert torch.equal(extents.prod(1), masks.flatten(1).sum(1).long())  # whole boxes
    assert extents.amin() == 20 and extents.amax() == 60
    seen = masks.amax(0)[0]
    rows, columns = (seen.amax(axis).nonzero()[:, 0] for axis in (1, 0))
    assert (int(rows[0]), int(rows[-1])) == (25, 94)
    assert (int(columns[0]), int(columns[-1])) == (25, 174)


def test_mixed_masks_are_strokes_or_boxes():
    masks = large_masks((256, 256), "mixed", count=200, seed=3)
    boxes = large_masks((256, 256), "box", count=200, seed=3)
    share = (masks == boxes).flatten(1).all(1).float().mean()
    assert 0.4 < share < 0.6


def test_a_box_lies_where_it_is_put():
    mask = box_masks((10, 12), (4, 6))
    assert mask[0, 0, 3:7, 3:9].all() and mask.sum() == 24
    mask = box_masks((10, 12), (4, 6), place="at", at=(-1, 9))
    assert mask[0, 0, :3, 9:].all() and mask.sum() == 9
    seen = box_masks((10, 12), (4, 6), place="random", margin=1, count=300).amax(0)[0]
    assert seen[1:9, 1:11].all() and seen.sum() == 80


BAD = {
    "strokes begins at 0": lambda: brush_masks(SIZE, strokes=(0, 3)),
    "the second is smaller": lambda: brush_masks(SIZE, segments=(5, 4)),
    "width begins at 0": lambda: brush_masks(SIZE, width=(0, 3)),
    "have to be positive": lambda: brush_masks(SIZE, count=0),
    "is not one of thin": lambda: large_masks(SIZE, "huge"),
    "do not fit 96x128": lambda: large_masks(
        SIZE, numbers=replace(published_large_masks("box", SIZE), box_size=(90, 95))
    ),
    "box_share": lambda: large_masks(
        SIZE, numbers=replace(published_large_masks("box", SIZE), box_share=2.0)
    ),
    "does not fit": lambda: box_masks(SIZE, (97, 10)),
    "lies outside": lambda: box_masks(SIZE, (5, 5), place="at", at=(96, 0)),
    "is empty": lambda: box_masks(SIZE, (0, 5)),
    "margin of 40": lambda: box_masks(SIZE, (20, 20), place="random", margin=40),
    "is not one of centre": lambda: box_masks(SIZE, (5, 5), place="left"),
}


@pytest.mark.parametrize(("message", "call"), BAD.items(), ids=list(BAD))
def test_what_cannot_be_drawn_is_refused_with_a_reason(message, call):
    with pytest.raises(ValueError, match=message):
        call()
