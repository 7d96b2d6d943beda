"""The pretrained networks of metrics, from where the user keeps them."""

from pathlib import Path
from typing import TYPE_CHECKING

from .api import host

if TYPE_CHECKING:  # torch is imported when a node runs, not when it is listed
    from ..methods.metrics.weights import WeightsKind
    from ..storage.weights import WeightsFolder


def weights() -> "WeightsFolder":
    """What a metric takes its networks from."""
    from ..storage.weights import WeightsFolder

    return WeightsFolder(host.metrics_folders())


def kinds() -> "list[WeightsKind]":
    """All that some metric can use."""
    from ..methods.metrics.backbones import ALEXNET, VGG16
    from ..methods.metrics.dists import DISTS
    from ..methods.metrics.i3d import I3D_KINDS
    from ..methods.metrics.inception import FID_INCEPTION, INCEPTION_STEM
    from ..methods.metrics.lpips import LPIPS_ALEX, LPIPS_VGG

    pictures = [ALEXNET, LPIPS_ALEX, VGG16, LPIPS_VGG, DISTS, INCEPTION_STEM, FID_INCEPTION]
    return [*pictures, *I3D_KINDS]


def found() -> "tuple[list[tuple[str, Path]], list[str], list[Path]]":
    """(name of a kind, its file) of those that are there, the names of those that are not, and the
    folders that were looked through."""
    from ..methods.metrics.weights import MissingWeights

    source, there, missing = weights(), [], []
    for kind in kinds():
        try:
            there.append((kind.name, source.find(kind)))
        except MissingWeights:
            missing.append(kind.name)
    return there, missing, source.folders
