"""Looking at the attention of ComfyUI's own models, and changing its temperature."""

import json
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
KINDS = ["sd15", "sdxl", "flux", "wan"]


@pytest.fixture(scope="module")
def found(in_comfyui):
    return json.loads((in_comfyui("attention_nodes.py", ROOT) / "found.json").read_text())


@pytest.mark.parametrize("kind", KINDS)
def test_the_probe_only_looks(found, kind):
    seen = found["probe"][kind]
    assert seen["same with the probe"] and seen["same in heun"] and seen["same afterwards"]
    assert seen["options of the original"]


@pytest.mark.parametrize(
    ("kind", "tokens"),
    [
        ("sd15", {"input 1": 24, "input 3": 6, "middle": 2}),
        ("sdxl", {"input 3": 24, "input 5.0": 6, "input 5.1": 6, "middle.0": 6}),
        ("flux", {"block 0": 24, "block 1": 24, "block 2": 24}),
        ("wan", {"block 0": 24, "block 1": 24}),
    ],
)
def test_the_report_has_every_block_and_window(found, kind, tokens):
    seen = found["probe"][kind]
    assert tokens.items() <= seen["tokens"].items()
    assert seen["windows"] == ["0-50 %", "50-100 %"]
    assert all(f"\n{block}: " in seen["text"] for block in seen["tokens"])
    assert ("text's tokens are left out" in seen["text"]) == (kind == "flux")
    assert seen["picture"][0] == 1 and seen["picture"][3] == 3


@pytest.mark.parametrize("kind", KINDS)
def test_the_report_belongs_to_its_run(found, kind):
    assert found["probe"][kind]["report of the first run stays"]


def test_the_temperature_changes_what_it_should(found):
    for moved in found["temperature"].values():
        assert moved["factor 1"] == moved["never"] == 0
        assert all(far > 1e-3 for name, far in moved.items() if name not in ("factor 1", "never"))
    assert found["divided"] < 1e-4 < found["temperature"]["sd15"]["both"]
