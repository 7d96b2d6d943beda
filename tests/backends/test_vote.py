"""The contract of the vote, on every backend."""

import numpy as np
import pytest
import torch

from reference import vote as reference

BOTH = (True, True)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def noise(*shape, seed=0):
    return torch.rand(shape, generator=generator(seed))


def field(batch, size, source_size, patch_size, source_wrap=(False,) * 3, neighbours=1, seed=0):
    """Random matches, with a few left out, and distances with many ties."""
    half = patch_size // 2
    axes = []
    for n, around in zip(source_size, source_wrap, strict=False):
        low, high = (0, n) if around else (half, n - half)
        shape = (batch, neighbours, *size)
        axes.append(torch.randint(low, high, shape, generator=generator(seed + len(axes))))
    positions = torch.stack(axes, 2).int()
    distances = torch.randint(0, 5, (batch, neighbours, *size), generator=generator(9)) / 2
    none = noise(batch, neighbours, *size, seed=7) < 0.1
    positions = positions.masked_fill(none[:, :, None], -1)
    return positions, distances.masked_fill(none, torch.inf)


CASES = {
    "plain": (noise(1, 3, 9, 13), field(1, (7, 11), (9, 13), 5), dict(patch_size=5)),
    "one pixel": (noise(1, 1, 3, 5), field(1, (7, 11), (3, 5), 1), dict(patch_size=1)),
    "batch, seven channels": (
        noise(2, 7, 9, 8),
        field(2, (5, 6), (9, 8), 3, neighbours=2),
        dict(patch_size=3, scale=0.5),
    ),
    "view": (
        noise(1, 26, 9, 3).permute(0, 3, 2, 1)[..., ::2],
        field(1, (7, 6), (9, 13), 3),
        dict(patch_size=3),
    ),
    "half": (noise(1, 3, 9, 8).half(), field(1, (7, 6), (9, 8), 3), dict(patch_size=3)),
    "double": (noise(1, 3, 9, 8).double(), field(1, (7, 6), (9, 8), 3), dict(patch_size=3)),
    "scale map": (
        noise(2, 2, 9, 8),
        field(2, (7, 6), (9, 8), 3),
        dict(patch_size=3, scale=noise(2, 1, 7, 6, seed=3) + 0.1),
    ),
    "narrow scale": (
        noise(1, 2, 9, 8),
        field(1, (7, 6), (9, 8), 3),
        dict(patch_size=3, scale=1e-3),
    ),
    "wrapped target": (
        noise(1, 2, 9, 8),
        field(1, (7, 6), (9, 8), 5),
        dict(patch_size=5, wrap=(True, False)),
    ),
    "wrapped source": (
        noise(1, 2, 9, 8),
        field(1, (7, 6), (9, 8), 5, source_wrap=(False, True)),
        dict(patch_size=5, source_wrap=(False, True)),
    ),
    "all wrapped, small": (
        noise(1, 2, 4, 3),
        field(1, (3, 5), (4, 3), 5, source_wrap=BOTH),
        dict(patch_size=5, wrap=BOTH, source_wrap=BOTH),
    ),
    "mask": (
        noise(2, 2, 9, 8),
        field(2, (7, 6), (9, 8), 3),
        dict(patch_size=3, mask=noise(2, 1, 7, 6, seed=3) > 0.5),
    ),
    "wrapped, one pixel wide": (
        noise(1, 2, 4, 5),
        field(1, (3, 1), (4, 5), 5, source_wrap=BOTH),
        dict(patch_size=5, wrap=(False, True), source_wrap=BOTH),
    ),
    "clip": (
        noise(1, 2, 5, 6, 7),
        field(1, (4, 5, 6), (5, 6, 7), 3),
        dict(patch_size=3, wrap=(True, False, False)),
    ),
    "clip, one pixel": (
        noise(1, 1, 2, 3, 5),
        field(1, (3, 5, 7), (2, 3, 5), 1),
        dict(patch_size=1),
    ),
    "clip, batch, five channels, narrow scale": (
        noise(2, 5, 5, 7, 6),
        field(2, (3, 7, 5), (5, 7, 6), 3, neighbours=2),
        dict(patch_size=3, scale=1e-3),
    ),
    "clip, view, half": (
        noise(1, 14, 5, 6, 2).permute(0, 4, 2, 3, 1)[..., ::2].half(),
        field(1, (3, 4, 5), (5, 6, 7), 3),
        dict(patch_size=3),
    ),
    "clip, scale map and mask": (
        noise(2, 2, 4, 5, 6),
        field(2, (3, 7, 5), (4, 5, 6), 3),
        dict(
            patch_size=3,
            scale=noise(2, 1, 3, 7, 5, seed=3) + 0.1,
            mask=noise(2, 1, 3, 7, 5, seed=4) > 0.5,
        ),
    ),
    "clip, mask": (
        noise(1, 2, 6, 7, 5),
        field(1, (7, 6, 11), (6, 7, 5), 3),
        dict(patch_size=3, mask=noise(1, 1, 7, 6, 11, seed=4) > 0.5),
    ),
    "clip, all wrapped, small": (
        noise(1, 2, 2, 4, 3),
        field(1, (1, 5, 3), (2, 4, 3), 5, source_wrap=(True,) * 3),
        dict(patch_size=5, wrap=(True,) * 3, source_wrap=(True,) * 3),
    ),
}


