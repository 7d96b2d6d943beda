"""Where an operation runs, and what is said when it cannot."""

import inspect
import logging
from importlib import import_module
from pathlib import Path

import pytest
import torch

from internal_methods import backends

ROOT = Path(backends.__file__).parent
OPERATIONS = sorted(p.stem for p in (ROOT / "eager").glob("[!_]*.py"))


def pair():
    generator = torch.Generator().manual_seed(0)
    return torch.rand(1, 1, 5, 6, generator=generator), torch.rand(1, 1, 6, 5, generator=generator)


def module(name, op):
    missing = backends.why_not_installed(name)
    if missing:
        pytest.skip(missing)
    return import_module(f"internal_methods.backends.{name}.{op}")


@pytest.mark.parametrize("op", OPERATIONS)
@pytest.mark.parametrize("name", ["cpu", "cuda"])
def test_an_operation_has_one_signature(op, name):
    if not (ROOT / name / f"{op}.py").exists():
        pytest.skip(f"{op} is not written for {name}")
    here, there = (getattr(module(n, op), op) for n in (name, "eager"))
    assert inspect.signature(here) == inspect.signature(there)


def test_every_operation_has_its_reference_and_tests():
    tests = Path(__file__).parents[1]
    references = "".join(f.read_text("utf-8") for f in (tests / "reference").glob("*.py"))
    used = "".join(f.read_text("utf-8") for f in (tests / "backends").glob("test_*.py"))
    for op in OPERATIONS:
        assert f"def {op}(" in references, op
        assert f'backend("{op}"' in used or f'backend(\n        "{op}"' in used, op


def test_an_unknown_backend_is_named():
    with pytest.raises(ValueError, match="'gpu' is not one of auto, cuda, cpu, eager"):
        backends.run("nearest_patch", *pair(), patch_size=3, backend="gpu")


def test_cpu_tensors_never_go_to_cuda_by_themselves(caplog):
    backends._announced.clear()
    with caplog.at_level(logging.INFO):
        backends.run("nearest_patch", *pair(), patch_size=3)
        backends.run("nearest_patch", *pair(), patch_size=3)
    said = [r.getMessage() for r in caplog.records if "nearest_patch runs on" in r.getMessage()]
    assert len(said) == 1, "the choice is logged once"
    assert "cuda" not in said[0]


def test_a_forced_backend_does_not_fall_back():
    with pytest.raises(NotImplementedError, match="cuda: "):
        backends.run("nearest_patch", *pair(), patch_size=3, exact=True, backend="cuda")


def test_all_refusals_are_in_one_message():
    with pytest.raises(NotImplementedError) as error:
        backends.run("no_such_operation", *pair())
    for name in ("cpu", "eager"):
        assert f"{name}: " in str(error.value)


@pytest.fixture
def no_numba(monkeypatch):
    find_spec = backends.find_spec

    def without(name, *args):
        return None if name == "numba" else find_spec(name, *args)

    monkeypatch.setattr(backends, "find_spec", without)
    backends.why_not_installed.cache_clear()
    yield
    backends.why_not_installed.cache_clear()


def test_a_missing_package_is_said_and_the_next_backend_runs(no_numba):
    positions, _ = backends.run("nearest_patch", *pair(), patch_size=3)
    assert positions.min() >= 1
    with pytest.raises(NotImplementedError, match="cpu: numba is not installed .pip install numba"):
        backends.run("nearest_patch", *pair(), patch_size=3, backend="cpu")


REFUSALS = [
    ("nearest_patch", "exact search", pair, dict(patch_size=3, exact=True)),
    (
        "patch_similarity",
        "clips",
        lambda: [torch.rand(1, 1, 3, 3, 3)] * 2 + [torch.ones(1, 1, 3, 3, 3, 3, dtype=torch.int32)],
        dict(patch_size=3),
    ),
    (
        "gather_attention",
        "clips",
        lambda: [torch.rand(1, 1, 3, 3, 3)] * 2 + [torch.ones(1, 1, 3, 3, 3, 3, dtype=torch.int32)],
        {},
    ),
]


@pytest.mark.parametrize("op, word, args, kwargs", REFUSALS)
def test_what_cuda_leaves_to_eager(op, word, args, kwargs):
    assert word in module("cuda", op).why_not(*args(), **kwargs)
    assert module("eager", op).why_not(*args(), **kwargs) is None


def test_cuda_takes_cpu_tensors_only_when_interpreted(monkeypatch):
    why_not = module("cuda", "nearest_patch").why_not
    device = import_module("internal_methods.backends.cuda.device")
    monkeypatch.setattr(device, "INTERPRETED", True)
    assert why_not(*pair(), patch_size=3) is None
    monkeypatch.setattr(device, "INTERPRETED", False)
    assert "not all tensors lie on a GPU" in why_not(*pair(), patch_size=3)


def test_cuda_refuses_what_its_indices_cannot_reach(monkeypatch):
    why_not = module("cuda", "nearest_patch").why_not
    device = import_module("internal_methods.backends.cuda.device")
    monkeypatch.setattr(device, "INTERPRETED", True)
    huge = torch.empty(1, 1, 1, 1).expand(1, 3, 30_000, 30_000)
    assert "split the image" in why_not(huge, huge, patch_size=3)
    assert why_not(huge[..., :9000, :9000], huge[..., :9000, :9000], patch_size=3) is None
