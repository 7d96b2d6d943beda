"""What only the numba search promises: sources of any size, bits that no thread changes."""

from importlib import import_module

import pytest
import torch

from internal_methods import backends

if backends.why_not_installed("cpu"):
    pytest.skip(backends.why_not_installed("cpu"), allow_module_level=True)
search = import_module("internal_methods.backends.cpu.nearest_patch")


def noise(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def smooth(*shape, seed=0):
    coarse = noise(*shape[:2], *(n // 4 + 2 for n in shape[2:]), seed=seed)
    mode = "bilinear" if len(shape) == 4 else "trilinear"
    return torch.nn.functional.interpolate(coarse, shape[2:], mode=mode, align_corners=True)


def pair(axes):
    """Large enough for a tree and for several stripes and runs of frames at once."""
    sizes = {2: ((70, 41), (64, 50)), 3: ((37, 34, 9), (19, 17, 13))}[axes]
    return [smooth(1, 2, *size, seed=seed) for seed, size in enumerate(sizes)]


def found(images, **kwargs):
    kwargs = {"patch_size": 3, "iterations": 2, "backend": "cpu", **kwargs}
    return backends.run("nearest_patch", *images, **kwargs)


def same(first, second):
    return all(bool((a == b).all()) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize(
    "axes, kwargs",
    [(2, {}), (3, {}), (3, dict(neighbours=3, similarity="dot")), (3, dict(quality="best"))],
)
def test_the_number_of_threads_changes_no_bit(axes, kwargs):
    images, fields = pair(axes), []
    threads = torch.get_num_threads()
    try:
        for count in (1, 2, 5):
            torch.set_num_threads(count)
            fields.append(found(images, **kwargs))
    finally:
        torch.set_num_threads(threads)
    assert same(fields[0], fields[1])
    assert same(fields[0], fields[2])


def test_matches_that_need_64_bits_are_the_same(monkeypatch):
    images = pair(3)
    narrow = found(images, neighbours=2)
    monkeypatch.setattr(search, "NARROW", 8)
    assert same(narrow, found(images, neighbours=2))


@pytest.mark.parametrize("shape", [(3, 70_000), (70_000, 3), (3, 40_000, 3)])
def test_sources_of_any_length(shape):
    source = noise(1, 1, *shape)
    axis = 2 + shape.index(max(shape))
    first = max(shape) - 60
    positions, distances = found([source.narrow(axis, first, 50), source], iterations=3)
    centre = positions.movedim(2, -1)[(0, 0, *(n // 2 for n in positions.shape[3:]))]
    assert centre.tolist() == [first + 25 if n == max(shape) else 1 for n in shape]
    inner = distances.narrow(axis, 1, 48).movedim(axis, 0)
    assert (inner[(slice(None), 0, 0, *[1] * (len(shape) - 1))] == 0).all()


@pytest.mark.parametrize("quality", ["fast", "best"])
@pytest.mark.parametrize("masked", [False, True])
def test_a_tree_of_a_part_of_the_source_leads_as_close(monkeypatch, quality, masked):
    images = pair(3)
    kwargs = dict(quality=quality, iterations=3)
    if masked:
        kwargs["source_mask"] = noise(1, 1, *images[1].shape[2:], seed=5) > 0.001
    exact = found(images, exact=True, backend="eager", **kwargs)[1]
    whole = found(images, **kwargs)[1]
    monkeypatch.setattr(search, "MOST_PLANTED", 300)
    part = found(images, **kwargs)[1]
    assert (part >= exact - 1e-5).all()
    assert whole.mean() <= 1.15 * exact.mean()
    assert part.mean() <= 1.3 * exact.mean()


def test_how_the_work_is_parted_changes_no_bit(monkeypatch):
    images = pair(3)
    whole = found(images, quality="best")
    monkeypatch.setattr(search, "GROUPED", 700)
    monkeypatch.setattr(search, "OFFERS", 100)
    assert same(whole, found(images, quality="best"))
