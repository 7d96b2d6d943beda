"""Numbers drawn by counters: how they are spread, and that each depends on its counters alone."""

import torch
from scipy import stats

from internal_methods.backends import random


def places(side: int):
    return torch.arange(side)[:, None], torch.arange(side)


def test_normal_numbers_are_normal_and_independent():
    drawn = random.normal_at(3, 7, *places(200))
    assert drawn.shape == (200, 200) and stats.kstest(drawn.flatten(), "norm").pvalue > 0.01
    for other in (
        random.normal_at(4, 7, *places(200)),
        random.normal_at(3, 8, *places(200)),
        drawn.roll(1, 0),
        drawn.roll(1, 1),
        drawn.T,
    ):
        pair = torch.stack([drawn, other]).flatten(1)
        assert abs(float(torch.corrcoef(pair)[0, 1])) < 0.02


def test_a_number_depends_on_its_counters_alone():
    rows, columns = places(20)
    drawn = random.normal_at(3, 7, rows, columns)
    part = random.normal_at(3, 7, rows[5:9], columns[2:])
    assert torch.equal(drawn[5:9, 2:], part)
    assert float(random.normal_at(3, 7, 6, 11)) == float(drawn[6, 11])


def test_a_block_of_noise_stays_what_it_was():
    """Other results are built on it: the first numbers of seed 5, written down."""
    wanted = torch.tensor([0.251556, 0.99585, -0.551924, 0.216232])
    assert torch.allclose(random.normal((2, 3), 5).flatten()[:4], wanted, atol=1e-6)
