"""Loads the pack by path, as ComfyUI does, so that the suite runs from any directory."""

import importlib.util
import os
import sys
from pathlib import Path

import pytest
import torch

# without a GPU the Triton kernels run in Triton's interpreter, on CPU tensors
os.environ.setdefault("TRITON_INTERPRET", "0" if torch.cuda.is_available() else "1")
if "PYTEST_XDIST_WORKER_COUNT" in os.environ:  # workers share the cores, and so do their children
    share = max(1, torch.get_num_threads() // int(os.environ["PYTEST_XDIST_WORKER_COUNT"]))
    os.environ["OMP_NUM_THREADS"] = str(share)
    torch.set_num_threads(share)

NAME, ROOT = "internal_methods", Path(__file__).resolve().parents[1]
sys.path[:] = [p for p in sys.path if Path(p or ".").resolve() != ROOT]
if NAME not in sys.modules:
    spec = importlib.util.spec_from_file_location(NAME, ROOT / "__init__.py")
    sys.modules[NAME] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)


@pytest.fixture(scope="session", autouse=True)
def data_of_nobody(tmp_path_factory):
    """What the tests keep for the user, models and checkpoints, is not the real user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", str(tmp_path_factory.mktemp("data")))
        yield
