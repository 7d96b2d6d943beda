"""Fields in files."""

from pathlib import Path

from ..methods.field import Field
from .tensors import Kind, read_tensors, write_tensors

KIND = Kind("field")
DESCRIBED = ("patch_size", "source_size", "wrap", "source_wrap")


def save_field(path: Path, field: Field) -> None:
    """Write `field` to `path`, whole or not at all."""
    tensors = {"positions": field.positions, "distances": field.distances}
    write_tensors(path, KIND, tensors, {name: getattr(field, name) for name in DESCRIBED})


def load_field(path: Path) -> Field:
    """The field in `path`, on the CPU, checked.

    Raises ValueError for a file that is no field or holds impossible positions, OSError if it
    cannot be read.
    """
    tensors, description = read_tensors(path, KIND)
    values = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in description.items()
    }
    try:
        return Field(**tensors, **values).validate()
    except TypeError as error:
        raise ValueError(f"{path} is damaged: {error}") from error
