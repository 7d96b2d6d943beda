"""`score RESULT REFERENCE`: the metric nodes on files, for scripts.

Pictures and folders of pictures are scored picture by picture; a video, or two folders of which a
metric of clips is asked, as clips.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..nodes import metrics as nodes
from ..storage import clips, pictures
from . import host
from .errors import UserError


def score(
    result: Path, reference: Path, mask: Path | None, metrics: list[str] | None, where: host.Host
) -> list[Any]:
    """The scores of a picture, a folder of pictures or a clip against a reference.

    mask: white where the result was filled: one for all, or as many as there are pictures.
    metrics: names; None for all that there are. where: folder of weights, device, progress.
    Raises UserError for files that are missing, broken or do not fit together.
    """
    for path in filter(None, (result, reference, mask)):
        if not path.exists():
            raise UserError(f"there is no file or folder {path}")
    known = nodes.metric_names()
    unknown = [name for name in metrics or () if name not in known]
    if unknown:
        raise UserError(f"there is no metric {', '.join(unknown)}; there are {', '.join(known)}")
    import torch

    with host.hosting(where), torch.inference_mode():
        try:
            return [row for part in _parts(result, reference, mask, metrics) for row in part]
        except (ValueError, NotImplementedError, OSError) as error:
            raise UserError(str(error)) from error


def _parts(
    result: Path, reference: Path, mask: Path | None, metrics: list[str] | None
) -> Iterator[list[Any]]:
    """Rows, picture by picture."""
    for name, file, against, hole in _pairs(result, reference, mask):
        image, wanted = _image(file), _image(against)
        given = _defaults(nodes.Compare) | {"metrics": ",".join(metrics or ())}
        given |= {"method": result.stem, "mask": None if hole is None else _mask(hole)}
        try:
            rows = nodes.Compare.execute(image, wanted, **given).args[0]
        except ValueError as error:
            raise ValueError(f"{file}: {error}") from error
        yield [replace(row, image=name) for row in rows]


def _pairs(
    result: Path, reference: Path, mask: Path | None
) -> Iterator[tuple[str, Path, Path, Path | None]]:
    """(name, picture, its reference, its mask): those of folders belong together by name."""
    files = _files(result)
    for file in files:
        against = _partner(file, reference, "reference")
        hole = None if mask is None else _partner(file, mask, "mask")
        yield file.stem, file, against, hole


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = sorted(p for p in path.iterdir() if p.suffix.lower() in pictures.SUFFIXES)
    if not found:
        raise UserError(f"{path} holds no pictures ({', '.join(pictures.SUFFIXES)})")
    return found


def _partner(file: Path, place: Path, kind: str) -> Path:
    """`place` itself, or the picture in that folder whose name is that of `file`."""
    if not place.is_dir():
        return place
    found = [p for p in _files(place) if p.stem == file.stem]
    if len(found) != 1:
        raise UserError(
            f"{len(found)} pictures in {place} are called {file.stem}, the {kind} of {file} must "
            "be one"
        )
    return found[0]


def _image(path: Path) -> Any:
    """[1, H, W, C], as a node gets it."""
    import torch

    if clips.is_clip(path):
        return torch.from_numpy(clips.read(path)[0])
    return torch.from_numpy(pictures.read(path))[None]


def _mask(path: Path) -> Any:
    """[1, H, W]: the first channel."""
    return _image(path)[..., 0].contiguous()


def _defaults(node: Any) -> dict[str, Any]:
    """What the canvas would send for untouched widgets."""
    sockets = node.GET_SCHEMA().inputs
    return {s.id: s.default for s in sockets if getattr(s, "default", None) is not None}
