"""What a node may ask of the program that runs it, where that program is ComfyUI.

`headless/host.py` answers the same questions on the command line.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import folder_paths


def input_names() -> list[str]:
    """Pictures in ComfyUI's input folder and one level of its subfolders."""
    from ..storage.pictures import SUFFIXES

    return input_files(*SUFFIXES)


def input_files(*suffixes: str) -> list[str]:
    """Files there with one of these suffixes, by name."""
    root = Path(folder_paths.get_input_directory())
    found = [p for p in (*root.glob("*"), *root.glob("*/*")) if p.suffix.lower() in suffixes]
    return sorted(p.relative_to(root).as_posix() for p in found)


def input_clips() -> list[str]:
    """Videos there, and folders of pictures."""
    from ..storage.clip_reader import VIDEOS
    from ..storage.pictures import in_folder

    root = Path(folder_paths.get_input_directory())
    folders = [p for p in (*root.glob("*"), *root.glob("*/*")) if p.is_dir() and in_folder(p)]
    return [*input_files(*VIDEOS), *sorted(p.relative_to(root).as_posix() for p in folders)]


def input_clip_path(name: str) -> Path:
    """The file, or folder of pictures, called `name`. Raises FileNotFoundError as `input_path`."""
    path = Path(folder_paths.get_annotated_filepath(name))
    if not path.exists():
        raise FileNotFoundError(f"there is no file or folder {name!r} (looked for {path})")
    return path


def input_path(name: str) -> Path:
    """The input file called `name`. Raises FileNotFoundError saying where it was looked for."""
    path = Path(folder_paths.get_annotated_filepath(name))
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {name!r} (looked for {path})")
    return path


def input_folder_path(name: str) -> Path:
    """The folder called `name`, absolute or in ComfyUI's input folder. Raises FileNotFoundError."""
    path = Path(folder_paths.get_annotated_filepath(name))
    if not path.is_dir():
        raise FileNotFoundError(f"there is no folder {name!r} (looked for {path})")
    return path


def save_path(prefix: str, width: int, height: int, kind: str = "output") -> tuple[Path, str, int]:
    """Where the next files of a name go: (folder, file name, first number)."""
    root = str(folder_of(kind))
    folder, name, number, _, _ = folder_paths.get_save_image_path(prefix, root, width, height)
    return Path(folder), name, number


def folder_of(kind: str) -> Path:
    """The folder of saved ("output") or merely shown ("temp") pictures."""
    temp = kind == "temp"
    return Path(folder_paths.get_temp_directory() if temp else folder_paths.get_output_directory())


def passing_file(suffix: str) -> Path:
    """A new file for what goes from one node to another; ComfyUI clears the folder as it starts."""
    folder = folder_of("temp")
    folder.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(suffix, "passing_", folder)
    os.close(handle)
    return Path(name)


def input_folder() -> Path:
    return Path(os.path.abspath(folder_paths.get_input_directory()))


def metrics_folders() -> list[Path]:
    """Where the weights of metrics lie: models/metrics, and what extra_model_paths.yaml adds."""
    return _models("metrics")


def trained_model_folders() -> list[Path]:
    """Where trained models lie: likewise, models/internal. The first one gets new ones."""
    return _models("internal")


def _models(kind: str) -> list[Path]:
    folder_paths.add_model_folder_path(kind, os.path.join(folder_paths.models_dir, kind))
    return [Path(folder) for folder in folder_paths.get_folder_paths(kind)]


def checkpoint_folder() -> Path:
    """For trainings that are not done yet: in ComfyUI's user folder, which containers keep."""
    return Path(folder_paths.get_user_directory()) / "__internal_methods" / "checkpoints"


def writes_metadata() -> bool:
    from comfy.cli_args import args

    return not args.disable_metadata


def progress(done: int, total: int, preview=None) -> None:
    """Move the node's bar and show `preview` (PIL image) on it.

    Raises ComfyUI's own exception when the user has pressed cancel.
    """
    import comfy.model_management
    import comfy.utils

    comfy.model_management.throw_exception_if_processing_interrupted()
    shown = ("JPEG", preview, 512) if preview is not None else None
    comfy.utils.ProgressBar(total).update_absolute(done, total, shown)


def wants_preview() -> bool:
    return True


def device_name() -> str:
    """cpu or cuda as ComfyUI computes; auto on anything else, where we choose for ourselves."""
    import comfy.model_management

    kind = comfy.model_management.get_torch_device().type
    return kind if kind in ("cpu", "cuda") else "auto"


@contextmanager
def room(size: int) -> Iterator[None]:
    """Makes room for so many bytes on the GPU, and gives back afterwards what is free of it."""
    import comfy.model_management as management

    management.free_memory(size, management.get_torch_device())
    try:
        yield
    finally:
        management.soft_empty_cache()


def dense_attention(q, k, v, heads: int, precision, options: dict):
    """The attention that ComfyUI has chosen for this machine, on tokens (B, N, heads * C)."""
    from comfy.ldm.modules.attention import optimized_attention

    return optimized_attention(
        q, k, v, heads, attn_precision=precision, transformer_options=options
    )
