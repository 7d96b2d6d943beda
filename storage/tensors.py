"""Tensors in files: safetensors, with what is not a tensor as JSON in the metadata. No pickle."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .files import whole

if TYPE_CHECKING:  # files are listed without torch
    from torch import Tensor

SUFFIX = ".safetensors"
LONGEST = 100 * 1000 * 1000  # bytes of a header that safetensors reads


@dataclass(frozen=True)
class Kind:
    """What a file holds, as its metadata tell, and the version of the way in which it holds it."""

    name: str
    version: int = 1

    @property
    def format(self) -> str:
        return f"internal-methods {self.name} {self.version}"

    def why_not(self, metadata: Mapping[str, str]) -> str | None:
        """None if the file is of this kind and version, else what it is."""
        program, name, version = (*metadata.get("format", "").split(" "), "", "", "")[:3]
        if (program, name) != ("internal-methods", self.name):
            return f"holds no {self.name} of this pack"
        if version != str(self.version):
            return (
                f"holds a {self.name} of version {version}, and this pack reads version "
                f"{self.version}; use the version of the pack that wrote it, or make it again"
            )
        return None


def write_tensors(path: Path, kind: Kind, tensors: Mapping[str, "Tensor"], description: Any):
    """Write to `path`, whole or not at all. description: what JSON can hold. Raises OSError."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    own = _apart(tensors)
    metadata = {
        "format": kind.format,
        kind.name: json.dumps(description),
        "sha256": digest(own, description),
    }
    try:
        with whole(path) as beside:
            save_file(own, beside, metadata)
    except SafetensorError as error:
        raise OSError(f"{path} cannot be written: {error}") from error


def _apart(tensors: Mapping[str, "Tensor"]) -> dict[str, "Tensor"]:
    """On the CPU, contiguous, and copied where two share memory, which safetensors refuses."""
    apart, seen = {}, set()
    for name, tensor in tensors.items():
        tensor = tensor.detach().cpu().contiguous()
        place = tensor.untyped_storage().data_ptr()
        apart[name] = tensor.clone() if place in seen else tensor
        seen.add(place)
    return apart


def read_tensors(path: Path, kind: Kind) -> tuple[dict[str, "Tensor"], Any]:
    """The tensors in `path`, on the CPU, and their description.

    Raises ValueError naming the file if it is broken, cut, of another kind or version, or changed
    since it was written; OSError if it cannot be read.
    """
    import torch
    from safetensors import SafetensorError, safe_open

    description = read_description(path, kind)
    try:
        # Copies, so that the file is let go; never inference tensors, which could not be trained.
        with torch.inference_mode(False), safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
            written = file.metadata().get("sha256")
    except SafetensorError as error:
        raise ValueError(f"{path} is no safetensors file, or a broken one: {error}") from error
    if written != digest(tensors, description):
        raise ValueError(f"{path} is damaged: its content is not what was written")
    return tensors, description


def read_description(path: Path, kind: Kind) -> Any:
    """What is not a tensor in `path`, from its header alone. Raises as `read_tensors` does."""
    metadata = read_metadata(path)
    why = kind.why_not(metadata)
    if why is not None:
        raise ValueError(f"{path} {why}")
    try:
        return json.loads(metadata[kind.name])
    except (KeyError, ValueError) as error:
        raise ValueError(f"{path} is damaged: the description of its {kind.name} is not") from error


def read_metadata(path: Path) -> dict[str, str]:
    """The metadata in a header of safetensors; {} where it has none. Raises ValueError, OSError."""
    with Path(path).open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        text = file.read(length) if length <= LONGEST else b""
    try:
        if len(text) < max(length, 2):
            raise ValueError("the header is cut")
        header = json.loads(text)
        metadata = header.get("__metadata__", {})
        return {str(name): str(value) for name, value in metadata.items()}
    except (AttributeError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} is no safetensors file, or a broken one: {error}") from error


def digest(tensors: Mapping[str, "Tensor"], description: Any = None) -> str:
    """SHA-256 over names, types, shapes and bytes of the tensors, and over the description.

    description: what JSON can hold, and dataclasses.
    """
    import torch

    total = hashlib.sha256(_canonical(description).encode())
    for name, tensor in sorted(tensors.items()):
        about = [name, str(tensor.dtype), list(tensor.shape)]
        total.update(json.dumps(about).encode())
        flat = tensor.detach().to("cpu").contiguous().reshape(-1)
        total.update(flat.view(torch.uint8).numpy())
    return total.hexdigest()


def _canonical(description: Any) -> str:
    return json.dumps(description, sort_keys=True, default=_plain)


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    raise TypeError(f"{value!r} ({type(value).__name__}) cannot be written as JSON")
