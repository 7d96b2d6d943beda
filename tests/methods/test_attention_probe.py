"""What a probe collects, and what it says of it."""

import math

import pytest
import torch

from internal_methods.methods.attention_measures import Measures
from internal_methods.methods.attention_probe import KEPT, AttentionProbe, ProbeRun
from internal_methods.methods.attention_report import (
    Reading,
    as_rows,
    as_text,
    blocks_of,
    window_names,
)

SETTINGS = {"neighbours": 3, "patch_size": 1, "iterations": 2, "tail": None, "samples": 16}


def measures(**changes) -> Measures:
    given = dict.fromkeys(Measures.__dataclass_fields__, 0.5) | {
        "tokens": 1024.0,
        "keys": 1024.0,
        "neighbours": 15.0,
        "entropy": 2.0,
        "effective_keys": 8.0,
        "dense_seconds": 2.0,
        "patch_seconds": 1.0,
        "tail_seconds": 4.0,
    }
    return Measures(**(given | changes))


def told(windows=2, tolerance=0.1, refused=None, **blocks):
    """The report on blocks given as a list of measures, one for each window."""
    readings = [
        Reading(name, window, each)
        for name, several in blocks.items()
        for window, each in enumerate(several)
        if each is not None
    ]
    return as_text(blocks_of(readings, windows), windows, tolerance, refused or {})


def line(text, name):
    [found] = [each for each in text.splitlines() if each.startswith(f"{name}: ")]
    return found


def test_safe_and_faster():
    good = measures(error=0.05, error_tail=0.01)
    text = told(a=[good, good])
    assert "at 1 of 1 blocks" in text and "Safe: a." in text
    assert "safe, error at most 5 %. 2 times faster" in line(text, "a")
    assert "Safe and faster than dense attention here: a." in text


def test_safe_with_the_tail_is_as_slow_as_the_tail():
    text = told(a=[measures(error=0.5, error_tail=0.02), measures(error=0.05, error_tail=0.03)])
    assert "safe with the tail, error at most 3 % (50 % without it)" in line(text, "a")
    assert "2 times slower" in line(text, "a")
    assert "faster than dense attention here: none of them" in text


def test_safe_in_a_part_of_the_run():
    good, bad = measures(error=0.05, error_tail=0.3), measures(error=0.6, error_tail=0.3)
    text = told(a=[bad, good])
    assert "at 0 of 1 blocks" in text and "Safe" not in text
    assert "safe only at 50-100 % of the run, error up to 60 %, 30 % with the tail" in text
    better = measures(error=0.6, error_tail=0.02)
    assert "safe with the tail only at 50-100 %" in told(a=[bad, better])


def test_flat_attention_is_named_as_the_reason():
    flat = measures(
        error=0.9, error_tail=0.3, error_top=0.8, effective_keys=700.0, entropy=6.5, top_mass=0.04
    )
    said = line(told(a=[flat, None]), "a")
    assert "not safe" in said and "the attention is flat" in said
    assert "About 700 of 1024 keys" in said and "entropy 6.5 of at most 6.9" in said
    assert "the best 15 keys hold 4 %" in said


def test_a_poor_search_is_named_as_the_reason():
    missed = measures(error=0.4, error_tail=0.3, error_top=0.02, top_mass=0.97, found_mass=0.6)
    said = line(told(a=[missed]), "a")
    assert "the search is to blame" in said and "60 % of the weight instead of 97 %" in said


def test_safe_blocks_are_written_as_they_are_chosen():
    """A block of which one attention is not safe is left out."""
    good, bad = [measures(error=0.01)], [measures(error=0.9)]
    names = {"input 1": good, "input 4.0": good, "input 4.1": bad, "input 7.0": good}
    names |= {"input 7.1": good, "middle": good, "output 3": bad, "output 5": good}
    said = told(windows=1, **names)
    assert "set blocks to: input 1,7; middle; output 5\n" in said
    assert "set blocks to: 0,12\n" in told(windows=1, **{"block 0": good, "block 12": good})
    assert "set blocks to" not in told(windows=1, **{"input 4.0": good, "input 4.1": bad})


def test_what_was_not_measured_is_told():
    text = told(refused={"block 3": "there is a mask"})
    assert text.startswith("No attention was measured") and "block 3: not measured, there" in text
    assert "block 3: not measured" in told(refused={"block 3": "x"}, a=[measures()])


def test_several_readings_of_a_window_are_averaged():
    readings = [Reading("a", 1, measures(error=e, error_tail=math.nan)) for e in (0.1, 0.3)]
    [block] = blocks_of(readings, 2)
    assert block.windows[0] is None and block.windows[1].error == pytest.approx(0.2)
    assert math.isnan(block.windows[1].error_tail)


