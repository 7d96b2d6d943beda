"""What a node may ask of the program that runs it, where that program is our own command line.

`nodes/comfyui.py` answers the same questions inside ComfyUI. This file imports nothing of ours.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path


def ignore_progress(done: int, total: int) -> None:
    """For runs that nobody watches."""


@dataclass(frozen=True)
class Shelf:
    """A folder of input files that is known by another name: `name/x.png` is `folder/x.png`."""

    name: str
    folder: Path

    def __truediv__(self, file: str) -> Path:
        start, _, rest = file.replace("\\", "/").partition("/")
        return self.folder / (rest if start == self.name and rest else file)


@dataclass(frozen=True)
class Host:
    """Folders and device of one run. inputs: where picture names are looked up, in this order.
    models: holds the weight files of metrics and trained models; None for the usual places."""

    output: Path = Path("output")
    inputs: tuple[Path | Shelf, ...] = (Path("."),)
    models: Path | None = None
    device: str = "auto"
    progress: Callable[[int, int], None] = ignore_progress


_current: ContextVar[Host] = ContextVar("host", default=Host())  # noqa: B039  it is frozen
_passing: ContextVar[list[Path] | None] = ContextVar("passing", default=None)


@contextmanager
def hosting(host: Host) -> Iterator[None]:
    token, files = _current.set(host), _passing.set([])
    try:
        yield
    finally:
        for path in _passing.get() or []:
            path.unlink(missing_ok=True)
        _passing.reset(files)
        _current.reset(token)


def passing_file(suffix: str) -> Path:
    """A new file for what goes from one node to another; it is gone when the run is over."""
    folder = folder_of("temp")
    folder.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(suffix, "passing_", folder)
    os.close(handle)
    kept = _passing.get()
    if kept is not None:
        kept.append(Path(name))
    return Path(name)


def input_names() -> list[str]:
    """The pictures to choose from: none, since here a workflow names its files."""
    return []


def input_files(*suffixes: str) -> list[str]:
    """The input files with one of these suffixes: none, for the same reason."""
    return []


def input_clips() -> list[str]:
    """The videos and folders of pictures to choose from: none, likewise."""
    return []


def input_path(name: str) -> Path:
    """The input file called `name`. Raises FileNotFoundError saying where it was looked for."""
    return _input(name, Path.is_file, "file")


def input_folder_path(name: str) -> Path:
    """The folder of input files called `name`. Raises FileNotFoundError as `input_path` does."""
    return _input(name, Path.is_dir, "folder")


def input_clip_path(name: str) -> Path:
    """The file, or folder of pictures, called `name`. Raises FileNotFoundError as `input_path`."""
    return _input(name, Path.exists, "file or folder")


def _input(name: str, is_it: Callable[[Path], bool], kind: str) -> Path:
    bare = name.removesuffix("[input]").rstrip()
    folders = [Path(".")] if Path(bare).is_absolute() else list(_current.get().inputs)
    for folder in folders:
        path = folder / bare
        if is_it(path):
            return path.resolve()
    places = ", ".join(dict.fromkeys(str((folder / bare).resolve()) for folder in folders))
    raise FileNotFoundError(f"there is no {kind} {bare!r} (looked for {places})")


def save_path(prefix: str, width: int, height: int, kind: str = "output") -> tuple[Path, str, int]:
    """Where the next files of a name go: (folder, file name, first number), as ComfyUI counts them.

    prefix may hold a subfolder, %width%, %height% and parts of the date; kind is output or temp.
    Raises ValueError if it points outside the output folder.
    """
    root = folder_of(kind)
    prefix = prefix.replace("%width%", str(width)).replace("%height%", str(height))
    now = time.localtime()
    for name, value in (("year", now.tm_year), ("month", now.tm_mon), ("day", now.tm_mday)):
        prefix = prefix.replace(f"%{name}%", f"{value:02}")
    for name, value in (("hour", now.tm_hour), ("minute", now.tm_min), ("second", now.tm_sec)):
        prefix = prefix.replace(f"%{name}%", f"{value:02}")
    subfolder, name = os.path.split(os.path.normpath(prefix))
    folder = (root / subfolder).resolve()
    if not folder.is_relative_to(root):
        raise ValueError(f"filename_prefix {prefix!r} leaves the output folder; take the '..' out")
    folder.mkdir(parents=True, exist_ok=True)
    return folder, name, 1 + max((_number(f, name) for f in os.listdir(folder)), default=0)


def _number(file: str, name: str) -> int:
    """The N of `name_N_.ext`, else 0."""
    if os.path.normcase(file[: len(name) + 1]) != os.path.normcase(f"{name}_"):
        return 0
    digits = file[len(name) + 1 :].split("_")[0]
    return int(digits) if digits.isdecimal() else 0


def folder_of(kind: str) -> Path:
    """The absolute folder of saved ("output") or merely shown ("temp") pictures."""
    output = _current.get().output.resolve()
    return output / "temp" if kind == "temp" else output


def metrics_folders() -> list[Path]:
    """Where the weights of metrics lie: the run's own folder if it has one; else models/metrics of
    the ComfyUI whose custom node we are, and the user's data folder.
    """
    return _models("metrics")


def trained_model_folders() -> list[Path]:
    """Where trained models lie: likewise, under models/internal. The first one gets new ones."""
    return _models("internal")


def _models(kind: str) -> list[Path]:
    models = _current.get().models
    if models is not None:
        return [models.resolve()]
    around = [folder / "models" for folder in _COMFYUI if (folder / "models").is_dir()]
    return [*(folder / kind for folder in around), _user_data() / kind]


def checkpoint_folder() -> Path:
    """For trainings that are not done yet: in the user's data, where it outlives a reboot."""
    return _user_data() / "checkpoints"


# As custom_nodes/PACK/headless/host.py the root of ComfyUI is three folders up.
_COMFYUI = [p.parent for p in Path(__file__).absolute().parents[2:3] if p.name == "custom_nodes"]


def _user_data() -> Path:
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(base) / "internal-methods"


def writes_metadata() -> bool:
    return True


def progress(done: int, total: int, preview=None) -> None:
    """Say how far the node is; the preview picture has nowhere to go here."""
    _current.get().progress(done, total)


def wants_preview() -> bool:
    return False


def device_name() -> str:
    """auto, cpu, cuda or mps: where the user wants the work done."""
    return _current.get().device


@contextmanager
def room(size: int) -> Iterator[None]:
    """Gives back afterwards what is free of the GPU's memory; before, nobody else has any of it."""
    import torch

    try:
        yield
    finally:
        if torch.cuda.is_initialized():
            torch.cuda.empty_cache()


def dense_attention(q, k, v, heads: int, precision, options: dict):
    """Attention of tokens (B, N, heads * C), for models that hooks of ours sit in."""
    from torch.nn.functional import scaled_dot_product_attention

    shape = (len(q), -1, heads, q.shape[-1] // heads)
    split = [tensor.reshape(shape).transpose(1, 2) for tensor in (q, k, v)]
    return scaled_dot_product_attention(*split).transpose(1, 2).flatten(2)
