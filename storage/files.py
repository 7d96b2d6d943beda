"""Files that appear whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A name beside `path` to write to; on leaving, the finished file takes the place of `path`.

    Whatever goes wrong inside, Ctrl-C and a full disk included, nothing is left behind and an
    older file at `path` stays as it was.
    """
    path = Path(path)
    beside = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        yield beside
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def write_whole(path: Path, data: bytes) -> None:
    with whole(path) as beside:
        beside.write_bytes(data)


def why_not_writable(folder: Path) -> str | None:
    """Make `folder` and try it: None, or why no file can be written there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / "writable", b"")
        (folder / "writable").unlink()
    except OSError as error:
        return error.strerror or str(error)
    return None
