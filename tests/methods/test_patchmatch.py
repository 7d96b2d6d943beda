"""patchmatch: properties of the fields it finds, and its messages."""

import threading

import numpy as np
import pytest
import torch

from internal_methods.methods import Field, patchmatch
from reference.nearest_patch import nearest_patch as reference


def noise(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def smooth(*shape, seed=0):
    image = noise(*shape, seed=seed)
    return torch.nn.functional.interpolate(image, scale_factor=4, mode="bicubic").clamp(0, 1)


def test_an_image_is_its_own_nearest_neighbour():
    image = smooth(1, 3, 15, 16)
    field = patchmatch(image, image, exact=True)
    assert field.distances[..., 3:-3, 3:-3].abs().max() == 0
    assert (field.apply(image) - image).abs().max() < 1e-6


def test_a_large_image_is_its_own_nearest_neighbour_without_exact_search():
    image = smooth(1, 3, 20, 24)  # enough patches for the tree
    field = patchmatch(image, image, iterations=3)
    assert (field.distances[..., 3:-3, 3:-3] == 0).float().mean() > 0.99


@pytest.mark.parametrize("quality", ["fast", "best"])
@pytest.mark.parametrize("eight_bits", [True, False])
def test_search_from_the_tree_is_near_the_exact_minimum(quality, eight_bits):
    target, source = smooth(1, 3, 14, 15), smooth(1, 3, 16, 18, seed=1)
    if eight_bits:
        target, source = ((i * 255).round() / 255 for i in (target, source))
    exact = patchmatch(target, source, exact=True).distances
    found = patchmatch(target, source, quality=quality, backend="cpu").distances
    assert (found >= exact * (1 - 1e-4) - 1e-6).all()
    assert found.mean() <= exact.mean() * (1.1 if quality == "fast" else 1.05)


@pytest.mark.parametrize("neighbours", [1, 4])
def test_results_do_not_depend_on_the_number_of_threads(neighbours):
    target, source = smooth(1, 3, 21, 20), smooth(1, 3, 20, 17, seed=1)
    threads, results = torch.get_num_threads(), []
    try:
        for count in (1, 2, 5):
            torch.set_num_threads(count)
            results.append(patchmatch(target, source, neighbours=neighbours, seed=3))
    finally:
        torch.set_num_threads(threads)
    for other in results[1:]:
        assert torch.equal(results[0].positions, other.positions)
        assert torch.equal(results[0].distances, other.distances)


def test_two_python_threads_may_search_at_once():
    target, source = smooth(1, 3, 16, 16), smooth(1, 3, 15, 16, seed=1)
    alone, found = patchmatch(target, source), {}

    def search(name):
        found[name] = patchmatch(target, source)

    workers = [threading.Thread(target=search, args=(n,)) for n in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert all(torch.equal(field.positions, alone.positions) for field in found.values())


def test_a_batch_is_a_loop_and_one_source_serves_all():
    targets, source = noise(2, 3, 13, 11), noise(1, 3, 12, 14, seed=1)
    both = patchmatch(targets, source, patch_size=3, neighbours=2)
    for b in range(2):
        one = patchmatch(targets[b : b + 1], source, patch_size=3, neighbours=2)
        assert torch.equal(one.positions[0], both.positions[b])


def test_a_field_to_start_from_is_never_left_worse_and_may_lack_neighbours():
    target, source = noise(1, 3, 16, 17), noise(1, 3, 18, 16, seed=1)
    first = patchmatch(target, source, patch_size=5, iterations=1)
    later = patchmatch(target, source, patch_size=5, iterations=1, field=first, neighbours=3)
    assert (later.distances[:, :1] <= first.distances + 1e-6).all()
    with pytest.raises(ValueError, match="upscale the field first"):
        patchmatch(target[..., :-1], source, patch_size=5, field=first)


def test_a_field_with_wild_positions_is_an_error():
    target, source = noise(1, 3, 16, 17), noise(1, 3, 18, 16, seed=1)
    field = patchmatch(target, source, patch_size=5)
    positions = field.positions.clone()
    positions[0, 0, :, 4, 4] = 10**6
    wild = Field(positions, field.distances, 5, field.source_size)
    with pytest.raises(ValueError, match="1000000"):
        patchmatch(target, source, patch_size=5, field=wild)
    with pytest.raises(ValueError, match="1000000"):
        wild.apply(source)


def test_wrapping_equals_tiling_the_target_three_by_three():
    target, source = noise(1, 2, 7, 8), noise(1, 2, 9, 10, seed=1)
    wrapped = patchmatch(target, source, patch_size=5, exact=True, wrap=(True, True))
    tiled = patchmatch(target.repeat(1, 1, 3, 3), source, patch_size=5, exact=True)
    torch.testing.assert_close(wrapped.distances, tiled.distances[..., 7:14, 8:16])


def test_exact_search_equals_the_reference():
    target, source = noise(1, 3, 8, 9), noise(1, 3, 10, 9, seed=1)
    field = patchmatch(target, source, patch_size=3, neighbours=2, exact=True)
    here = dict(patch_size=3, neighbours=2, wrap=(False, False), source_wrap=(False, False))
    _, distances = reference(target[0].double().numpy(), source[0].double().numpy(), **here)
    np.testing.assert_allclose(field.distances[0].numpy(), distances, rtol=1e-5)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (dict(patch_size=4), "odd"),
        (dict(patch_size=33), "1 to 31"),
        (dict(target_mask=torch.ones(1, 1, 8, 8)), "8x8"),
        (dict(source_mask=torch.zeros(1, 1, 14, 12)), "source_mask"),
        (dict(source=torch.rand(1, 3, 6, 20), patch_size=7), "use at most 5"),
        (dict(source=torch.rand(3, 3, 14, 12)), "batch of 3"),
        (dict(target=torch.full((1, 3, 12, 12), float("inf"))), "432 values of target"),
        (dict(neighbours=32), "1 to 31"),
        (dict(similarity="l1"), "l1"),
    ],
)
def test_bad_input_is_named(change, words):
    arguments = dict(target=torch.rand(2, 3, 12, 12), source=torch.rand(1, 3, 14, 12)) | change
    with pytest.raises(ValueError, match=words):
        patchmatch(arguments.pop("target"), arguments.pop("source"), **arguments)


def test_the_callback_can_stop_a_search():
    class Stop(Exception):
        pass

    def stop(step):
        raise Stop

    with pytest.raises(Stop):
        patchmatch(noise(1, 3, 64, 64), noise(1, 3, 64, 64), callback=stop)
