"""Trained models in files, and the folders that they lie in."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .tensors import SUFFIX, Kind, read_description, read_metadata, read_tensors, write_tensors

if TYPE_CHECKING:  # models are listed without torch
    from ..methods.diffusion.model import TrainedModel

KIND = Kind("model")
LONGEST = 100  # characters of a name: room for a number, a suffix and a deep folder on Windows
FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f]')
RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


def save_model(path: Path, model: "TrainedModel") -> None:
    """Write `model` to `path`, whole or not at all. Raises OSError."""
    write_tensors(path, KIND, *model.to_dict())


def load_model(path: Path) -> "TrainedModel":
    """The model in `path`, its weights on the CPU.

    Raises ValueError naming the file if it is broken, cut, no model of this pack or one of another
    version; OSError if it cannot be read.
    """
    import torch

    from ..methods.diffusion.model import TrainedModel

    tensors, description = read_tensors(path, KIND)
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise ValueError(f"{path}: {name} holds values that are not finite; train it again")
    try:
        return TrainedModel.from_dict(tensors, description)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} holds no model that this pack can use: {error}") from error


def describe_model(path: Path) -> Any:
    """All of a model but its weights, from the header alone. Raises as `load_model` does."""
    return read_description(path, KIND)


def saved_models(folders: Iterable[Path]) -> dict[str, Path]:
    """Name -> file of the models in some folders; of two with one name the first.

    Known by their headers, so that weights of other networks may lie beside them. A model of
    another version, or a cut one, is among them: loading it says what is wrong.
    """
    found: dict[str, Path] = {}
    for folder in folders:
        for path in sorted(Path(folder).glob(f"*{SUFFIX}")):
            if not path.name.startswith(".") and is_model(path):
                found.setdefault(path.name, path)
    return dict(sorted(found.items()))


def is_model(path: Path) -> bool:
    """Does the header say that a model of this pack is in there, of whatever version?"""
    try:
        form = read_metadata(path).get("format", "")
    except (OSError, ValueError):
        return False
    return form.startswith(f"internal-methods {KIND.name} ")


def why_not_a_name(name: str) -> str | None:
    """None if every system can hold a model's file of that name, else what is wrong with it."""
    bare = name.removesuffix(SUFFIX)
    if not bare.strip():
        return "the name is empty; give the model one"
    if FORBIDDEN.search(bare):
        return (
            f'the name {name!r} may not hold any of < > : " / \\ | ? *; use letters, digits, -, _'
        )
    if bare.startswith(".") or bare != bare.strip() or bare.endswith("."):
        return f"the name {name!r} may not begin with a dot or end with one, or with a blank"
    if RESERVED.fullmatch(bare):
        return f"the name {name!r} means a device on Windows; add something to it"
    if len(bare) > LONGEST:
        return f"the name {name!r} has {len(bare)} characters, and {LONGEST} is the most"
    return None


def path_for(folder: Path, name: str, overwrite: bool = False) -> Path:
    """Where a model called `name` goes: where one is already, NAME_2, NAME_3 and so on, unless it
    shall be overwritten.

    Raises ValueError for a name that is none, and rather than overwrite what is no model.
    """
    why = why_not_a_name(name)
    if why is not None:
        raise ValueError(why)
    bare = name.removesuffix(SUFFIX)
    path, number = folder / f"{bare}{SUFFIX}", 1
    if overwrite and path.exists() and not is_model(path):
        raise ValueError(f"{path} is no model of this pack, so it is not overwritten; rename one")
    while not overwrite and path.exists():
        number += 1
        path = folder / f"{bare}_{number}{SUFFIX}"
    return path
