"""Checkpoints of long work that is not done yet, trainings and long clips: run again with the same
inputs, it goes on.
"""

import hashlib
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import __version__
from .locks import FileLock, owner_of
from .tensors import SUFFIX, Kind, digest, read_tensors, write_tensors

if TYPE_CHECKING:
    from torch import Tensor

log = logging.getLogger(__name__)

KIND = Kind("checkpoint")
LIMIT = 1 << 30  # bytes in the folder
DIGITS = 32  # of a key: 128 bits
CODE = ("methods", "backends")  # what decides the course of a training


class InUse(ValueError):
    """The same work is running somewhere else."""


class Checkpoint:
    """Where one training left off; it has `load` and `save` as trainings ask for them."""

    def __init__(self, shelf: "Checkpoints", key: str, part: str = ""):
        self.key, self.path = key, shelf.folder / f"{key}{part}{SUFFIX}"
        self._shelf = shelf

    def load(self) -> "tuple[dict[str, Tensor], Any] | None":
        """The tensors and the description of the last `save`; None if there is none.

        A file that is broken or not of this training is told in the log and set aside.
        """
        try:
            tensors, description = read_tensors(self.path, KIND)
            if not isinstance(description, dict) or description.get("key") != self.key:
                raise ValueError(f"{self.path} belongs to other work")
        except FileNotFoundError:
            return None
        except (ValueError, OSError) as error:
            self._set_aside(error)
            return None
        return tensors, description["state"]

    def _set_aside(self, error: Exception) -> None:
        aside = self.path.with_suffix(".broken")
        try:
            os.replace(self.path, aside)
            told = f"it is now {aside.name}"
        except OSError as failed:
            told = f"it could not be renamed: {failed.strerror}"
        log.warning("a checkpoint is not used, and the work begins anew: %s; %s", error, told)

    def save(self, tensors: "Mapping[str, Tensor]", description: Any) -> None:
        """Put this state in the place of the last one, whole or not at all.

        description: what JSON can hold. A full disk is told in the log; it stops no training.
        """
        try:
            write_tensors(self.path, KIND, tensors, {"key": self.key, "state": description})
        except OSError as error:
            log.warning("no checkpoint was written to %s: %s", self.path, error)
        self._shelf.make_room(keep=self.path)

    def pieces(self) -> "Pieces":
        """Many numbered pieces instead of one state, for what is finished bit by bit."""
        return Pieces(self._shelf, self)

    def done(self) -> None:
        """There is nothing left to go on with."""
        for path in (self.path, *self._shelf.folder.glob(f"{self.key}.*{SUFFIX}")):
            try:
                path.unlink(missing_ok=True)
            except OSError as error:  # held open by another program, which Windows respects
                log.warning("the checkpoint of finished work stays: %s", error)


class Pieces:
    """The finished pieces of one piece of work, as `methods.video.in_chunks` keeps them.

    They are kept from the first one on, as long as they fit into the folder.
    """

    def __init__(self, shelf: "Checkpoints", checkpoint: Checkpoint):
        self._shelf, self._checkpoint = shelf, checkpoint
        self._size, self._full = 0, False

    def load(self, number: int) -> "tuple[dict[str, Tensor], str] | None":
        """The tensors of a piece and what they were made from; None if it is not there."""
        piece = self._piece(number)
        found = piece.load()
        if found is not None:
            self._size += piece.path.stat().st_size
        return found

    def save(self, number: int, tensors: "Mapping[str, Tensor]", inputs: str) -> None:
        """Keep a piece, made from what `inputs` is a digest of."""
        size = sum(tensor.nbytes for tensor in tensors.values())
        if self._full or self._size + size > self._shelf.limit:
            if not self._full:
                log.warning(
                    "the checkpoints are full: a run that is broken off goes on at piece %d", number
                )
            self._full = True
            return
        self._size += size
        self._piece(number).save(tensors, inputs)

    def _piece(self, number: int) -> Checkpoint:
        return Checkpoint(self._shelf, self._checkpoint.key, f".{number:06}")


