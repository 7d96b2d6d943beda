"""`score RESULT REFERENCE`: the metric nodes on files, for scripts.

Pictures and folders of pictures are scored picture by picture; a video, or two folders of which a
metric of clips is asked, as clips.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..nodes import metrics as nodes
from ..nodes.folders import FidFolder
from ..nodes.sample_metrics import Diversity
from ..nodes.video_metrics import VideoCompare, clip_metric_names
from ..storage import clips, pictures
from . import host
from .errors import UserError

SETS = {"fid": "inception", "frechet_vgg16": "vgg16", "frechet_alexnet": "alexnet"}  # of folders
DIVERSITY = "diversity"  # of a folder of samples of one picture


def score(
    result: Path, reference: Path, mask: Path | None, metrics: list[str] | None, where: host.Host
) -> list[Any]:
    """The scores of a picture, a folder of pictures or a clip against a reference.

    mask: white where the result was filled: one for all, or as many as there are pictures or
    frames. metrics: names; None for all that there are. where: folder of weights, device, progress.
    Raises UserError for files that are missing, broken or do not fit together.
    """
    import torch

    for path in filter(None, (result, reference, mask)):
        if not path.exists():
            raise UserError(f"there is no file or folder {path}")
    known = [*nodes.metric_names(), *_clip_names(), DIVERSITY, *SETS]
    unknown = [name for name in metrics or () if name not in known]
    if unknown:
        raise UserError(f"there is no metric {', '.join(unknown)}; there are {', '.join(known)}")
    with host.hosting(where), torch.inference_mode():
        try:
            if _are_clips(result, reference, metrics):
                return _of_clips(result, reference, mask, metrics)
            return [
                *_of_pictures(result, reference, mask, metrics),
                *_of_sets(result, reference, metrics),
            ]
        except (ValueError, NotImplementedError, OSError) as error:
            raise UserError(str(error)) from error


def _clip_names() -> list[str]:
    """The metrics that only clips have."""
    pictures_have = nodes.metric_names()
    return [name for name in clip_metric_names() if name not in pictures_have]


def _are_clips(result: Path, reference: Path, metrics: list[str] | None) -> bool:
    if any(clips.is_clip(path) and not path.is_dir() for path in (result, reference)):
        return True
    return bool(set(metrics or ()) & set(_clip_names()))


def _of_clips(
    result: Path, reference: Path, mask: Path | None, metrics: list[str] | None
) -> list[Any]:
    given = _defaults(VideoCompare) | {"metrics": ",".join(metrics or ()), "method": result.stem}
    rows = VideoCompare.execute(
        _image(result),
        reference=_image(reference),
        mask=None if mask is None else _mask(mask),
        **given,
    ).args[0]
    return [replace(row, image=result.stem) for row in rows]


def _of_pictures(
    result: Path, reference: Path, mask: Path | None, metrics: list[str] | None
) -> Iterator[Any]:
    """Rows, picture by picture."""
    wanted = [name for name in metrics or () if name in nodes.metric_names()]
    if metrics and not wanted:
        return
    for name, file, against, hole in _pairs(result, reference, mask):
        given = _defaults(nodes.Compare) | {"metrics": ",".join(wanted), "method": result.stem}
        given["mask"] = None if hole is None else _mask(hole)
        try:
            rows = nodes.Compare.execute(_image(file), _image(against), **given).args[0]
        except ValueError as error:
            raise ValueError(f"{file}: {error}") from error
        yield from (replace(row, image=name) for row in rows)


def _of_sets(result: Path, reference: Path, metrics: list[str] | None) -> Iterator[Any]:
    """Rows of a folder as a whole: against another, or its spread around one picture."""
    asked = set(metrics or ())
    if not result.is_dir():
        if asked & {DIVERSITY, *SETS}:
            raise UserError(f"{', '.join(sorted(asked & {DIVERSITY, *SETS}))} needs a folder")
        return
    name = {"method": result.stem}
    several = len(_files(result)) > 1
    if DIVERSITY in asked or (not asked and several and not reference.is_dir()):
        against = None if reference.is_dir() else _image(reference)
        yield from Diversity.execute(_images(result), reference=against, **name).args[0]
    features = [SETS[metric] for metric in SETS if metric in asked]
    if not asked and reference.is_dir() and several:
        features = ["auto"]
    for each in features:
        folders = (str(path.resolve()) for path in (result, reference))
        yield from FidFolder.execute(*folders, features=each, **name).args[0]


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
    found = pictures.in_folder(path)
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
    """[B, H, W, C], as a node gets it: a picture, or the frames of a clip."""
    import torch

    if clips.is_clip(path):
        return torch.from_numpy(clips.read(path)[0])
    return torch.from_numpy(pictures.read(path))[None]


def _images(folder: Path) -> Any:
    """[B, H, W, 3]: all pictures of a folder, which have to be of one size."""
    import torch

    files = _files(folder)
    found = [_image(file)[..., :3] for file in files]
    for file, picture in zip(files, found, strict=True):
        if picture.shape != found[0].shape:
            raise UserError(f"{file} is not of the size of {files[0]}; samples are of one size")
    return torch.cat(found)


def _mask(path: Path) -> Any:
    """[B, H, W]: the first channel."""
    return _image(path)[..., 0].contiguous()


def _defaults(node: Any) -> dict[str, Any]:
    """What the canvas would send for untouched widgets."""
    sockets = node.GET_SCHEMA().inputs
    return {s.id: s.default for s in sockets if getattr(s, "default", None) is not None}
