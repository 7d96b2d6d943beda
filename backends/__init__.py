"""Leaf operations, and the choice of where each of them runs.

A file is an operation, a folder is a place to run it: `eager` (plain torch, any device), `cpu`
(numba) and `cuda` (Triton). The three files of an operation share its name and signature, and each
has a `why_not(...)` that answers None or, in words, why it cannot take these arguments.
"""

import logging
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

import torch

log = logging.getLogger(__name__)

NAMES = ("cuda", "cpu", "eager")
NEEDS = {"cuda": "triton", "cpu": "numba", "eager": "torch"}

_announced: set[tuple[str, str]] = set()


@cache
def why_not_installed(name: str) -> str | None:
    """None if the package that backend `name` stands on can be found, else what to install."""
    need = NEEDS[name]
    return None if find_spec(need) else f"{need} is not installed (pip install {need})"


@cache
def _module(name: str, op: str) -> ModuleType | None:
    """That of an operation on a backend whose package is there; None where nobody wrote it."""
    try:
        return import_module(f".{name}.{op}", __package__)
    except ModuleNotFoundError as error:
        if error.name != f"{__package__}.{name}.{op}":
            raise
        return None


def run(op: str, *args, backend: str = "auto", **kwargs):
    """Run operation `op` on the first backend that can take these arguments.

    backend: "auto" tries cuda where a tensor lies on a GPU, then cpu, then eager; a name forces
    that backend, which then never falls back.
    Raises NotImplementedError with every refusal when none can, ValueError for an unknown name.
    """
    if backend not in ("auto", *NAMES):
        raise ValueError(f"backend {backend!r} is not one of auto, {', '.join(NAMES)}")
    tensors = [a for a in (*args, *kwargs.values()) if isinstance(a, torch.Tensor)]
    on_gpu = any(t.is_cuda for t in tensors)
    names = (backend,) if backend != "auto" else NAMES if on_gpu else ("cpu", "eager")
    refusals = []
    for name in names:
        missing = why_not_installed(name)
        module = None if missing else _module(name, op)
        none = missing or "not written for this backend"
        reason = module.why_not(*args, **kwargs) if module else none
        if module and reason is None:
            if (op, name) not in _announced:
                _announced.add((op, name))
                log.info("%s runs on %s%s", op, name, f" ({'; '.join(refusals)})" * bool(refusals))
            return getattr(module, op)(*args, **kwargs)
        refusals.append(f"{name}: {reason}")
    raise NotImplementedError(f"no backend can run {op}:\n  " + "\n  ".join(refusals))
