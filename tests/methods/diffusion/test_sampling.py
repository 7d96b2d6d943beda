"""Samplers on pictures whose best denoiser is known: of Gaussian pixels it is a straight line."""

import math

import pytest
import torch
from torch import Generator

from internal_methods.methods.diffusion.sampling import SAMPLERS, sample
from internal_methods.methods.diffusion.schedule import Schedule

MEAN, SPREAD = 0.4, 0.1  # of the pixels

SCHEDULE = Schedule()
FINE = 64  # levels of the next one in the place of one
DENSE = Schedule(FINE * 1000, 1e-4 / FINE, 0.02 / FINE)


def denoise(x, t, schedule=SCHEDULE):
    """The mean of x0 given x_t, where pixels are independent draws from N(MEAN, SPREAD^2)."""
    kept = schedule.alpha_bar(t)
    share = SPREAD**2 * math.sqrt(kept) / (SPREAD**2 * kept + 1 - kept)
    return MEAN + share * (x - math.sqrt(kept) * MEAN)


def path(x, t, s, schedule=SCHEDULE):
    """Where the path without fresh noise leads from x_t, in closed form: quantiles stay."""
    before, after = (schedule.alpha_bar(level) for level in (t, s))
    was, becomes = (math.sqrt(SPREAD**2 * kept + 1 - kept) for kept in (before, after))
    return math.sqrt(after) * MEAN + (x - math.sqrt(before) * MEAN) * becomes / was


def noises(shape, seed=0, dtype=torch.float64):
    """Noise that depends on the level alone."""
    return lambda t: torch.randn(
        shape, generator=Generator().manual_seed(1000 * seed + t), dtype=dtype
    )


def run(x, levels, sampler="ancestral", function=denoise, **options):
    options = {"clip": None, "noise": noises(x.shape, dtype=x.dtype)} | options
    return sample(function, x, SCHEDULE, levels=levels, sampler=sampler, **options)


def start(count=1, seed=1, dtype=torch.float64):
    shape = (count, 1, 20, 25)
    return torch.randn(shape, generator=Generator().manual_seed(seed), dtype=dtype)


@pytest.mark.parametrize("sampler,count", [("ancestral", 1000), ("ddim", 200), ("dpm2", 50)])
def test_samples_have_the_mean_and_the_spread_of_the_data(sampler, count):
    made = run(start(40), SCHEDULE.levels(count, bend=1 if sampler == "ancestral" else 3), sampler)
    assert float(made.mean()) == pytest.approx(MEAN, abs=0.003)
    # fresh noise of the smaller variance of Ho et al. falls a little short
    assert float(made.std()) == pytest.approx(SPREAD, rel=0.05 if sampler == "ancestral" else 0.025)


def test_ancestral_sampling_is_that_of_the_thesis():
    """Cherel 2024, (V.3), with sqrt(alpha_t), one pixel at a time in Python floats."""
    x = start()[..., :2, :2]
    made = run(x, SCHEDULE.levels(1000))
    noise = noises(x.shape)
    for i, value in enumerate(x.flatten().tolist()):
        kept = [1.0]
        for beta in SCHEDULE.betas.tolist():
            kept.append(kept[-1] * (1 - beta))
        for t in range(999, -1, -1):
            beta, after, before = float(SCHEDULE.betas[t]), kept[t + 1], kept[t]
            x0 = float(denoise(torch.tensor(value, dtype=torch.float64), t))
            mean = beta * math.sqrt(before) / (1 - after) * x0
            mean += (1 - before) * math.sqrt(1 - beta) / (1 - after) * value
            deviation = math.sqrt(beta * (1 - before) / (1 - after))
            value = mean + (deviation * float(noise(t).flatten()[i]) if t else 0)
        assert float(made.flatten()[i]) == pytest.approx(value, rel=1e-8)


