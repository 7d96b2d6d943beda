"""Noise levels against sums written out in Python floats, closed forms and published values."""

import math

import pytest
import torch
from torch import Generator

from internal_methods.methods.diffusion.schedule import Schedule, steps_of
from internal_methods.methods.diffusion.settings import PREDICTIONS, WEIGHTINGS

LEVELS = (0, 1, 17, 500, 998, 999)


def written_out():
    """beta, alpha, A and the A before of Ho et al. 2020, one level after the other."""
    rows, kept = [], 1.0
    for t in range(1000):
        beta = 1e-4 + (0.02 - 1e-4) * t / 999
        before, kept = kept, kept * (1 - beta)
        rows.append((beta, 1 - beta, kept, before))
    return rows


ROWS = written_out()


def pictures(seed=0, batch=3):
    generator = Generator().manual_seed(seed)
    shape = (batch, 2, 3, 4)
    return (torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(2))


def test_the_tables():
    schedule = Schedule()
    for column, name in enumerate(("betas", "alphas", "alpha_bars")):
        table = getattr(schedule, name)
        assert table.dtype == torch.float64
        assert table.tolist() == pytest.approx([row[column] for row in ROWS], rel=1e-12)
    assert schedule.sigmas.tolist() == pytest.approx([math.sqrt(1 - row[2]) for row in ROWS])
    assert schedule.alpha_bar(-1) == 1 and schedule.alpha_bar(999) == pytest.approx(4.0358e-5, 1e-4)


def test_tables_are_carried_once():
    schedule = Schedule()
    carried = schedule.on("sigmas", "cpu", torch.float32)
    assert carried.dtype == torch.float32
    assert carried is schedule.on("sigmas", "cpu", torch.float32)
    assert torch.equal(carried, schedule.sigmas.float())


@pytest.mark.parametrize("t", LEVELS)
def test_noise_that_comes_step_by_step_adds_up(t):
    """Mean and variance of x_t by the chain x_t = sqrt(alpha) x + sqrt(beta) noise."""
    mean, variance = 1.0, 0.0
    for beta, alpha, _, _ in ROWS[: t + 1]:
        mean, variance = mean * math.sqrt(alpha), variance * alpha + beta
    one, none = torch.ones(1, 1, 1, 1, dtype=torch.float64), torch.zeros(1, 1, 1, 1).double()
    assert float(Schedule().noised(one, t, none)) == pytest.approx(mean, rel=1e-10)
    assert float(Schedule().noised(none, t, one)) == pytest.approx(math.sqrt(variance), rel=1e-10)


@pytest.mark.parametrize("t", LEVELS[1:])
def test_the_posterior_is_that_of_bayes(t):
    """The product of q(x_t | x_s) and q(x_s | x0), as a function of x_s, written as a Gaussian."""
    beta, alpha, _, before = ROWS[t]
    precision = alpha / beta + 1 / (1 - before)
    x0, x = 0.3, -0.8
    wanted = (math.sqrt(alpha) / beta * x + math.sqrt(before) / (1 - before) * x0) / precision
    value = (torch.full((1, 1, 1, 1), number, dtype=torch.float64) for number in (x0, x))
    mean, variance = Schedule().posterior(*value, t)
    assert float(mean) == pytest.approx(wanted, rel=1e-9)
    assert variance == pytest.approx(1 / precision, rel=1e-9)


def test_behind_the_last_level_is_the_clean_picture():
    x0, x = pictures()
    mean, variance = Schedule().posterior(x0, x, 0)
    assert torch.allclose(mean, x0, atol=1e-12) and variance == 0


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("t", LEVELS)
def test_an_exact_output_gives_the_clean_picture(prediction, t):
    schedule, (x0, noise) = Schedule(), pictures()
    x = schedule.noised(x0, t, noise)
    output = schedule.target(x0, x, noise, t, prediction)
    assert torch.allclose(schedule.clean(output, x, t, prediction), x0, atol=1e-8)


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_levels_of_a_batch_are_those_of_its_pictures(prediction):
    schedule, (x0, noise) = Schedule(), pictures(batch=len(LEVELS))
    t = torch.tensor(LEVELS)
    x = schedule.noised(x0, t, noise)
    output = schedule.target(x0, x, noise, t, prediction)
    back = schedule.clean(output, x, t, prediction)
    mean, variance = schedule.posterior(x0, x, t)
    for i, level in enumerate(LEVELS):
        one = slice(i, i + 1)
        assert torch.allclose(x[one], schedule.noised(x0[one], level, noise[one]))
        same = schedule.target(x0[one], x[one], noise[one], level, prediction)
        assert torch.allclose(output[one], same)
        assert torch.allclose(back[one], schedule.clean(same, x[one], level, prediction))
        alone = schedule.posterior(x0[one], x[one], level)
        assert torch.allclose(mean[one], alone[0]) and float(variance[i]) == pytest.approx(alone[1])


def test_the_velocity_is_the_slope_of_the_angle():
    """With sqrt(A) = cos(a): x = cos(a) x0 + sin(a) noise, and the velocity is dx / da."""
    schedule, (x0, noise) = Schedule(), pictures()
    t, tiny = 400, 1e-5
    angle = math.acos(math.sqrt(ROWS[t][2]))
    ahead, behind = (math.cos(a) * x0 + math.sin(a) * noise for a in (angle + tiny, angle - tiny))
    velocity = schedule.target(x0, schedule.noised(x0, t, noise), noise, t, "velocity")
    assert torch.allclose(velocity, (ahead - behind) / (2 * tiny), atol=1e-8)


