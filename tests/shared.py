"""Pictures and weights that are too large, or not free enough, to stand in the project."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("INTERNAL_METHODS_SHARED", ROOT.parent / "shared"))


def shared(name: str) -> Path:
    """A file or folder of the shared data; where it is missing, the test is skipped."""
    path = SHARED / "data" / name
    if not path.exists():
        pytest.skip(f"needs {name} of the shared test data, not in {SHARED}")
    return path
