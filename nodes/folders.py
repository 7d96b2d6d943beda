"""Measuring whole folders of pictures."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from . import convert, inputs
from .api import host, io
from .types import ScoresSocket
from .weights import weights

if TYPE_CHECKING:  # torch is imported when a node runs, not when it is listed
    from torch import Tensor


class FidFolder(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="InternalFidFolder",
            display_name="Compare Folders (FID)",
            category="internal/metrics",
            description=(
                "How far the pictures of a folder, as a set, are from those of another: FID, or "
                "its formula on the features of VGG16 or AlexNet where Inception's weights are "
                "missing."
            ),
            inputs=[
                io.String.Input(
                    "folder",
                    default="",
                    tooltip=(
                        "The folder of the pictures to judge, PNG, JPEG, EXR ...: absolute, or in "
                        "ComfyUI's input folder."
                    ),
                ),
                io.String.Input(
                    "reference_folder",
                    default="",
                    tooltip="The folder of the pictures that they should be like, given likewise.",
                ),
                io.Combo.Input(
                    "features",
                    options=["auto", "inception", "vgg16", "alexnet"],
                    default="auto",
                    tooltip=(
                        "The network whose features are compared. inception is FID itself; vgg16 "
                        "and alexnet give numbers under names of their own, to be compared among "
                        "themselves only. auto takes the first whose weights lie in models/metrics."
                    ),
                ),
                inputs.method("result"),
            ],
            outputs=[
                ScoresSocket.Output(
                    display_name="scores",
                    tooltip="One row for a score table; lower is better.",
                )
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, folder="", reference_folder="", **kwargs):
        """Changes with the files in the folders, which have names, times and sizes."""
        found = []
        for name in (folder, reference_folder):
            stats = [(path.name, path.stat()) for path in _pictures_in(name)]
            found.append([(file, about.st_mtime_ns, about.st_size) for file, about in stats])
        return str(found)

    @classmethod
    def execute(cls, folder, reference_folder, features, method):
        from ..methods.metrics.folders import compare_sets

        sets = [_pictures_in(name) for name in (folder, reference_folder)]
        read = _Reader(sum(map(len, sets)))
        score = compare_sets(
            *map(read.each, sets),
            weights=weights(),
            features=features,
            device=convert.measuring_device(),
            method=method,
            image=host.input_folder_path(folder).name,
        )
        return io.NodeOutput([score])


def _pictures_in(name: str) -> list[Path]:
    """By name. Raises FileNotFoundError, and ValueError for a folder without pictures."""
    from ..storage.pictures import SUFFIXES, in_folder

    if not name.strip():
        raise ValueError("a folder is missing; name both folders, the result's and the reference's")
    folder = host.input_folder_path(name)
    found = [path for path in in_folder(folder) if not path.name.startswith(".")]
    if not found:
        raise ValueError(f"{folder} holds no pictures ({', '.join(SUFFIXES)})")
    return found


class _Reader:
    """Reads picture after picture and moves the host's bar."""

    def __init__(self, total: int):
        self.done, self.total = 0, total

    def each(self, paths: list[Path]) -> "Iterator[Tensor]":
        """(1, 3, H, W), without alpha."""
        import torch

        from ..storage.pictures import read

        for path in paths:
            yield torch.from_numpy(read(path)[..., :3]).movedim(-1, 0)[None].contiguous()
            self.done += 1
            host.progress(self.done, self.total)
