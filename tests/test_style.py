"""Lint, format and types: run here, so that the one test command covers them."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize(
    "tool",
    [
        ("ruff", "check"),
        ("ruff", "format", "--check"),
        ("basedpyright", "--pythonpath", sys.executable),
    ],
    ids=["lint", "format", "types"],
)
def test_clean(tool):
    pytest.importorskip(tool[0])
    command = [sys.executable, "-m", *tool]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
