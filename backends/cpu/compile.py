"""`jit`: numba compilation with a kernel cache that survives moves, copies and reinstallation.

numba's own cache stores module names and lies beside the source. Ours lies in a folder of the
user's, named after all that the machine code depends on: the pack's version, the text of every
kernel module, the CPU, and the module name under which the pack was loaded (ComfyUI, pip and
pytest differ in it).

Kernels own no arrays: `_nrt=False` leaves out reference counting, whose atomic increments at
every access of an array in a tuple make the search three times slower.
"""

import hashlib
import os
import sys
import threading
from functools import cache
from pathlib import Path

import llvmlite.binding
import numba

from ... import __version__

_lock = threading.Lock()
_OPTIONS = {"_nrt": False, "error_model": "numpy"}


def _cache_root() -> Path:
    """Where the operating system wants a user's caches."""
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))


@cache
def cache_folder() -> Path | None:
    """The kernel cache of this pack, this CPU and this numba; None where it cannot be written."""
    text = hashlib.sha256()
    for file in sorted(Path(__file__).parent.glob("*.py")):
        text.update(file.read_bytes())
    cpu = llvmlite.binding.get_host_cpu_name() + str(llvmlite.binding.get_host_cpu_features())
    for part in (__package__, cpu, numba.__version__):
        text.update(str(part).encode())
    folder = _cache_root() / "internal-methods" / f"kernels-{__version__}-{text.hexdigest()[:16]}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".probe-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError:
        return None
    return folder


def inline(function):
    """A piece of a kernel, compiled into its callers, so that calling it costs nothing."""
    return numba.njit(forceinline=True, **_OPTIONS)(function)


def jit(function):
    """Compile `function` at its first call, without the GIL, and remember the machine code."""
    folder = cache_folder()
    if folder is None:
        return numba.njit(nogil=True, **_OPTIONS)(function)
    with _lock:
        before = numba.config.CACHE_DIR
        numba.config.CACHE_DIR = str(folder)
        try:
            return numba.njit(nogil=True, cache=True, **_OPTIONS)(function)
        finally:
            numba.config.CACHE_DIR = before