@pytest.mark.parametrize("sampler,order", [("ddim", 1), ("dpm2", 2)])
def test_the_error_falls_with_the_order_of_the_solver(sampler, order):
    x, first, stop = start(), 960 * FINE, 64 * FINE
    wanted, errors = path(x, first, stop, DENSE), []
    for count in (56, 112, 224):
        levels = range(first, stop, -(first - stop) // count)
        made = sample(
            lambda x, t: denoise(x, t, DENSE), x, DENSE, levels=levels, stop=stop, sampler=sampler,
            clip=None, noise=noises(x.shape),
        )  # fmt: skip
        errors.append(float((made - wanted).abs().max()))
    for more, fewer in zip(errors, errors[1:], strict=False):
        assert math.log2(more / fewer) == pytest.approx(order, abs=0.1)


def test_the_second_order_needs_a_fifth_of_the_steps():
    x = start()
    wanted, errors = path(x, 999, 0), {}
    for sampler, count in (("ddim", 100), ("dpm2", 20)):
        levels = SCHEDULE.levels(count, bend=3)
        made = run(x, levels[:-1], sampler, stop=0)
        errors[sampler] = float((made - wanted).square().mean().sqrt())
    assert errors["dpm2"] < errors["ddim"]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_one_clean_step_gives_what_the_denoiser_said(sampler):
    x = start()
    assert torch.allclose(run(x, [999], sampler), denoise(x, 999), atol=1e-12)


@pytest.mark.parametrize("sampler,count", [("ancestral", 1000), ("ddim", 100)])
def test_pieces_equal_one_run(sampler, count):
    x, levels = start(dtype=torch.float32), SCHEDULE.levels(count)
    once = run(x, levels, sampler)
    size = count // 20
    for first in range(0, count, size):
        stop = levels[first + size] if first + size < count else -1
        x = run(x, levels[first : first + size], sampler, stop=stop)
    assert torch.equal(x, once)


def test_fewer_steps_of_ancestral_sampling_keep_the_mean():
    """Exact for any step where pictures have no spread."""
    made = run(start(), SCHEDULE.levels(7), function=lambda x, t: torch.full_like(x, 0.25))
    assert torch.allclose(made, torch.full_like(made, 0.25), atol=1e-12)
    half = run(start(40), [999, 700, 500], stop=300, function=lambda x, t: torch.zeros_like(x))
    assert float(half.std()) == pytest.approx(float(SCHEDULE.sigmas[300]), rel=0.02)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_known_pixels_are_put_back_at_every_level(sampler):
    x = start()
    mask = torch.zeros(1, 1, 20, 25, dtype=torch.float64)
    mask[..., 5:9, 4:20] = 1
    picture, seen = start(seed=2).clamp(-1, 1), []
    made = run(
        x, SCHEDULE.levels(12), sampler, known=(picture, mask),
        callback=lambda t, x0: seen.append((t, x0)),
    )  # fmt: skip
    assert [t for t, _ in seen] == SCHEDULE.levels(12)
    for _, x0 in seen:
        assert torch.equal(x0[mask == 0], picture[mask == 0])
        assert not torch.equal(x0[mask == 1], picture[mask == 1])
    assert torch.equal(made[mask == 0], picture[mask == 0])


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_estimates_are_clipped(sampler):
    seen = []
    run(
        start(), [999, 500, 0], sampler, clip=(-1.0, 1.0),
        function=lambda x, t: 3 * torch.ones_like(x),
        callback=lambda t, x0: seen.append(x0),
    )  # fmt: skip
    assert all(bool((x0 == 1).all()) for x0 in seen)


def test_inputs_are_not_written_to_and_float32_stays():
    x = start(dtype=torch.float32)
    before = x.clone()
    made = run(x, SCHEDULE.levels(5), "dpm2")
    assert torch.equal(x, before) and made.dtype == torch.float32


def test_the_callback_may_end_it():
    def stop(t, x0):
        if t == 666:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(start(), SCHEDULE.levels(4), callback=stop)


def test_what_cannot_be_sampled():
    with pytest.raises(ValueError, match="sampler is 'euler'"):
        run(start(), [3], "euler")
    with pytest.raises(ValueError, match="do not fall"):
        run(start(), [3, 5])
