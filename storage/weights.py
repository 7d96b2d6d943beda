"""Pretrained networks in files that the user has placed: found by what they hold, not by name."""

import hashlib
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from ..methods.metrics.weights import Loaded, MissingWeights, WeightsKind

SUFFIXES = (".safetensors", ".pth", ".pt")
NAMED = 3  # so many missing tensors are named in a message
DIGITS = 8  # of the SHA-256

Shape = tuple[int, ...]


class Stamp(NamedTuple):
    """A file as it was when it was read; another time or size, and it is read anew."""

    path: str
    time: int
    size: int

    @classmethod
    def of(cls, path: Path) -> "Stamp":
        about = path.stat()
        return cls(str(path), about.st_mtime_ns, about.st_size)


class BrokenFile(ValueError):
    """A file that cannot be read, or holds no tensors."""


_shapes: dict[Stamp, dict[str, Shape] | str] = {}  # or what is wrong with the file
_digests: dict[Stamp, str] = {}


class WeightsFolder:
    """A `WeightsSource`: the files of some folders and of their subfolders.

    Taken are .safetensors, .pth and .pt with the tensors of a state dict, also inside "state_dict"
    and with names that begin with "module.". Nothing but tensors is unpickled. To know a file, only
    its header is read, and once.
    """

    def __init__(self, folders: Sequence[Path]):
        self.folders = [Path(folder) for folder in folders]

    def files(self) -> list[Path]:
        """What there is to look through: folder by folder, by name."""
        found = (path for folder in self.folders for path in _weight_files(folder))
        return list(dict.fromkeys(found))

    def find(self, kind: WeightsKind) -> Path:
        """The first file that holds the kind. Raises MissingWeights."""
        passed = []
        for path in self.files():
            try:
                why = _why_not(kind, shapes_in(path))
            except BrokenFile as error:
                why = str(error)
            if why is None:
                return path
            passed.append((path, why))
        raise MissingWeights(self._missing(kind, passed))

    def load(self, kind: WeightsKind) -> Loaded:
        """The tensors that the kind names, from the first file that holds them.

        Raises MissingWeights saying which file to put where, and what was found instead.
        """
        path = self.find(kind)
        return Loaded(_tensors_in(path, list(kind.shapes)), f"{path.name} {digest(path)}")

    def _missing(self, kind: WeightsKind, passed: list[tuple[Path, str]]) -> str:
        folders = " or ".join(str(folder) for folder in self.folders)
        told = [f"{path.name} {why}" for path, why in passed if why]
        others = len(passed) - len(told)
        if others:
            told.append(f"{_files(others)} of other networks")
        return (
            f"no weights of {kind.name}: put {kind.file}, from {kind.source}, into {folders}; "
            f"looked through {_files(len(passed))} there{': ' if told else ''}{'; '.join(told)}"
        )


def shapes_in(path: Path) -> dict[str, Shape]:
    """Names and shapes of the floating tensors in a file, from its header where it has one.

    Raises BrokenFile.
    """
    try:
        stamp = Stamp.of(path)
    except OSError as error:
        raise BrokenFile(f"cannot be read ({error.strerror})") from error
    if stamp not in _shapes:
        try:
            _shapes[stamp] = _read_shapes(path)
        except BrokenFile as error:
            _shapes[stamp] = str(error)
    known = _shapes[stamp]
    if isinstance(known, str):
        raise BrokenFile(known)
    return known


def digest(path: Path) -> str:
    """The first digits of the file's SHA-256."""
    stamp = Stamp.of(path)
    if stamp not in _digests:
        total = hashlib.sha256()
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                total.update(block)
        _digests[stamp] = total.hexdigest()[:DIGITS]
    return _digests[stamp]


def _files(count: int) -> str:
    return f"{count} file{'' if count == 1 else 's'}"


def _weight_files(folder: Path) -> Iterator[Path]:
    for pattern in ("*", "*/*"):
        paths = (path for path in folder.glob(pattern) if path.suffix.lower() in SUFFIXES)
        yield from sorted(path for path in paths if path.is_file())


def _why_not(kind: WeightsKind, held: dict[str, Shape]) -> str | None:
    """None if all of the kind is there; else what is lacking, "" for a file of another network.

    A file that has half of the names is taken for one that was meant to fit.
    """
    present = [name for name in kind.shapes if name in held]
    wrong = [
        f"{name} of {_words(kind.shapes[name])}, which has {_words(held[name])}"
        for name in present
        if held[name] != kind.shapes[name]
    ]
    absent = [f"{n} of {_words(shape)}" for n, shape in kind.shapes.items() if n not in held]
    if not wrong and not absent:
        return None
    if 2 * len(present) < len(kind.shapes):
        return ""
    return f"is not it: expected {_some([*wrong, *absent])}"


def _words(shape: Shape) -> str:
    return "x".join(map(str, shape)) or "one number"


def _some(parts: list[str]) -> str:
    more = f" and {len(parts) - NAMED} more" if len(parts) > NAMED else ""
    return ", ".join(parts[:NAMED]) + more


def _read_shapes(path: Path) -> dict[str, Shape]:
    if path.suffix.lower() == ".safetensors":
        with _opened(path) as file:
            parts = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
            floating = {n: p for n, p in parts.items() if "F" in p.get_dtype()}
            return {_bare(n): tuple(part.get_shape()) for n, part in floating.items()}
    tensors = _unpickled(path)
    return {name: tuple(t.shape) for name, t in tensors.items() if t.is_floating_point()}


def _tensors_in(path: Path, names: list[str]) -> dict[str, Tensor]:
    """Copies, so that the file is let go."""
    if path.suffix.lower() == ".safetensors":
        with _opened(path) as file:
            full = {_bare(name): name for name in file.keys()}  # noqa: SIM118
            return {name: file.get_tensor(full[name]).clone() for name in names}
    tensors = _unpickled(path)
    return {name: tensors[name].detach().clone() for name in names}


def _opened(path: Path):
    try:
        from safetensors import SafetensorError, safe_open
    except ImportError as error:
        raise BrokenFile("needs safetensors: pip install safetensors") from error
    try:
        return safe_open(path, "pt")
    except (SafetensorError, OSError) as error:
        raise BrokenFile(f"is no safetensors file, or a broken one ({error})") from error


def _unpickled(path: Path) -> dict[str, Tensor]:
    """The state dict in a file of torch.save; where the format allows, its data stay on the disk
    until they are used."""
    try:
        on_disk = zipfile.is_zipfile(path)
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=on_disk)
    except Exception as error:  # the bytes of a broken file can ask the unpickler for anything
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BrokenFile(f"cannot be loaded ({reason})") from error
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    if not isinstance(content, dict):
        raise BrokenFile(f"holds {type(content).__name__}, not named tensors")
    tensors = {name: value for name, value in content.items() if isinstance(value, Tensor)}
    return {_bare(str(name)): value for name, value in tensors.items()}


def _bare(name: str) -> str:
    """Without what DataParallel puts before every name."""
    return name.removeprefix("module.")
