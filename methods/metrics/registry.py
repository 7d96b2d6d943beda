"""The metrics by name: what each takes, and which direction is better."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from torch import Tensor, nn

from . import copying, flip, patch_transport, pixels, sharpness, similarity, structure
from .backbones import ALEXNET, VGG16
from .dists import DISTS_KINDS, DistsNetwork, dists
from .frechet import few_places, single_image_frechet
from .inception import INCEPTION_STEM, InceptionStem
from .layers import AlexFirst, VggFirst
from .lpips import LPIPS_ALEX_KINDS, LPIPS_VGG_KINDS, LpipsNetwork, lpips
from .weights import WeightsKind

Network = Callable[..., nn.Module]  # built from the tensors of each kind of `weights`, in order


@dataclass(frozen=True)
class Metric:
    """One metric.

    measure: `(result, reference, region=...)`, after `reference` the network where there is one.
    better: "higher", "lower", or "" where neither is. perfect: its value for two equal pictures,
    None where that is not one number. kinds: of weights needed, and `network` that is built from
    their tensors. aligned: pixel by pixel, so that sizes must agree; the others compare as
    distributions. colours: the numbers of channels that it is defined for. clips: values outside
    [0, 1] are clipped to it. settings: further arguments that it takes. note: called like
    `measure`, without the network: what to keep in mind about the number.
    """

    name: str
    measure: Callable[..., Tensor]
    better: str
    perfect: float | None = None
    kinds: tuple[WeightsKind, ...] = ()
    network: Network | None = None
    aligned: bool = True
    colours: tuple[int, ...] = ()
    clips: bool = False
    settings: tuple[str, ...] = ()
    note: Callable[..., str] | None = None


def _total_variation(result: Tensor, reference: Tensor, *, region: Tensor | None = None) -> Tensor:
    return pixels.tv(result, region=region)


RGB = (1, 3)
PATCHES = ("patch_size", "seed", "backend", "poll")


def _frechet(
    name: str, kind: WeightsKind, layer: type[InceptionStem | VggFirst | AlexFirst]
) -> Metric:
    """The distance of two pictures' distributions of features, so that sizes may differ."""
    return Metric(
        name,
        single_image_frechet,
        "lower",
        0.0,
        (kind,),
        layer,
        aligned=False,
        colours=RGB,
        note=partial(few_places, layer),
    )


def _of_patches(name: str, measure: Callable[..., Tensor], better: str, perfect: float) -> Metric:
    note = similarity.similarity_note if better else None
    return Metric(name, measure, better, perfect, aligned=False, settings=PATCHES, note=note)


ENTRIES = [
    Metric("psnr", pixels.psnr, "higher", math.inf),
    Metric("ssim", structure.ssim, "higher", 1.0),
    Metric("ssim_uniform8", structure.ssim_uniform8, "higher", 1.0),
    Metric("ms_ssim", structure.ms_ssim, "higher", 1.0),
    Metric("l1", pixels.l1, "lower", 0.0),
    Metric("l2", pixels.l2, "lower", 0.0),
    Metric("tv", _total_variation, "", aligned=False),
    Metric("sharpness", sharpness.sharpness, "lower", 0.0),
    Metric("flip", flip.flip, "lower", 0.0, colours=RGB, clips=True),
    Metric("lpips_alex", lpips, "lower", 0.0, LPIPS_ALEX_KINDS, LpipsNetwork.alex, colours=RGB),
    Metric("lpips_vgg", lpips, "lower", 0.0, LPIPS_VGG_KINDS, LpipsNetwork.vgg, colours=RGB),
    Metric("dists", dists, "lower", 0.0, DISTS_KINDS, DistsNetwork, colours=RGB),
    _frechet("sifid", INCEPTION_STEM, InceptionStem),
    _frechet("single_frechet_vgg16", VGG16, VggFirst),
    _frechet("single_frechet_alexnet", ALEXNET, AlexFirst),
    Metric(
        "patch_ot",
        patch_transport.patch_ot,
        "lower",
        0.0,
        aligned=False,
        settings=(*PATCHES, "samples"),
        note=patch_transport.patch_ot_note,
    ),
    _of_patches("coherence", similarity.coherence, "lower", 0.0),
    _of_patches("completeness", similarity.completeness, "lower", 0.0),
    _of_patches("copy_rate", copying.copy_rate, "", 1.0),
    _of_patches("copy_one_shift", copying.copy_one_shift, "", 1.0),
]
METRICS = {metric.name: metric for metric in ENTRIES}


def chosen(names: Sequence[str], there: Sequence[str]) -> list[str]:
    """The names once each, in the order of those that there are.

    Raises ValueError naming what is unknown and what there is.
    """
    unknown = sorted(set(names) - set(there))
    if unknown:
        raise ValueError(f"there is no metric {', '.join(unknown)}; there are {', '.join(there)}")
    return [name for name in there if name in names]
