"""Bidirectional similarity against brute force in float64."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from internal_methods.methods.metrics import patch_sets
from internal_methods.methods.metrics.similarity import coherence, completeness, similarity_note


def picture(height=24, width=28, seed=0):
    return torch.rand((1, 2, height, width), generator=torch.Generator().manual_seed(seed))


def patches(image, side, region=None):
    half, rows = side // 2, []
    for y in range(half, image.shape[2] - half):
        for x in range(half, image.shape[3] - half):
            if region is None or region[0, 0, y, x]:
                part = image[0, :, y - half : y + half + 1, x - half : x + half + 1]
                rows.append(part.double().numpy().ravel())
    return np.stack(rows)


def to_nearest(one, other, side, region=None):
    distances = cdist(patches(one, side, region), patches(other, side), "sqeuclidean")
    return distances.min(axis=1).mean()


@pytest.mark.parametrize("side", [1, 5])
def test_both_directions_are_brute_force(side):
    image, reference = picture(), picture(19, 30, seed=1)
    found = coherence(image, reference, patch_size=side).item()
    assert found == pytest.approx(to_nearest(image, reference, side), rel=1e-6)
    found = completeness(image, reference, patch_size=side).item()
    assert found == pytest.approx(to_nearest(reference, image, side), rel=1e-6)


def test_the_correction_makes_up_for_the_search(monkeypatch):
    """On noise PatchMatch finds the nearest patch seldom; the mean is right all the same."""
    image, reference = picture(60, 60), picture(64, 58, seed=1)
    wanted = to_nearest(image, reference, 5)
    (sets,) = patch_sets.patch_sets(image, reference, 5, None)
    searched = sets.least(sets.search()).mean().item()
    assert searched > 1.02 * wanted
    monkeypatch.setattr(patch_sets, "EXACT", 400)
    found = coherence(image, reference, patch_size=5).item()
    assert found == pytest.approx(wanted, rel=0.004)


def test_a_region_holds_the_queries():
    image, reference = picture(), picture(seed=1)
    region = torch.zeros(1, 1, 24, 28)
    region[..., 4:12, 6:15] = 0.5
    image = torch.where(region > 0, image, reference)
    wanted = to_nearest(image, reference, 5, region)
    found = coherence(image, reference, patch_size=5, region=region).item()
    assert found == pytest.approx(wanted, rel=1e-6)
    wanted = to_nearest(reference, image, 5, region)
    found = completeness(image, reference, patch_size=5, region=region).item()
    assert found == pytest.approx(wanted, rel=1e-6)


def test_part_of_a_picture_is_coherent_but_not_complete():
    reference = picture(40, 40)
    part = reference[..., 5:30, 8:30].contiguous()
    both = torch.cat([part, part])
    assert torch.equal(coherence(both, reference), torch.zeros(2, dtype=torch.float64))
    assert (completeness(both, reference) > 10).all()


def test_notes():
    assert similarity_note(picture(), picture()) == "patches of 11; exact"
    assert "corrected" in similarity_note(picture(60, 60), picture())