def test_rows_hold_every_number_once():
    blocks = blocks_of(
        [Reading("a", 0, measures()), Reading("b", 1, measures(error_tail=math.nan))], 2
    )
    rows = as_rows(blocks, 2)
    found = {(row.method, row.image, row.metric): row.value for row in rows}
    assert len(found) == len(rows)
    assert found["a", "0-50 %", "times_faster"] == 2
    assert found["a", "0-50 %", "error"] == found["b", "50-100 %", "error"] == 0.5
    assert ("b", "50-100 %", "error_tail") not in found and ("b", "0-50 %", "error") not in found


def test_names_of_windows():
    assert window_names(1) == ["0-100 %"]
    assert window_names(3) == ["0-33 %", "33-67 %", "67-100 %"]


def heads(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(2, 4, 6, 6, generator=generator) for _ in range(3)]


def looked(probe, moments, result, blocks=("a", "b")):
    """A run of one step for each (window, moment)."""
    probe.begin()
    for window, moment in moments:
        for block in blocks:
            if probe.wants(window, moment):
                probe.look(block, window, *heads(), 2.0)
    probe.end(result)


def test_a_probe_looks_once_in_every_window():
    probe = AttentionProbe(windows=2, **SETTINGS)
    looked(probe, [(0, 9.0), (0, 9.0), (0, 7.0), (1, 3.0), (1, 1.0)], torch.zeros(1))
    run = probe.run_of(torch.zeros(1))
    assert [(r.block, r.window) for r in run.readings] == [
        *[("a", 0), ("b", 0)] * 2,  # two calls at the same noise: two conditions
        *[("a", 1), ("b", 1)],
    ]


def test_a_run_is_found_by_its_result():
    probe = AttentionProbe(windows=1, **SETTINGS)
    for number in range(3):
        looked(probe, [(0, 1.0)], torch.full((2,), float(number)), blocks=(f"run {number}",))
    names = [probe.run_of(torch.full((2,), v)).readings[0].block for v in (0.0, 2.0, 1.0, 9.0)]
    assert names == ["run 0", "run 2", "run 1", "run 2"]  # an unknown one: the latest
    looked(probe, [(0, 1.0)], torch.zeros(2), blocks=("again",))
    assert probe.run_of(torch.zeros(2)).readings[0].block == "again"


def test_a_probe_forgets_old_runs():
    probe = AttentionProbe(windows=1, **SETTINGS)
    for number in range(KEPT + 3):
        looked(probe, [], torch.tensor([float(number)]))
    assert len(probe._runs) == KEPT


def test_nothing_is_measured_outside_a_run():
    probe = AttentionProbe(windows=1, **SETTINGS)
    assert not probe.wants(0, 1.0)
    probe.look("a", 0, *heads(), 2.0)
    probe.end(torch.zeros(1))
    with pytest.raises(ValueError, match="link that model to the sampler"):
        probe.run_of(torch.zeros(1))


def test_what_cannot_be_measured_does_not_end_the_run():
    probe = AttentionProbe(windows=1, **SETTINGS)
    probe.begin()
    q, k, v = heads()
    probe.look("a", 0, q * math.nan, k, v, 2.0)
    probe.end(torch.zeros(1))
    run = probe.run_of(torch.zeros(1))
    assert not run.readings and "NaN" in run.refused["a"]
    assert "a: not measured" in run.text(0.1)


def test_a_probe_keeps_no_tensors():
    probe = AttentionProbe(windows=1, **SETTINGS)
    looked(probe, [(0, 1.0)], torch.zeros(4))
    assert not list(tensors(probe))


def tensors(value, seen=None):
    seen = set() if seen is None else seen
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, torch.Tensor):
        yield value
    parts = value.values() if isinstance(value, dict) else getattr(value, "__dict__", {}).values()
    parts = value if isinstance(value, (list, tuple, set)) else parts
    for part in parts:
        yield from tensors(part, seen)


def test_the_report_of_a_run():
    probe = AttentionProbe(windows=2, **SETTINGS)
    probe.begin()
    probe.look("a", 1, *heads(), 2.0)
    probe.note("Only so much.")
    probe.note("Only so much.")
    probe.end(torch.zeros(1))
    run = probe.run_of(torch.zeros(1))
    assert isinstance(run, ProbeRun)
    text = run.text(0.1)
    assert text.startswith("Patch attention, 3 neighbours, patch 1, 2 iterations.")
    assert text.count("Only so much.") == 1
    assert run.picture(0.1).shape[:2] == (1, 3)
    assert {row.image for row in run.rows()} == {"50-100 %"}


def test_at_least_one_window():
    with pytest.raises(ValueError, match="windows 0"):
        AttentionProbe(windows=0)
