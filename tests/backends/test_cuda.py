"""What only the Triton kernels promise: the matches of eager, and code for GPUs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from internal_methods import backends

BOTH = (True, True)


def whole(*shape, seed):
    """Small whole numbers: every sum of squares is exact, in whatever order it is taken."""
    return torch.randint(0, 16, shape, generator=torch.Generator().manual_seed(seed)).float()


PICTURES = ((9, 8), (11, 12))
CLIPS = ((3, 5, 4), (4, 6, 5))


@pytest.mark.parametrize(
    "sizes, kwargs",
    [
        (PICTURES, dict()),
        (PICTURES, dict(wrap=(True, False), source_wrap=(False, True), radius=3)),
        (PICTURES, dict(wrap=BOTH, source_wrap=BOTH, seed=(1 << 40) + 5)),
        (
            PICTURES,
            dict(
                source_mask=whole(2, 1, 11, 12, seed=2) > 0,
                target_mask=whole(2, 1, 9, 8, seed=3) > 7,
            ),
        ),
        (PICTURES, dict(bias=whole(2, 1, 11, 12, seed=2) * 8)),
        (CLIPS, dict(bias=whole(2, 1, 4, 6, 5, seed=2) * 8)),
        (
            CLIPS,
            dict(
                wrap=(True, False, False),
                source_wrap=(False, True, True),
                target_mask=whole(2, 1, 3, 5, 4, seed=3) > 7,
            ),
        ),
    ],
)
def test_the_kernels_find_what_eager_finds(sizes, kwargs):
    missing = backends.why_not_installed("cuda")
    if missing:
        pytest.skip(missing)
    device = "cpu" if os.environ.get("TRITON_INTERPRET") == "1" else "cuda"
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("no GPU, and TRITON_INTERPRET is not 1")
    images = [whole(2, 3, *size, seed=seed) for seed, size in enumerate(sizes)]
    there = {n: v.to(device) if isinstance(v, torch.Tensor) else v for n, v in kwargs.items()}
    images_there = [image.to(device) for image in images]
    given = dict(patch_size=3, iterations=2)
    eager = backends.run("nearest_patch", *images, **given, **kwargs, backend="eager")
    cuda = backends.run("nearest_patch", *images_there, **given, **there, backend="cuda")
    assert (eager[0] == cuda[0].cpu()).all()
    assert (eager[1] == cuda[1].cpu()).all()


def test_the_kernels_compile_for_gpus():
    """Triton needs no GPU to compile for one; the interpreter alone would let type errors pass."""
    missing = backends.why_not_installed("cuda")
    if missing:
        pytest.skip(missing)
    script = Path(__file__).parents[1] / "compile_kernels.py"
    done = subprocess.run(
        [sys.executable, script],
        env={**os.environ, "TRITON_INTERPRET": "0"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.split().count("compiled") >= 12
