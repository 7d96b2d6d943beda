"""Loads the pack by path, as ComfyUI does, so that a benchmark runs without an installation."""

import importlib.util
import sys
from pathlib import Path

NAME, ROOT = "internal_methods", Path(__file__).resolve().parents[1]
sys.path[:] = [p for p in sys.path if Path(p or ".").resolve() != ROOT]
if NAME not in sys.modules:
    spec = importlib.util.spec_from_file_location(NAME, ROOT / "__init__.py")
    assert spec is not None and spec.loader is not None
    sys.modules[NAME] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
