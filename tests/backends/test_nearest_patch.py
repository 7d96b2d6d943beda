"""The contract of the patch search, on every backend."""

from functools import cache

import numpy as np
import pytest
import torch

from internal_methods import backends
from reference import nearest_patch as reference

TOLERANCE = {"rtol": 1e-5, "atol": 1e-5}


def noise(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def smooth(*shape, seed=0):
    """Noise with structure: neighbouring patches have neighbouring matches."""
    coarse = noise(*shape[:2], *(n // 4 + 2 for n in shape[2:]), seed=seed)
    mode = "bilinear" if len(shape) == 4 else "trilinear"
    return torch.nn.functional.interpolate(coarse, shape[2:], mode=mode, align_corners=True)


def holes(*shape, share=0.02, seed=5):
    return noise(*shape, seed=seed) > share


def spread(image):
    """The same numbers in other places of memory: channels last, and every second pixel."""
    wide = image.repeat_interleave(2, -1).movedim(1, -1).contiguous()
    return wide.movedim(-1, 1)[..., ::2]


BOTH = (True, True)
CASES = {
    "plain": (noise(1, 3, 13, 11), noise(1, 3, 11, 17, seed=1), dict(patch_size=5)),
    "one pixel": (noise(1, 1, 7, 9), noise(1, 1, 5, 3, seed=1), dict(patch_size=1)),
    "five channels, batch": (
        noise(2, 5, 9, 10),
        noise(2, 5, 7, 8, seed=1),
        dict(patch_size=3, neighbours=2),
    ),
    "views": (
        spread(noise(1, 3, 8, 13)),
        spread(noise(1, 3, 9, 7, seed=1)),
        dict(patch_size=3),
    ),
    "half precision": (
        noise(1, 3, 8, 9).half(),
        noise(1, 3, 9, 7, seed=1).half(),
        dict(patch_size=3),
    ),
    "double precision": (
        noise(1, 2, 8, 9).double(),
        noise(1, 2, 9, 7, seed=1).double(),
        dict(patch_size=3),
    ),
    "large values": (
        1000 * noise(1, 3, 8, 9) - 300,
        1000 * noise(1, 3, 9, 7, seed=1) - 300,
        dict(patch_size=3),
    ),
    "four neighbours": (
        noise(1, 3, 9, 8),
        noise(1, 3, 8, 9, seed=1),
        dict(patch_size=3, neighbours=4),
    ),
    "more neighbours than patches": (
        noise(1, 1, 5, 5),
        noise(1, 1, 4, 3, seed=1),
        dict(patch_size=3, neighbours=4),
    ),
    "dot": (
        noise(1, 3, 9, 8) - 0.5,
        noise(1, 3, 8, 9, seed=1) - 0.5,
        dict(patch_size=3, neighbours=3, similarity="dot"),
    ),
    "cosine": (
        noise(1, 3, 9, 8) - 0.5,
        noise(1, 3, 8, 9, seed=1) - 0.5,
        dict(patch_size=3, neighbours=3, similarity="cosine"),
    ),
    "wrapped target": (
        noise(1, 3, 9, 8),
        noise(1, 3, 8, 9, seed=1),
        dict(patch_size=5, wrap=(False, True)),
    ),
    "wrapped source": (
        noise(1, 3, 9, 8),
        noise(1, 3, 7, 9, seed=1),
        dict(patch_size=5, source_wrap=(True, False)),
    ),
    "all wrapped": (
        noise(1, 1, 3, 8),
        noise(1, 1, 8, 3, seed=1),
        dict(patch_size=7, wrap=BOTH, source_wrap=BOTH),
    ),
    "masks": (
        noise(2, 3, 9, 8),
        noise(2, 3, 11, 13, seed=1),
        dict(
            patch_size=3,
            neighbours=2,
            target_mask=holes(2, 1, 9, 8, share=0.5),
            source_mask=holes(2, 1, 11, 13),
        ),
    ),
    "masked and wrapped source": (
        noise(1, 3, 9, 8),
        noise(1, 3, 9, 9, seed=1),
        dict(patch_size=3, source_mask=holes(1, 1, 9, 9), source_wrap=BOTH),
    ),
    "bias": (
        noise(1, 3, 9, 8),
        noise(1, 3, 8, 9, seed=1),
        dict(patch_size=3, neighbours=3, bias=4 * noise(1, 1, 8, 9, seed=2) - 2),
    ),
    "clip": (
        noise(1, 2, 4, 7, 5),
        noise(1, 2, 5, 6, 7, seed=1),
        dict(patch_size=3, neighbours=2, wrap=(True, False, False)),
    ),
    "clip of bytes": (
        (255 * noise(1, 3, 4, 5, 7)).round() / 255,
        (255 * noise(1, 3, 5, 7, 5, seed=1)).round() / 255,
        dict(patch_size=3),
    ),
    "clip, one pixel": (
        noise(2, 3, 3, 5, 7),
        noise(2, 3, 2, 7, 3, seed=1),
        dict(patch_size=1, neighbours=3),
    ),
    "clip, views in half precision": (
        spread(noise(1, 2, 3, 5, 4)).half(),
        spread(noise(1, 2, 4, 5, 4, seed=1)).half(),
        dict(patch_size=3),
    ),
    "clip, large patch, dot": (
        noise(1, 1, 4, 5, 6) - 0.5,
        noise(1, 1, 7, 6, 5, seed=1) - 0.5,
        dict(patch_size=5, neighbours=2, similarity="dot"),
    ),
    "clip, cosine, all wrapped": (
        noise(1, 2, 1, 4, 5) - 0.5,
        noise(1, 2, 5, 2, 4, seed=1) - 0.5,
        dict(patch_size=3, similarity="cosine", wrap=(True,) * 3, source_wrap=(True,) * 3),
    ),
    "clip, cosine": (
        noise(1, 2, 3, 4, 5) - 0.5,
        noise(1, 2, 5, 4, 4, seed=1) - 0.5,
        dict(patch_size=3, neighbours=2, similarity="cosine", wrap=(False, True, False)),
    ),
    "clip, masks": (
        noise(2, 2, 3, 5, 4),
        noise(2, 2, 5, 6, 7, seed=1),
        dict(
            patch_size=3,
            neighbours=2,
            target_mask=holes(2, 1, 3, 5, 4, share=0.3),
            source_mask=holes(2, 1, 5, 6, 7, share=0.01),
            source_wrap=(False, True, False),
        ),
    ),
    "clip, bias": (
        noise(1, 2, 3, 4, 5),
        noise(1, 2, 4, 5, 5, seed=1),
        dict(patch_size=3, neighbours=3, bias=4 * noise(1, 1, 4, 5, 5, seed=2) - 2),
    ),
}


@cache
def truth(name):
    """The reference's costs (biased distances) for a case."""
    target, source, given = CASES[name]
    kwargs = _spelled_out(target, given)
    results = []
    for b in range(len(target)):
        maps = {
            name: value[b, 0].numpy() if isinstance(value, torch.Tensor) else value
            for name, value in kwargs.items()
        }
        results.append(reference.nearest_patch(target[b].numpy(), source[b].numpy(), **maps))
    positions, distances = (torch.from_numpy(np.stack(r)) for r in zip(*results, strict=True))
    return costs(positions, distances, given.get("bias"))


def distances_at(target, source, positions, **kwargs):
    """The true distances of a field, whatever found it."""
    kwargs = _spelled_out(target, kwargs)
    names = ("patch_size", "wrap", "source_wrap", "similarity")
    kwargs = {name: kwargs[name] for name in names if name in kwargs}
    rows = zip(target.numpy(), source.numpy(), positions.numpy(), strict=True)
    return torch.from_numpy(np.stack([reference.distances_at(*row, **kwargs) for row in rows]))


def _spelled_out(target, kwargs):
    none = (False,) * (target.ndim - 2)
    return {"wrap": none, "source_wrap": none, **kwargs}


def costs(positions, distances, bias):
    """Distances plus bias, which is what the order goes by."""
    if bias is None:
        return distances.double()
    places = positions.long().clamp(min=0)
    there = torch.stack([bias[b, 0][tuple(places[b].movedim(1, 0))] for b in range(len(positions))])
    return distances.double() + there


def check_field(target, source, positions, distances, **kwargs):
    """What every answer must satisfy, found approximately or not."""
    n, axes, size = kwargs.get("neighbours", 1), target.ndim - 2, target.shape[2:]
    assert positions.shape == (len(target), n, axes, *size)
    assert positions.dtype == torch.int32
    assert distances.shape == (len(target), n, *size)
    assert distances.dtype == torch.float32
    true = distances_at(target, source, positions, **kwargs)
    torch.testing.assert_close(distances.double(), true, **TOLERANCE)

    cost = costs(positions, distances, kwargs.get("bias"))
    assert (cost[:, 1:] >= cost[:, :-1] - 1e-5).all(), "not in the order of the biased distances"

    spelled = _spelled_out(target, kwargs)
    wanted = kwargs.get("target_mask")
    mask = kwargs.get("source_mask")
    for b in range(len(target)):
        allowed = set(
            reference.centres(
                source[b].numpy(),
                kwargs["patch_size"],
                spelled["source_wrap"],
                None if mask is None else mask[b, 0].numpy(),
            )
        )
        for query in np.ndindex(*size):
            found = [tuple(p) for p in positions[(b, ..., *query)].tolist() if min(p) >= 0]
            asked = wanted is None or wanted[(b, 0, *query)]
            assert len(found) == (min(n, len(allowed)) if asked else 0)
            assert len(set(found)) == len(found), "the same patch twice"
            assert set(found) <= allowed


@pytest.mark.parametrize("name", CASES)
def test_exact_search_equals_the_reference(backend, name):
    target, source, kwargs = CASES[name]
    positions, distances = backend("nearest_patch", target, source, exact=True, **kwargs)
    check_field(target, source, positions, distances, **kwargs)
    found = costs(positions, distances, kwargs.get("bias"))
    torch.testing.assert_close(found, truth(name), **TOLERANCE)


@pytest.mark.parametrize("name", CASES)
def test_approximate_search_is_honest_and_close(backend, name):
    """One pass removes at least half of the excess of a random start, of noise at that."""
    target, source, kwargs = CASES[name]
    true, excess = truth(name), []
    for iterations in (0, 1):
        found = backend("nearest_patch", target, source, iterations=iterations, **kwargs)
        check_field(target, source, *found, **kwargs)
        above = (costs(*found, kwargs.get("bias")) - true)[true.isfinite()]
        assert above.min() >= -1e-5 * max(1, true[true.isfinite()].abs().mean())
        excess.append(above.mean())
    assert excess[1] <= excess[0] / 2 + 1e-5


def test_thirty_one_neighbours(backend):
    target, source = noise(1, 3, 9, 8), noise(1, 3, 8, 9, seed=1)
    kwargs = dict(patch_size=3, neighbours=31, target_mask=holes(1, 1, 9, 8, share=0.8))
    found = backend("nearest_patch", target, source, iterations=0, **kwargs)
    check_field(target, source, *found, **kwargs)
    exact = backend("nearest_patch", target, source, exact=True, **kwargs)
    check_field(target, source, *exact, **kwargs)
    assert (exact[1] <= found[1]).all()


@pytest.mark.parametrize("quality, iterations, ratio", [("fast", 3, 1.2), ("best", 2, 1.2)])
def test_ratio_to_exact_on_a_structured_pair(backend, quality, iterations, ratio):
    target, source = smooth(1, 3, 32, 32), smooth(1, 3, 32, 32, seed=1)
    exact = torch.cdist(*(columns(image) for image in (target, source))).square().min(2).values
    _, distances = backend(
        "nearest_patch", target, source, patch_size=5, quality=quality, iterations=iterations
    )
    assert distances[..., 2:-2, 2:-2].mean() <= ratio * exact.mean()


def columns(image):
    return torch.nn.functional.unfold(image.double(), 5).movedim(1, 2)


@pytest.mark.parametrize("quality, iterations, ratio", [("fast", 4, 1.25), ("best", 2, 1.1)])
def test_ratio_to_exact_on_a_structured_pair_of_clips(backend, quality, iterations, ratio):
    target, source = smooth(1, 2, 5, 11, 10), smooth(1, 2, 12, 18, 17, seed=1)
    kwargs = dict(patch_size=3, quality=quality)
    _, exact = backends.run("nearest_patch", target, source, exact=True, **kwargs)
    _, distances = backend("nearest_patch", target, source, iterations=iterations, **kwargs)
    assert (distances >= exact - 1e-5).all()
    assert distances.mean() <= ratio * exact.mean()


@pytest.mark.parametrize(
    "size, source_size, neighbours",
    [((17, 19), (16, 15), 1), ((17, 19), (16, 15), 3), ((5, 7, 6), (6, 7, 5), 2)],
)
def test_cost_never_rises_from_pass_to_pass(backend, size, source_size, neighbours):
    target, source = smooth(1, 3, *size), smooth(1, 3, *source_size, seed=1)
    before = None
    for iterations in range(3):
        _, distances = backend(
            "nearest_patch",
            target,
            source,
            patch_size=5,
            neighbours=neighbours,
            iterations=iterations,
            seed=3,
        )
        if before is not None:
            assert (distances <= before + 1e-6).all()
            assert distances.mean() < before.mean()
        before = distances


@pytest.mark.parametrize("similarity", ["l2"])
def test_the_same_image_costs_nothing(backend, similarity):
    image = noise(1, 3, 12, 13)
    image[..., 4:10, 4:10] = 1 + 1e-4 * image[..., 4:10, 4:10]  # nearly flat
    positions, distances = backend(
        "nearest_patch",
        image,
        image,
        patch_size=3,
        exact=True,
        wrap=BOTH,
        source_wrap=BOTH,
        similarity=similarity,
    )
    assert (distances == 0).all()
    grid = torch.stack(torch.meshgrid(torch.arange(12), torch.arange(13), indexing="ij"))
    assert (positions[0, 0] == grid).all()


@pytest.mark.parametrize("size, source_size", [((13, 15), (16, 15)), ((5, 9, 7), (6, 8, 9))])
def test_warm_start_is_kept_and_only_improved(backend, size, source_size):
    target, source = smooth(1, 3, *size), smooth(1, 3, *source_size, seed=1)
    kwargs = dict(patch_size=3, neighbours=2)
    positions, before = backend("nearest_patch", target, source, iterations=1, **kwargs)
    same = backend("nearest_patch", target, source, positions=positions, iterations=0, **kwargs)
    assert (same[0] == positions).all()
    assert (same[1] == before).all()
    _, after = backend(
        "nearest_patch", target, source, positions=positions, iterations=1, seed=9, **kwargs
    )
    assert (after <= before).all()
    assert after.mean() < before.mean()


@pytest.mark.parametrize("size, source_size", [((9, 8), (8, 9)), ((3, 5, 4), (4, 6, 5))])
def test_unusable_warm_starts_are_replaced(backend, size, source_size):
    target, source = noise(1, 3, *size), noise(1, 3, *source_size, seed=1)
    kwargs = dict(patch_size=3, neighbours=3, source_mask=holes(1, 1, *source_size))
    positions = torch.randint(
        -20,
        20,
        (1, 3, len(size), *size),
        dtype=torch.int32,
        generator=torch.Generator().manual_seed(0),
    )
    positions[:, 1] = positions[:, 0]
    kept = positions.clone()
    for iterations in (0, 1):
        found = backend(
            "nearest_patch", target, source, positions=positions, iterations=iterations, **kwargs
        )
        check_field(target, source, *found, **kwargs)
    assert (positions == kept).all()


def test_one_good_match_spreads_along_every_axis_of_a_clip(backend):
    """The match of one corner reaches the opposite one by propagation alone, frame by frame."""
    clip = noise(1, 1, 19, 7, 6)
    source = torch.nn.functional.pad(clip, (2, 0, 1, 0, 3, 0))
    positions = torch.full((1, 1, 3, *clip.shape[2:]), -1, dtype=torch.int32)
    positions[:, :, :] = torch.tensor([1, 1, 1]).view(3, 1, 1, 1)
    positions[0, 0, :, 1, 1, 1] = torch.tensor([4, 2, 3])
    kwargs = dict(patch_size=3, positions=positions, radius=0)
    found, distances = backend("nearest_patch", clip, source, iterations=3, **kwargs)
    assert (distances[..., 1:-1, 1:-1, 1:-1] == 0).all()
    assert found[0, 0, :, 17, 5, 4].tolist() == [20, 6, 6]


def test_radius_zero_only_propagates(backend):
    """From one good match that covers the image and nothing else, propagation cannot leave it."""
    image = noise(1, 1, 12, 12)
    positions = torch.full((1, 1, 2, 12, 12), 5, dtype=torch.int32)
    found, _ = backend(
        "nearest_patch", image, image, patch_size=3, positions=positions, radius=0, iterations=1
    )
    offsets = found[0, 0] - torch.stack(
        torch.meshgrid(torch.arange(12), torch.arange(12), indexing="ij")
    )
    assert (found[0, 0, :, 5, 5] == 5).all()
    assert offsets.abs().max() <= 11
    start = backend(
        "nearest_patch", image, image, patch_size=3, positions=positions, radius=0, iterations=0
    )
    assert (start[0] == 5).all()


def test_propagation_crosses_a_wrapped_border(backend):
    target = noise(1, 1, 8, 64)
    source = target.tile(1, 1, 1, 2)
    positions = (
        torch.tensor([4, 100], dtype=torch.int32).reshape(1, 1, 2, 1, 1).repeat(1, 1, 1, 8, 64)
    )
    positions[..., 4, 63] = torch.tensor([4, 63])
    found, distances = backend(
        "nearest_patch",
        target,
        source,
        patch_size=3,
        positions=positions,
        radius=0,
        iterations=2,
        wrap=(False, True),
    )
    assert (distances[0, 0, 4, :4] == 0).all()
    assert (found[0, 0, 1, 4, :4] == torch.arange(64, 68)).all()


def test_batch_equals_loop(backend):
    target, source = noise(3, 3, 9, 8), noise(3, 3, 8, 9, seed=1)
    kwargs = dict(patch_size=3, neighbours=2, iterations=1)
    positions, distances = backend("nearest_patch", target, source, **kwargs)
    for b in range(3):
        alone = backend("nearest_patch", target[b : b + 1], source[b : b + 1], **kwargs)
        assert (alone[0][0] == positions[b]).all()
        assert (alone[1][0] == distances[b]).all()


def test_wrap_is_tiling_and_reading_the_middle(backend):
    target, source = noise(1, 3, 7, 9), noise(1, 3, 8, 11, seed=1)
    kwargs = dict(patch_size=5, exact=True)
    wrapped = backend("nearest_patch", target, source, wrap=BOTH, **kwargs)
    tiled = backend("nearest_patch", target.tile(1, 1, 3, 3), source, **kwargs)
    assert (wrapped[0] == tiled[0][..., 7:14, 9:18]).all()
    assert torch.allclose(wrapped[1], tiled[1][..., 7:14, 9:18])


def test_the_same_call_gives_the_same_bits_and_another_seed_others(backend):
    target, source = noise(1, 3, 13, 12), noise(1, 3, 14, 13, seed=1)
    kwargs = dict(patch_size=3, iterations=1, neighbours=2)
    first = backend("nearest_patch", target, source, seed=1, **kwargs)
    second = backend("nearest_patch", target, source, seed=1, **kwargs)
    other = backend("nearest_patch", target, source, seed=2, **kwargs)
    large = backend("nearest_patch", target, source, seed=(1 << 63) - 1, **kwargs)
    assert (first[0] == second[0]).all()
    assert (first[1] == second[1]).all()
    assert (first[0] != other[0]).any()
    assert (first[0] != large[0]).any()


def test_inputs_and_the_global_generator_are_left_alone(backend):
    target, source = noise(1, 3, 9, 8), noise(1, 3, 8, 9, seed=1)
    given = dict(
        target_mask=holes(1, 1, 9, 8, share=0.5),
        source_mask=holes(1, 1, 8, 9),
        bias=noise(1, 1, 8, 9, seed=2),
        positions=torch.full((1, 1, 2, 9, 8), -1, dtype=torch.int32),
    )
    copies = [t.clone() for t in (target, source, *given.values())]
    state = torch.get_rng_state()
    backend("nearest_patch", target, source, patch_size=3, iterations=1, **given)
    for kept, now in zip(copies, (target, source, *given.values()), strict=True):
        assert (kept == now).all()
    assert (torch.get_rng_state() == state).all()


def test_nothing_wanted_gives_nothing(backend):
    target, source = noise(1, 3, 9, 8), noise(1, 3, 8, 9, seed=1)
    for exact in (False, True):
        positions, distances = backend(
            "nearest_patch",
            target,
            source,
            patch_size=3,
            exact=exact,
            target_mask=torch.zeros(1, 1, 9, 8, dtype=torch.bool),
        )
        assert (positions == -1).all()
        assert distances.isinf().all()


@pytest.mark.parametrize("exact", [False, True])
def test_little_memory_changes_nothing(backend, exact):
    target, source = noise(1, 3, 9, 8), noise(1, 3, 8, 9, seed=1)
    kwargs = dict(patch_size=3, exact=exact, iterations=1, neighbours=2)
    ample = backend("nearest_patch", target, source, **kwargs)
    scarce = backend("nearest_patch", target, source, memory=20_000, **kwargs)
    assert (ample[0] == scarce[0]).all()
    assert torch.allclose(ample[1], scarce[1])


def test_poll_is_called_and_may_interrupt(backend):
    target, source = noise(1, 3, 9, 8), noise(1, 3, 8, 9, seed=1)

    class Interrupted(Exception):
        pass

    def poll():
        raise Interrupted

    with pytest.raises(Interrupted):
        backend("nearest_patch", target, source, patch_size=3, poll=poll)


def test_inference_mode_and_gradients(backend):
    target, source = noise(1, 3, 9, 8).requires_grad_(), noise(1, 3, 8, 9, seed=1)
    kwargs = dict(patch_size=3, iterations=1)
    positions, distances = backend("nearest_patch", target, source, **kwargs)
    assert not distances.requires_grad
    with torch.inference_mode():
        inside = backend("nearest_patch", target, source, **kwargs)
    assert (inside[0] == positions).all()


BAD = {
    "even patch": (dict(patch_size=4), "patch_size must be odd.* 4.* 3 and 5"),
    "patch too large for the source": (dict(patch_size=9), "patch_size 9 .* 8x9 source.* most 7"),
    "no neighbours": (dict(neighbours=0), "neighbours must be 1 to 31, not 0"),
    "too many neighbours": (dict(neighbours=32), "neighbours must be 1 to 31, not 32"),
    "negative passes": (dict(iterations=-1), "iterations .* -1"),
    "negative radius": (dict(radius=-1), "radius .* -1"),
    "unknown similarity": (dict(similarity="l1"), "'l1' is not one of l2, dot, cosine"),
    "unknown quality": (dict(quality="good"), "'good' is not one of fast, best"),
    "flags": (dict(wrap=(True,)), "wrap needs 2 flags"),
    "no allowed patch": (
        dict(source_mask=torch.zeros(1, 1, 8, 9, dtype=torch.bool)),
        "source_mask leaves no whole 3-pixel patch",
    ),
    "mask of another size": (
        dict(target_mask=torch.ones(1, 1, 9, 9, dtype=torch.bool)),
        r"target_mask is \(1, 1, 9, 9\) but a 7x8 image needs \(1, 1, 7, 8\)",
    ),
    "mask of numbers": (dict(source_mask=torch.ones(1, 1, 8, 9)), "source_mask must be bool"),
    "bias of another size": (dict(bias=torch.ones(1, 1, 7, 8)), r"bias is \(1, 1, 7, 8\)"),
    "start of another size": (
        dict(positions=torch.zeros(1, 1, 2, 8, 9, dtype=torch.int32)),
        r"positions is \(1, 1, 2, 8, 9\)",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_arguments_are_named(backend, name):
    kwargs, message = BAD[name]
    with pytest.raises(ValueError, match=message):
        backend(
            "nearest_patch", noise(1, 3, 7, 8), noise(1, 3, 8, 9), **{"patch_size": 3, **kwargs}
        )


def test_bad_images_are_named(backend):
    with pytest.raises(ValueError, match="cannot be reflected .* 3x9 target.* most 5"):
        backend("nearest_patch", noise(1, 3, 3, 9), noise(1, 3, 8, 9), patch_size=7)
    with pytest.raises(ValueError, match=r"same batch size.*\(2, 3, 8, 9\).*\(1, 3, 8, 9\)"):
        backend("nearest_patch", noise(2, 3, 8, 9), noise(1, 3, 8, 9), patch_size=3)
    with pytest.raises(ValueError, match="floating"):
        backend("nearest_patch", noise(1, 3, 8, 9).int(), noise(1, 3, 8, 9), patch_size=3)
