"""One owner at a time, by a lock of the operating system: it ends with its process, however."""

import os
import sys
from pathlib import Path

FAR = 1 << 30  # Windows lets nobody read a locked byte; this one lies behind the owner's number


class FileLock:
    """Ownership of a file that only stands for something. Held from `take` to `release`."""

    def __init__(self, path: Path, handle: int):
        self.path, self._handle = path, handle

    @classmethod
    def take(cls, path: Path) -> "FileLock | None":
        """The lock, or None while another has it, in this process or in another one.

        Raises OSError where the folder cannot be written or its disk knows no locks.
        """
        while True:
            handle = os.open(path, os.O_RDWR | os.O_CREAT)
            try:
                _lock(handle)
            except (BlockingIOError, PermissionError):
                os.close(handle)
                return None
            except BaseException:
                os.close(handle)
                raise
            if _is_at(path, handle):
                os.ftruncate(handle, 0)
                os.write(handle, str(os.getpid()).encode())
                return cls(path, handle)
            os.close(handle)  # its last owner has just taken the file away

    def release(self) -> None:
        if sys.platform != "win32":  # while it is held: who opens it now sees that it is gone
            self.path.unlink(missing_ok=True)
        _unlock(self._handle)
        os.close(self._handle)
        if sys.platform == "win32":  # which removes no open file
            try:
                self.path.unlink(missing_ok=True)
            except PermissionError:  # another has it open already
                pass


def owner_of(path: Path) -> str:
    """The number of the process that took the lock last, as it wrote it."""
    try:
        return path.read_text() or "unknown"
    except OSError:
        return "unknown"


def _is_at(path: Path, handle: int) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), os.stat(path))
    except FileNotFoundError:
        return False


if sys.platform == "win32":
    import msvcrt

    def _lock(handle: int) -> None:
        os.lseek(handle, FAR, os.SEEK_SET)
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        finally:
            os.lseek(handle, 0, os.SEEK_SET)

    def _unlock(handle: int) -> None:
        os.lseek(handle, FAR, os.SEEK_SET)
        msvcrt.locking(handle, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _lock(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _unlock(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_UN)
