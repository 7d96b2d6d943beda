"""Every operation test runs on every backend that can take its arguments."""

import os
from importlib import import_module

import pytest
import torch

from internal_methods import backends


class Backend:
    """One place to run, and the device whose tensors it takes here."""

    def __init__(self, name):
        self.name = name
        compiled = name == "cuda" and os.environ.get("TRITON_INTERPRET") != "1"
        self.device = "cuda" if compiled else "cpu"

    def __call__(self, op, *args, **kwargs):
        """Run `op`, or skip the test with the backend's own words."""
        args = [self._here(a) for a in args]
        kwargs = {name: self._here(a) for name, a in kwargs.items()}
        try:
            module = import_module(f"internal_methods.backends.{self.name}.{op}")
        except ModuleNotFoundError as error:
            if not str(error.name).endswith(f"{self.name}.{op}"):
                raise
            pytest.skip(f"{op} is not written for {self.name}")
        reason = module.why_not(*args, **kwargs)
        if reason:
            pytest.skip(f"{self.name}: {reason}")
        result = backends.run(op, *args, backend=self.name, **kwargs)
        return tuple(r.cpu() for r in result) if isinstance(result, tuple) else result.cpu()

    def _here(self, value):
        return value.to(self.device) if isinstance(value, torch.Tensor) else value


@pytest.fixture(params=["eager", "cpu", "cuda"])
def backend(request):
    missing = backends.why_not_installed(request.param)
    if missing:
        pytest.skip(missing)
    chosen = Backend(request.param)
    if chosen.device == "cuda" and not torch.cuda.is_available():
        pytest.skip("no GPU, and TRITON_INTERPRET is not 1")
    return chosen
