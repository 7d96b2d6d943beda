"""Fields in files: safetensors, with what is not a tensor as JSON in the metadata."""

import json
from pathlib import Path

from ..methods.field import Field
from .files import whole

FORMAT = "internal-methods field 1"
DESCRIBED = ("patch_size", "source_size", "wrap", "source_wrap")


def save_field(path: Path, field: Field) -> None:
    """Write `field` to `path`, whole or not at all."""
    from safetensors.torch import save_file

    tensors = {"positions": field.positions, "distances": field.distances}
    tensors = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
    description = {name: getattr(field, name) for name in DESCRIBED}
    with whole(path) as beside:
        save_file(tensors, beside, {"format": FORMAT, "field": json.dumps(description)})


def load_field(path: Path) -> Field:
    """The field in `path`, on the CPU, checked.

    Raises ValueError for a file that is no field or holds impossible positions, OSError if it
    cannot be read.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != FORMAT:
                raise ValueError(f"{path} holds no field, or one of another version of the pack")
            description = json.loads(metadata["field"])
            tensors = {name: file.get_tensor(name) for name in ("positions", "distances")}
    except SafetensorError as error:
        raise ValueError(f"{path} is no safetensors file, or a broken one: {error}") from error
    values = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in description.items()
    }
    return Field(**tensors, **values).validate()
