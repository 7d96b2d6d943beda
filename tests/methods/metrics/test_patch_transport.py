"""Transport of patches against scipy: assignment, linear programming; and in closed form."""

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.optimize import linear_sum_assignment, linprog
from scipy.spatial.distance import cdist

from internal_methods.methods import generate
from internal_methods.methods.metrics import compare, patch_transport
from internal_methods.methods.metrics.exact_transport import transport
from internal_methods.methods.metrics.patch_sets import patch_sets
from internal_methods.methods.metrics.patch_transport import patch_ot, patch_ot_note
from internal_methods.methods.metrics.similarity import coherence, completeness
from shared import shared


def picture(height=24, width=28, seed=0):
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand((1, 3, 5, 5), generator=generator)
    size = (height, width)
    return torch.nn.functional.interpolate(coarse, size, mode="bicubic").clamp(0, 1)


def patches(image, side, region=None):
    """Every whole patch as a row, by plain slicing."""
    half, rows = side // 2, []
    for y in range(half, image.shape[2] - half):
        for x in range(half, image.shape[3] - half):
            if region is None or region[0, 0, y, x]:
                part = image[0, :, y - half : y + half + 1, x - half : x + half + 1]
                rows.append(part.double().numpy().ravel())
    return np.stack(rows)


def assignment(one, other):
    costs = cdist(one, other, "sqeuclidean")
    return costs[linear_sum_assignment(costs)].mean()


def programme(costs):
    """The same problem as a linear programme, for sets of any two sizes."""
    n, m = costs.shape
    rows = np.kron(np.eye(n), np.ones(m))
    columns = np.kron(np.ones(n), np.eye(m))
    masses = np.r_[np.full(n, 1 / n), np.full(m, 1 / m)]
    return linprog(costs.ravel(), A_eq=np.r_[rows, columns], b_eq=masses, method="highs").fun


@pytest.mark.parametrize(("n", "m"), [(1, 1), (1, 7), (9, 4), (12, 18), (25, 25), (31, 17)])
def test_exact_transport_is_the_linear_programme(n, m):
    numbers = np.random.default_rng(n * m)
    costs = cdist(numbers.random((n, 3)), numbers.random((m, 3)) + 0.3, "sqeuclidean")
    found, discounts = transport(costs)
    assert found == pytest.approx(programme(costs), rel=1e-7)
    proof = (costs - discounts).min(axis=1).mean() + discounts.mean()
    assert found == pytest.approx(proof, rel=1e-9)


def test_exact_transport_with_ties():
    numbers = np.random.default_rng(0)
    costs = numbers.integers(0, 3, (40, 40)).astype(float)
    assert transport(costs)[0] == pytest.approx(costs[linear_sum_assignment(costs)].mean())
    assert transport(np.zeros((5, 7)))[0] == 0


@pytest.mark.parametrize("seed", [0, 1])
def test_the_cost_is_that_of_the_best_assignment(seed):
    image, reference = picture(seed=seed), picture(seed=seed + 5)
    wanted = assignment(patches(image, 5), patches(reference, 5))
    assert patch_ot(image, reference, patch_size=5).item() == pytest.approx(wanted, rel=1e-5)


def test_pictures_of_two_sizes_against_the_linear_programme():
    image, reference = picture(11, 12), picture(10, 15, seed=3)
    wanted = programme(cdist(patches(image, 5), patches(reference, 5), "sqeuclidean"))
    assert patch_ot(image, reference, patch_size=5).item() == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("kind", ["smooth", "missing half"])
def test_ascent_over_all_patches_comes_close_from_below(kind, monkeypatch):
    image, reference = picture(36, 36), picture(36, 36, seed=5)
    if kind == "missing half":  # mass has to travel between far parts
        image = torch.cat([reference[..., :18], reference[..., :18]], dim=3)
    wanted = patch_ot(image, reference, patch_size=7).item()
    monkeypatch.setattr(patch_transport, "DENSE", 100)
    found = patch_ot(image, reference, patch_size=7).item()
    assert 0.95 * wanted < found < 1.005 * wanted


def test_the_search_keeps_to_the_set():
    image, reference = picture(48, 44), picture(48, 44, seed=5)
    region = torch.zeros(1, 1, 48, 44)
    region[..., 3:30, 10:40] = 1
    region[..., 10:20, 18:22] = 0  # narrower than a patch
    (sets,) = patch_sets(image, reference, 7, region)
    chosen = sets.chosen(sets.search())
    assert len(chosen) == 27 * 30 - 40 and sets.sources.flatten()[chosen].all()


@pytest.mark.parametrize("sizes", [(16, 24), (24, 16)])
def test_ascent_between_sets_of_two_sizes(monkeypatch, sizes):
    image, reference = picture(sizes[0], 22), picture(sizes[1], 22, seed=5)
    wanted = patch_ot(image, reference, patch_size=7).item()
    monkeypatch.setattr(patch_transport, "DENSE", 100)
    monkeypatch.setattr(patch_transport, "FIRST", 4)  # the ascent has to find its way itself
    found = patch_ot(image, reference, patch_size=7).item()
    assert 0.95 * wanted < found < 1.005 * wanted