def truth(values, positions, distances, **kwargs):
    none = (False,) * (values.ndim - 2)
    kwargs = {"wrap": none, "source_wrap": none, **kwargs}
    results = []
    for b in range(len(values)):
        maps = {
            name: value[b, 0].numpy() if isinstance(value, torch.Tensor) else value
            for name, value in kwargs.items()
        }
        row = (values[b].numpy(), positions[b, 0].numpy(), distances[b, 0].numpy())
        results.append(reference.vote(*row, **maps))
    return torch.from_numpy(np.stack(results))


@pytest.mark.parametrize("best", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_vote_equals_the_reference(backend, name, best):
    values, (positions, distances), kwargs = CASES[name]
    result = backend("vote", values, positions, distances, best=best, **kwargs)
    assert result.dtype == values.dtype
    tolerance = 1e-3 if values.dtype == torch.half else 1e-5
    true = truth(values, positions, distances, best=best, **kwargs)
    torch.testing.assert_close(result.double(), true, rtol=tolerance, atol=tolerance)


def test_the_best_vote_takes_values_bit_for_bit(backend):
    values, (positions, distances), kwargs = CASES["plain"]
    result = backend("vote", values, positions, distances, best=True, **kwargs)
    pixels = set(map(tuple, values[0].flatten(1).T.tolist())) | {(0, 0, 0)}
    assert set(map(tuple, result[0].flatten(1).T.tolist())) <= pixels


def test_large_and_negative_distances_do_not_underflow(backend):
    values, (positions, distances), kwargs = CASES["plain"]
    for shift in (-1e3, 1e3):
        moved = distances + shift
        result = backend("vote", values, positions, moved, scale=0.5, **kwargs)
        true = backend("vote", values, positions, distances, scale=0.5, **kwargs)
        torch.testing.assert_close(result, true, rtol=1e-3, atol=1e-3)


def test_the_identity_field_gives_the_image_back(backend):
    image = noise(2, 3, 7, 9)
    for values in (image, noise(2, 3, 4, 7, 9)):
        size = values.shape[2:]
        grid = torch.stack(torch.meshgrid(*map(torch.arange, size), indexing="ij"))
        around = (True,) * len(size)
        for best in (False, True):
            result = backend(
                "vote",
                values,
                grid.int().expand(2, 1, *grid.shape),
                torch.zeros(2, 1, *size),
                patch_size=3,
                wrap=around,
                source_wrap=around,
                best=best,
            )
            torch.testing.assert_close(result, values)


def test_no_field_gives_zero(backend):
    positions = torch.full((1, 1, 2, 7, 9), -1, dtype=torch.int32)
    for best in (False, True):
        result = backend(
            "vote",
            noise(1, 3, 7, 9),
            positions,
            torch.full((1, 1, 7, 9), torch.inf),
            patch_size=3,
            best=best,
        )
        assert (result == 0).all()


def test_inputs_are_left_alone(backend):
    values, (positions, distances), kwargs = CASES["plain"]
    copies = values.clone(), positions.clone(), distances.clone()
    backend("vote", values, positions, distances, **kwargs)
    for kept, now in zip(copies, (values, positions, distances), strict=True):
        assert (kept == now).all()


@pytest.mark.parametrize(
    "kwargs, message",
    [
        (dict(patch_size=2), "patch_size must be odd"),
        (dict(scale=0.0), "scale must be positive, not 0.0"),
        (dict(scale=torch.ones(1, 1, 7, 12)), r"scale is \(1, 1, 7, 12\)"),
        (dict(mask=torch.ones(1, 1, 11, 7) > 0), r"mask is \(1, 1, 11, 7\)"),
        (dict(wrap=(True, True, True)), "wrap needs 2 flags"),
    ],
)
def test_bad_arguments_are_named(backend, kwargs, message):
    values, (positions, distances), given = CASES["plain"]
    with pytest.raises(ValueError, match=message):
        backend("vote", values, positions, distances, **{**given, **kwargs})
    with pytest.raises(ValueError, match="distances is"):
        backend("vote", values, positions, distances[..., 1:], **given)
    with pytest.raises(ValueError, match="positions must be"):
        backend("vote", values, positions[:, :, :1], distances, **given)
