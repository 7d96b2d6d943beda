"""Costs against the thesis's tables and against counting."""

import time

import pytest
import torch

from internal_methods.methods.cost import (
    POWER,
    Cost,
    Meter,
    MethodCost,
    cost_rows,
    cost_table,
    overtakes,
    peak_memory,
)

HOUR = 3600.0
# Cherel 2024, table V.3: hours of training and its grams, hours of a fill and its grams.
PATCH = MethodCost("patch", Cost(18.0, "cpu"))
DEEPFILL = MethodCost("DeepFill", Cost(0.001 * HOUR, "cuda"), Cost(120 * HOUR, "cuda"))
REPAINT = MethodCost("RePaint", Cost(0.17 * HOUR, "cuda"), Cost(576 * HOUR, "cuda", watts=300))
TINY = MethodCost("diffusion", Cost(0.001 * HOUR, "cuda"), Cost(0.25 * HOUR, "cuda"))


def test_the_numbers_of_table_v_3():
    assert round(DEEPFILL.training.grams) == 1707
    assert round(REPAINT.training.grams) == 9832
    assert round(REPAINT.fill.grams, 1) == 2.4
    assert TINY.training.grams == pytest.approx(3.5, rel=0.02)  # printed with two digits
    assert round(TINY.fill.grams, 2) == 0.01


def test_the_thesis_s_break_even_with_repaint_is_two_fills():
    given = MethodCost("RePaint, as published", REPAINT.fill)  # its training is not ours to count
    assert overtakes(TINY, given) == 2
    assert overtakes(given, TINY) is None


def test_energy_is_power_times_time():
    assert Cost(HOUR, "cpu", watts=100).watt_hours == pytest.approx(100)
    assert Cost(HOUR / 2, "cuda").watt_hours == pytest.approx(POWER["cuda"] / 2)
    assert Cost(HOUR, "xpu").watt_hours == pytest.approx(POWER["cuda"])
    assert Cost(HOUR, watts=1000, intensity=400).grams == pytest.approx(400)


@pytest.mark.parametrize("quantity", ["watt_hours", "seconds"])
def test_overtaking_against_counting(quantity):
    watts = (3600.0, 7200.0)  # so that sums are exact, and ties are ties
    costs = [Cost(s, watts=w) for s in (0.0, 1.0, 3.0, 10.0) for w in watts]
    methods = [MethodCost("", fill, training) for fill in costs for training in (None, *costs)]
    numbers = set()
    for one in methods:
        for other in methods:
            less = [one.total(n, quantity) < other.total(n, quantity) for n in range(1, 60)]
            counted = next((n for n in range(1, 50) if all(less[n - 1 :])), None)  # and for ever
            assert overtakes(one, other, quantity) == counted
            numbers.add(counted)
    assert numbers >= {None, 1, 2, 3, 11}


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="seconds is -1"):
        Cost(-1.0)
    with pytest.raises(ValueError, match="watts is nan"):
        Cost(1.0, watts=float("nan"))


def test_a_cost_survives_json():
    cost = Cost(2.5, "cuda", 400, 120.0, 10**9)
    assert Cost.from_dict(cost.as_dict()) == cost
    assert cost.as_dict()["gCO2eq"] == cost.grams


def test_the_meter_measures_time_and_memory():
    with Meter("cpu", watts=20) as meter:
        began = time.perf_counter()
        block = torch.ones(40_000_000)
        time.sleep(0.05)
        seconds = time.perf_counter() - began
    assert seconds <= meter.cost.seconds < seconds + 0.5
    assert (meter.cost.device, meter.cost.watts) == ("cpu", 20)
    if meter.cost.memory is not None:
        assert meter.cost.memory >= 4 * len(block)
        assert meter.cost.memory <= peak_memory("cpu")


def test_the_table_has_all_and_says_that_power_is_stated():
    text = cost_table([PATCH, TINY, REPAINT])
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert len(rows) == 5 and {row.count("|") for row in rows} == {10}
    assert "| diffusion | 15 min cuda | 62.5 Wh | 3.56 | - | 3.6 s cuda | 0.25 Wh |" in text
    assert "| patch | - | - | - | - | 18 s cpu |" in text
    fills = overtakes(TINY, PATCH)
    assert fills and f"diffusion costs less energy than patch from {fills} fills on" in text
    assert "diffusion costs less energy than RePaint from the first fill on" in text
    assert "stated, not measured: cpu 65 W" in text and "cuda 300 W" in text


def test_rows_for_json():
    patch, tiny = cost_rows([PATCH, TINY])
    assert patch["training"] is None and patch["fill"]["seconds"] == 18
    assert tiny["overtakes"]["patch"]["watt_hours"] == overtakes(TINY, PATCH)
    assert patch["overtakes"]["diffusion"]["seconds"] is None