def test_ascent_in_a_region(monkeypatch):
    image, reference = picture(48, 44), picture(48, 44, seed=5)
    region = torch.zeros(1, 1, 48, 44)
    region[..., 3:30, 10:40] = 1
    region[..., 10:20, 18:22] = 0  # narrower than a patch
    image = torch.where(region > 0, image, reference)
    wanted = assignment(patches(image, 7, region), patches(reference, 7, region))
    assert patch_ot(image, reference, patch_size=7, region=region).item() == pytest.approx(wanted)
    assert patch_ot(image, reference, patch_size=7, region=1 - region).item() == 0
    monkeypatch.setattr(patch_transport, "DENSE", 100)
    found = patch_ot(image, reference, patch_size=7, region=region).item()
    assert 0.95 * wanted < found < 1.005 * wanted


def test_a_picture_costs_nothing_to_itself_and_a_shift_its_shift(monkeypatch):
    image = picture()
    # adding a constant moves every patch by it: no plan does better than leaving all where it is
    both, wanted = torch.cat([image, image + 0.1]), 3 * 25 * 0.1**2
    for dense in (2048, 10):
        monkeypatch.setattr(patch_transport, "DENSE", dense)
        found = patch_ot(both, image, patch_size=5)
        assert found.shape == (2,) and found.dtype == torch.float64
        assert 0 <= found[0] < 1e-6
        assert found[1].item() == pytest.approx(wanted, rel=0.02)


def test_one_colour():
    grey, darker = torch.full((1, 3, 60, 60), 0.5), torch.full((1, 3, 60, 60), 0.4)
    assert patch_ot(grey, grey).item() == 0
    assert patch_ot(grey, darker).item() == pytest.approx(363 * 0.01, rel=1e-4)


def test_neither_direction_of_similarity_costs_more_than_transport():
    image, reference = picture(23, 29), picture(29, 23, seed=5)
    whole = patch_ot(image, reference, patch_size=5).item()
    assert coherence(image, reference, patch_size=5).item() <= whole
    assert completeness(image, reference, patch_size=5).item() <= whole


def test_samples_are_drawn_by_the_seed_and_told():
    image, reference = picture(40, 40), picture(36, 40, seed=2)
    some = [patch_ot(image, reference, samples=60, seed=seed).item() for seed in (0, 0, 1)]
    assert some[0] == some[1] != some[2]
    assert patch_ot(image, image, samples=60).item() == 0
    assert patch_ot_note(image, reference, samples=60) == (
        "60 of 900 and 60 of 780 patches of 11; exact"
    )
    assert patch_ot_note(image, image) == "all 900 patches of 11; exact"
    assert "semi-dual" in patch_ot_note(picture(60, 70), reference)


def test_transport_keeps_the_distribution_that_plain_synthesis_loses():
    reference = picture(34, 34, seed=3)
    settings = {"scales": 2, "patch_size": 7, "count": 2}
    costs = {
        method: patch_ot(generate(reference, method=method, **settings), reference, patch_size=7)
        for method in ("psin", "psinot")
    }
    assert costs["psinot"].mean() < 0.7 * costs["psin"].mean()


def test_psinot_is_nearer_to_a_photograph_than_psin_and_a_copy_costs_nothing():
    with Image.open(shared("generation/places50/07.jpg")) as file:
        pixels = np.asarray(file.convert("RGB").resize((80, 60)), np.float32) / 255
    reference = torch.from_numpy(pixels).movedim(-1, 0)[None]
    plain = generate(reference, method="psin", scales=3)
    fair = generate(reference, method="psinot", scales=3)
    found = patch_ot(torch.cat([plain, fair, reference]), reference)
    assert found[2] < 1e-6 < found[1] < 0.7 * found[0]


def test_what_does_not_fit_is_said():
    image = picture()
    with pytest.raises(ValueError, match="samples 5000"):
        patch_ot(image, image, samples=5000)
    with pytest.raises(ValueError, match="patch of at most 24"):
        patch_ot(image, image, patch_size=25)
    with pytest.raises(ValueError, match="channels"):
        patch_ot(image, image[:, :1])
    region = torch.zeros(1, 1, 24, 28)
    region[..., 0, 0] = 1
    with pytest.raises(ValueError, match="no centre of a whole patch"):
        patch_ot(image, image, region=region)
    with pytest.raises(ValueError, match="resize one"):
        patch_ot(image, picture(30, 30), region=region)


@pytest.mark.parametrize("dense", [2048, 100])
def test_it_can_be_interrupted_on_the_way(monkeypatch, dense):
    monkeypatch.setattr(patch_transport, "DENSE", dense)
    calls = []

    def enough(_):
        calls.append(0)
        if len(calls) > 5:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        compare(picture(), picture(seed=5), metrics=["patch_ot"], callback=enough)
    assert len(calls) == 6