class Checkpoints:
    """A folder of checkpoints, the oldest of which go when it holds more than `limit` bytes."""

    def __init__(self, folder: Path, limit: int = LIMIT):
        self.folder, self.limit = Path(folder), limit

    @contextmanager
    def of(self, tensors: "Mapping[str, Tensor]", settings: Any) -> "Iterator[Checkpoint | None]":
        """The checkpoint of the training with these inputs; removed when the block is left well.

        Left by an exception, by a cancelled or a killed run, it stays. None where the folder cannot
        be written, or safetensors is missing: the training cannot be resumed, which the log says.
        Raises InUse while the same training runs elsewhere.
        """
        key = key_of(tensors, settings)
        lock = self._taken(key)
        if lock is None:
            yield None
            return
        try:
            checkpoint = Checkpoint(self, key)
            yield checkpoint
            checkpoint.done()
        finally:
            lock.release()

    def _taken(self, key: str) -> FileLock | None:
        try:
            import safetensors  # noqa: F401

            self.folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock.take(self._lock_path(key))
        except (ImportError, OSError) as error:
            log.warning("this work cannot be resumed later: %s", error)
            return None
        if lock is None:
            owner = owner_of(self._lock_path(key))
            raise InUse(
                f"the same work is running already, in process {owner}; wait for it, or change "
                "an input, for instance the seed"
            )
        self._sweep()
        return lock

    def _lock_path(self, key: str) -> Path:
        return self.folder / f"{key}.lock"

    def make_room(self, keep: Path) -> None:
        """Remove the oldest files, beside `keep` and those of trainings that are running."""
        found = sorted(self._files(), key=lambda file: file[1].st_mtime_ns)
        excess = sum(about.st_size for _, about in found) - self.limit
        for path, about in found:
            if excess <= 0:
                return
            if path != keep and self._removed(path):
                excess -= about.st_size

    def _files(self) -> list[tuple[Path, os.stat_result]]:
        """All but the locks; also what was set aside, and what a killed run was writing."""
        found = []
        for path in self.folder.iterdir():
            try:
                if path.suffix != ".lock":
                    found.append((path, path.stat()))
            except FileNotFoundError:  # its owner has just finished
                continue
        return found

    def _removed(self, path: Path) -> bool:
        lock = FileLock.take(self._lock_path(_key_in(path)))
        if lock is None:
            return False
        try:
            path.unlink(missing_ok=True)
            return True
        except OSError:
            return False
        finally:
            lock.release()

    def _sweep(self) -> None:
        """Remove the locks that killed runs have left and that stand for nothing any more."""
        kept = {_key_in(path) for path, _ in self._files()}
        for path in self.folder.glob("*.lock"):
            if path.stem not in kept and (lock := FileLock.take(path)):
                lock.release()


def _key_in(path: Path) -> str:
    """KEY.safetensors, KEY.NUMBER.safetensors, KEY.broken and .KEY.PROCESS.safetensors."""
    return path.name.lstrip(".").split(".")[0]


def key_of(tensors: "Mapping[str, Tensor]", settings: Any) -> str:
    """Names a training by all that decides its course: inputs, settings, pack, torch.

    settings: what JSON can hold, and dataclasses.
    """
    import torch

    code = {"pack": __version__, "code": _code(), "torch": torch.__version__}
    return digest(tensors, {"settings": settings, **code})[:DIGITS]


@cache
def _code() -> str:
    """Changes with every source file that a training can run through."""
    root, total = Path(__file__).resolve().parents[1], hashlib.sha256()
    for path in sorted(path for name in CODE for path in (root / name).rglob("*.py")):
        total.update(path.relative_to(root).as_posix().encode() + path.read_bytes())
    return total.hexdigest()
