"""The contract of the local percentile, on every backend."""

import numpy as np
import pytest
import torch

from reference import local_percentile as reference


def noise(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def gaps(distances, share=0.3):
    return distances.masked_fill(noise(*distances.shape, seed=5) < share, torch.inf)


CASES = {
    "plain": (gaps(noise(1, 1, 7, 11)), dict(patch_size=5)),
    "median, ties": (gaps((noise(1, 1, 7, 11) * 4).round()), dict(patch_size=3, percentile=50)),
    "least": (gaps(noise(1, 1, 7, 8)), dict(patch_size=3, percentile=0)),
    "greatest": (gaps(noise(1, 1, 7, 8)), dict(patch_size=3, percentile=100)),
    "shares that round badly": (noise(1, 1, 12, 13), dict(patch_size=5, percentile=28.0)),
    "floor": (gaps(noise(1, 1, 7, 8)), dict(patch_size=3, floor=0.6)),
    "nothing counts": (torch.full((1, 1, 5, 4), torch.inf), dict(patch_size=3, floor=1.0)),
    "negative": (gaps(noise(1, 1, 7, 8)) - 2, dict(patch_size=3, floor=-1.7)),
    "both signs": (gaps(noise(1, 1, 9, 8)) - 0.5, dict(patch_size=5, percentile=40, floor=-0.1)),
    "both signs, huge": (
        gaps(noise(1, 1, 9, 8) - 0.5).mul(1e38).nan_to_num(posinf=torch.inf, neginf=-1e38),
        dict(patch_size=5, floor=0.0),
    ),
    "far from one to the next": (10 ** (70 * noise(1, 1, 9, 33) - 35), dict(patch_size=9)),
    "some zeros": ((noise(1, 1, 9, 8) - 0.5).clamp(min=0) * 1e-9, dict(patch_size=3)),
    "minus zero": (-torch.zeros(1, 1, 5, 5), dict(patch_size=3, floor=-0.0)),
    "one pixel": (gaps(noise(1, 1, 7, 8)), dict(patch_size=1)),
    "batch": (gaps(noise(3, 1, 7, 8)), dict(patch_size=3)),
    "view": (gaps(noise(1, 2, 8, 14))[:, 1:, :, ::2], dict(patch_size=3)),
    "wrap": (gaps(noise(1, 1, 7, 8)), dict(patch_size=5, wrap=(True, False))),
    "wrapped, small": (gaps(noise(1, 1, 3, 2)), dict(patch_size=5, wrap=(True, True))),
    "mask": (
        gaps(noise(2, 1, 7, 8)),
        dict(patch_size=3, floor=0.1, mask=noise(2, 1, 7, 8, seed=2) > 0.5),
    ),
    "wrapped, one pixel wide": (gaps(noise(1, 1, 3, 1)), dict(patch_size=5, wrap=(True, True))),
    "clip": (gaps(noise(1, 1, 4, 5, 6)), dict(patch_size=3)),
    "clip, one pixel": (gaps(noise(1, 1, 3, 5, 7)), dict(patch_size=1)),
    "clip, batch, view, mask": (
        gaps(noise(2, 2, 5, 7, 6))[:, 1:, :, ::2],
        dict(patch_size=3, floor=0.1, mask=noise(2, 1, 5, 4, 6, seed=2) > 0.5),
    ),
    "clip, wrapped, small": (
        gaps(noise(1, 1, 1, 4, 3)),
        dict(patch_size=5, percentile=50, wrap=(True, False, True)),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_percentile_equals_the_reference(backend, name):
    distances, kwargs = CASES[name]
    kept = distances.clone()
    result = backend("local_percentile", distances, **kwargs)
    spelled = {"percentile": 75.0, "floor": 0.0, "wrap": (False,) * (distances.ndim - 2), **kwargs}
    true = []
    for b in range(len(distances)):
        maps = {
            key: value[b, 0].numpy() if isinstance(value, torch.Tensor) else value
            for key, value in spelled.items()
        }
        true.append(reference.local_percentile(distances[b, 0].numpy(), **maps))
    true = torch.from_numpy(np.stack(true))[:, None].float()
    assert result.dtype == torch.float32
    assert result.shape == distances.shape
    assert (result == true).all()
    assert (distances == kept).all()


@pytest.mark.parametrize(
    "kwargs, message",
    [
        (dict(patch_size=2), "patch_size must be odd"),
        (dict(percentile=101), "percentile must be 0 to 100, not 101"),
        (dict(mask=torch.ones(1, 1, 8, 7) > 0), r"mask is \(1, 1, 8, 7\)"),
    ],
)
def test_bad_arguments_are_named(backend, kwargs, message):
    with pytest.raises(ValueError, match=message):
        backend("local_percentile", noise(1, 1, 7, 8), **{"patch_size": 3, **kwargs})
