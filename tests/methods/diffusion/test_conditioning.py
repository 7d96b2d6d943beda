"""Filling with a model of whole pictures: what is known of a Gaussian one has a closed form."""

from collections import Counter

import pytest
import torch
from torch import Generator

pytest.importorskip("internal_methods.methods.diffusion.settings")

from internal_methods.methods.diffusion.conditioning import (
    conditioned,
    noisier,
    sample_conditioned,
)
from internal_methods.methods.diffusion.sampling import sample
from internal_methods.methods.diffusion.schedule import Schedule

SCHEDULE = Schedule()
LENGTH, HIDDEN = 12, slice(4, 9)


def covariance() -> torch.Tensor:
    """Of a row of pixels, each like its neighbours."""
    place = torch.arange(LENGTH)
    return 0.25 * 0.85 ** (place[:, None] - place).abs().double()


VALUES, VECTORS = torch.linalg.eigh(covariance())


def denoise(x: torch.Tensor, t: int) -> torch.Tensor:
    """E[x0 | x_t] of that row: what a perfect network has learnt."""
    kept = SCHEDULE.alpha_bar(t)
    weights = kept**0.5 * VALUES / (kept * VALUES + 1 - kept)
    return ((x.flatten(1) @ VECTORS * weights) @ VECTORS.T).view_as(x)


def row() -> tuple[torch.Tensor, torch.Tensor]:
    """A picture (1, 1, 1, 12) and the mask of its middle."""
    picture = torch.linspace(-0.8, 0.6, LENGTH, dtype=torch.float64)
    mask = torch.zeros(LENGTH, dtype=torch.float64)
    mask[HIDDEN] = 1
    return picture.view(1, 1, 1, -1), mask.view(1, 1, 1, -1)


def noise_of(count: int):
    def noise(number: int) -> torch.Tensor:
        draw = Generator().manual_seed(number + 10)
        return torch.randn(count, 1, 1, LENGTH, generator=draw, dtype=torch.float64)

    return noise


def truth() -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and covariance of the hidden pixels, given the others."""
    hidden = row()[1].flatten() > 0
    all_of, picture = covariance(), row()[0].flatten()
    weights = all_of[hidden][:, ~hidden] @ torch.linalg.inv(all_of[~hidden][:, ~hidden])
    left = all_of[hidden][:, hidden] - weights @ all_of[~hidden][:, hidden]
    return weights @ picture[~hidden], left


def filled(count: int, steps: int = 100, **options) -> torch.Tensor:
    noise, settings = noise_of(count), {"clip": None, "known": row(), **options}
    levels = SCHEDULE.levels(steps)
    return sample_conditioned(denoise, noise(-7), SCHEDULE, levels=levels, noise=noise, **settings)


def errors(samples: torch.Tensor) -> tuple[float, float]:
    """Of the mean, in standard deviations, and of the covariance, relative."""
    mean, left = truth()
    hidden = samples.flatten(1)[:, HIDDEN]
    off = (hidden.mean(0) - mean).abs().max() / left.diag().max().sqrt()
    return float(off), float((hidden.T.cov() - left).norm() / left.norm())


def test_going_up_and_down_samples_from_the_conditional_distribution():
    off, spread = errors(filled(3000, times=6))
    assert off < 0.06 and spread < 0.15
    once = errors(filled(3000))
    assert once[0] < 0.2 and once[1] > 3 * spread  # too varied: it agrees less with what is known


def test_a_deterministic_sampler_does_too():
    off, spread = errors(filled(2000, sampler="ddim", times=10))
    assert off < 0.1 and spread < 0.25


@pytest.mark.parametrize("sampler", ["ancestral", "ddim", "dpm2"])
def test_what_is_known_comes_back_bit_for_bit(sampler):
    picture, mask = row()
    result = filled(3, steps=10, sampler=sampler, jump=4, times=2)
    known = (mask < 0.5).expand(3, -1, -1, -1)
    assert torch.equal(result[known], picture.expand(3, -1, -1, -1)[known])
    assert torch.equal(result, filled(3, steps=10, sampler=sampler, jump=4, times=2))


def test_one_round_is_the_plain_sampler_asked_with_what_is_known():
    noise, levels = noise_of(4), SCHEDULE.levels(12)
    number = SCHEDULE.steps + 1
    told = conditioned(denoise, SCHEDULE, row(), lambda t: noise(number + t))
    wanted = sample(told, noise(-7), SCHEDULE, levels=levels, noise=noise, known=row(), clip=None)
    assert torch.equal(filled(4, steps=12, jump=5), wanted)


def test_the_network_sees_what_is_known_as_noisy_as_the_rest():
    picture, mask = row()
    seen = []

    def watched(x, t):
        seen.append(x)
        return x

    noise = noise_of(20000)
    asked = conditioned(watched, SCHEDULE, (picture, mask), noise)
    garbage = torch.full((20000, 1, 1, LENGTH), 9.0, dtype=torch.float64)
    for t in (900, 300):
        result = asked(garbage, t)
        known = seen[-1].flatten(1)[:, mask.flatten() < 0.5]
        kept = SCHEDULE.alpha_bar(t)
        mean = kept**0.5 * picture.flatten()[mask.flatten() < 0.5]
        torch.testing.assert_close(known.mean(0), mean, rtol=0, atol=0.03)
        torch.testing.assert_close(known.var(0), torch.full_like(mean, 1 - kept), rtol=0.06, atol=0)
        assert (seen[-1].flatten(1)[:, HIDDEN] == 9).all()
        assert torch.equal(result.flatten(1)[:, HIDDEN], garbage.flatten(1)[:, HIDDEN])


def test_noise_added_later_makes_pictures_as_noisy_as_noise_added_at_once():
    picture, noise = row()[0].expand(40000, -1, -1, -1), noise_of(40000)
    for s, t in ((-1, 300), (200, 400)):
        x = picture if s < 0 else SCHEDULE.noised(picture, s, noise(1))
        x = noisier(x, SCHEDULE, s, t, noise(2)).flatten(1)
        kept = SCHEDULE.alpha_bar(t)
        torch.testing.assert_close(x.mean(0), kept**0.5 * row()[0].flatten(), rtol=0, atol=0.03)
        torch.testing.assert_close(
            x.var(0), torch.full((12,), 1 - kept).double(), rtol=0.04, atol=0
        )


def test_every_round_has_noise_of_its_own():
    counted: Counter[int] = Counter()
    drawn = noise_of(1)

    def noise(number: int) -> torch.Tensor:
        counted[number] += 1
        return drawn(number)

    sample_conditioned(
        denoise,
        drawn(-7),
        SCHEDULE,
        levels=SCHEDULE.levels(20),
        known=row(),
        noise=noise,
        jump=6,
        times=3,
    )
    # of three rounds the steps (but that to the clean picture) and what is known, two rises of four
    assert sum(counted.values()) == 3 * (20 + 20 - 1) + 2 * 4 and max(counted.values()) == 1


@pytest.mark.parametrize("wrong", [{"jump": 0}, {"times": 0}])
def test_jumps_of_nothing_are_refused(wrong):
    with pytest.raises(ValueError, match="1 or more"):
        filled(1, steps=4, **wrong)
