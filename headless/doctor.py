"""What works on this machine, what is missing, and what to do about it."""

import os
import platform
from collections.abc import Iterator
from importlib import metadata
from importlib.util import find_spec

# Import name, distribution, what it is for.
PARTS = [
    ("numba", "numba", "the fast search and vote on the processor"),
    ("triton", "triton", "the fast search and vote on an NVIDIA GPU"),
    ("PIL", "pillow", "8 bit pictures"),
    ("cv2", "opencv-python-headless", "16 bit pictures"),
    ("av", "av", "EXR pictures and clips"),
    ("safetensors", "safetensors", "saved models and fields"),
    ("scipy", "scipy", "special functions"),
]


def findings() -> Iterator[tuple[str, str]]:
    """(subject, what is so)."""
    from .. import __version__

    yield "pack", f"internal-methods {__version__}"
    yield "python", f"{platform.python_version()} on {platform.platform()}"
    yield "processors", str(os.cpu_count())
    yield from _torch()
    for module, distribution, purpose in PARTS:
        if find_spec(module):
            yield distribution, f"{_version(distribution)}: {purpose}"
        else:
            yield distribution, f"missing: {purpose}; pip install {distribution}"


def _torch() -> Iterator[tuple[str, str]]:
    try:
        import torch
    except ImportError:
        yield (
            "torch",
            'missing: nothing runs without it; pip install "internal-methods[standalone]"',
        )
        return
    yield "torch", f"{torch.__version__}, {torch.get_num_threads()} threads"
    if torch.cuda.is_available():
        yield "device", f"cuda: {torch.cuda.get_device_name()}"
    elif torch.backends.mps.is_available():
        yield "device", "mps: taken only by --device mps; cpu is used otherwise"
    else:
        yield "device", "cpu (no GPU found; none is needed)"
    from ..backends import NAMES, why_not_installed

    for name in NAMES:
        reason = why_not_installed(name)
        if reason is None and name == "cuda" and not torch.cuda.is_available():
            reason = "no GPU; Triton only interprets here, which is for tests"
        yield f"backend {name}", reason or "ready"
    if why_not_installed("cpu") is None:
        from ..backends.cpu.compile import cache_folder

        nowhere = "nowhere (its folder cannot be written): every start compiles for some seconds"
        yield "kernels", f"kept in {cache_folder()}" if cache_folder() else nowhere
    yield "weights", _weights()
    yield from _trained()


def _weights() -> str:
    """Which networks of metrics are there, and where the others would go."""
    from ..nodes.weights import found

    there, missing, folders = found()
    parts = [f"{name} in {path}" for name, path in there]
    if missing:
        places = " or ".join(map(str, folders))
        parts.append(f"missing {', '.join(missing)}: their files would go into {places}")
    return "; ".join(parts)


def _trained() -> Iterator[tuple[str, str]]:
    """The models that are kept, and the trainings that could go on."""
    from ..storage.models import saved_models
    from ..storage.tensors import SUFFIX
    from . import host

    folders = host.trained_model_folders()
    places = " or ".join(map(str, folders))
    yield "models", f"{len(saved_models(folders))} trained ones in {places}"
    folder = host.checkpoint_folder()
    files = [path for path in folder.glob(f"*{SUFFIX}") if not path.name.startswith(".")]
    size = sum(path.stat().st_size for path in files)
    yield "checkpoints", f"{len(files)} trainings can go on: {size / 1e6:.1f} MB in {folder}"


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:  # importable, but not installed under that name
        return "present"