def test_exact_weights_are_those_of_the_thesis():
    """Cherel 2024, appendix, its slip put right: no square on the last 1 - A_t."""
    schedule = Schedule()
    exact = {name: schedule.weights("elbo", name) for name in PREDICTIONS}
    for t in LEVELS[1:]:
        beta, alpha, kept, before = ROWS[t]
        variance = beta * (1 - before) / (1 - kept)
        assert float(exact["mean"][t]) == pytest.approx(1 / (2 * variance))
        of_x0 = before * beta**2 / (2 * variance * (1 - kept) ** 2)
        assert float(exact["x0"][t]) == pytest.approx(of_x0)
        assert float(exact["noise"][t]) == pytest.approx(
            beta**2 / (2 * variance * alpha * (1 - kept))
        )
        # half the difference of the ratios of signal to noise: Kingma et al. 2021
        ratios = before / (1 - before) - kept / (1 - kept)
        assert float(exact["x0"][t]) == pytest.approx(ratios / 2, rel=1e-8)


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("weighting", ["elbo", "min_snr"])
def test_weights_of_all_outputs_amount_to_the_same_loss(weighting, prediction):
    """An output that is wrong by something is charged what the x0 behind it is charged."""
    schedule, (x, _), (wrong, output) = Schedule(), pictures(), pictures(1)
    of_x0, of_output = (schedule.weights(weighting, name) for name in ("x0", prediction))
    for t in LEVELS:
        error = schedule.clean(output, x, t, prediction) - schedule.clean(wrong, x, t, prediction)
        loss = of_x0[t] * error.square().sum()
        assert float(of_output[t] * (output - wrong).square().sum()) == pytest.approx(float(loss))


def test_min_snr_weights_are_published():
    """Hang et al. 2023: min(SNR, 5) for x0, over SNR for the noise, over SNR + 1 for velocity."""
    schedule = Schedule()
    for t in LEVELS:
        ratio = ROWS[t][2] / (1 - ROWS[t][2])
        for prediction, wanted in (
            ("x0", min(ratio, 5)),
            ("noise", min(ratio, 5) / ratio),
            ("velocity", min(ratio, 5) / (ratio + 1)),
        ):
            assert float(schedule.weights("min_snr", prediction)[t]) == pytest.approx(wanted)


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_weights_are_finite_at_every_level(weighting, prediction):
    weights = Schedule().weights(weighting, prediction)
    assert weights.shape == (1000,) and bool(torch.isfinite(weights).all()) and weights.min() > 0
    if weighting == "uniform":
        assert bool((weights == 1).all())


def test_intervals_cover_every_level_once():
    schedule = Schedule()
    parts = schedule.intervals(20)
    assert parts[0] == (999, 950) and parts[-1] == (49, 0) and len(parts) == 20
    for count in (1, 3, 7, 1000):
        seen = [t for high, low in schedule.intervals(count) for t in range(high, low - 1, -1)]
        assert seen == list(range(999, -1, -1))
    with pytest.raises(ValueError, match="1 to 1000 parts, not 1001"):
        schedule.intervals(1001)


def test_levels_are_even_and_end_where_they_should():
    schedule = Schedule()
    assert schedule.levels(1000) == list(range(999, -1, -1)) == schedule.levels(5000)
    assert schedule.levels(4) == [999, 666, 333, 0]
    assert schedule.levels(3, first=500, last=100) == [500, 300, 100]
    assert schedule.levels(1) == [999] and schedule.levels(9, first=0) == [0]
    for count in (2, 7, 50, 999):
        levels = schedule.levels(count)
        gaps = {high - low for high, low in zip(levels, levels[1:], strict=False)}
        assert len(levels) == count and max(gaps) - min(gaps) <= 1


def test_bent_levels_are_closer_where_there_is_less_noise():
    schedule = Schedule()
    for bend in (1.0, 2.0, 3.0):
        for count in (1, 2, 5, 20, 50, 300, 999, 1000):
            levels = schedule.levels(count, bend=bend)
            assert len(levels) == len(set(levels)) == count and sorted(levels)[::-1] == levels
            assert levels[0] == 999 and (levels[-1] == 0 or count == 1)
    levels = schedule.levels(10, bend=2.0)
    assert levels == [round(999 * (i / 9) ** 2) for i in range(9, -1, -1)]


def test_tables_built_under_inference_mode_serve_training():
    with torch.inference_mode():
        schedule = Schedule()
        schedule.noised(torch.zeros(1, 1, 2, 2), torch.tensor([5]), torch.ones(1, 1, 2, 2))
    output = torch.ones(1, 1, 2, 2, requires_grad=True)
    x = torch.zeros(1, 1, 2, 2)
    schedule.clean(output, x, torch.tensor([5]), "noise").square().sum().backward()
    assert output.grad is not None and float(output.grad.abs().sum()) > 0


def test_what_makes_no_schedule():
    with pytest.raises(ValueError, match="1 step or more, not 0"):
        Schedule(0)
    with pytest.raises(ValueError, match="has to rise"):
        Schedule(10, 0.02, 0.01)
    x0, noise = pictures()
    with pytest.raises(ValueError, match="level 1000 is not within 0 and 999"):
        Schedule().noised(x0, 1000, noise)
    with pytest.raises(ValueError, match="prediction is 'image'"):
        Schedule().clean(x0, noise, 3, "image")
    with pytest.raises(ValueError, match="go from 10 down to 20"):
        Schedule().levels(5, 10, 20)
    with pytest.raises(ValueError, match="0 steps"):
        Schedule().levels(0)
    with pytest.raises(ValueError, match="do not fall"):
        steps_of([5, 5, 3], -1)
    with pytest.raises(ValueError, match="do not fall"):
        steps_of([5, 3], 3)
