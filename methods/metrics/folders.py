"""Sets of pictures against each other: FID, or its formula on the features of other networks."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from .backbones import ALEXNET, VGG16
from .frechet import few_samples, folder_statistics, frechet_distance
from .inception import FID_INCEPTION, FidInception
from .layers import AlexLast, VggLast
from .scores import Score
from .weights import MissingWeights, WeightsKind, WeightsSource, load_first


@dataclass(frozen=True)
class Features:
    """What a metric's numbers are made of."""

    metric: str
    kind: WeightsKind
    network: Callable[[Mapping[str, Tensor]], FidInception | VggLast | AlexLast]


FEATURES = {
    "inception": Features("fid", FID_INCEPTION, FidInception),
    "vgg16": Features("frechet_vgg16", VGG16, VggLast),
    "alexnet": Features("frechet_alexnet", ALEXNET, AlexLast),
}


def compare_sets(
    results: Iterable[Tensor],
    references: Iterable[Tensor],
    *,
    weights: WeightsSource,
    features: str = "auto",
    device: torch.device | str = "cpu",
    method: str = "result",
    image: str = "set",
) -> Score:
    """The Frechet distance of two sets of pictures, lower is better.

    Heusel et al. 2017 (arXiv:1706.08500): FID on the features "inception"; on the mean of the last
    layer of "vgg16" or "alexnet" the same formula under a name of its own. "auto" takes the first
    of these whose weights are there. results, references: each picture (1, 1 or 3, H, W) in [0, 1],
    of any size; they are asked for one at a time.
    Where the weights are missing the value is NaN and the note says what to do; where there are no
    more pictures than features, the note warns.
    Raises ValueError for unknown features and for a set without pictures.
    """
    if features not in ("auto", *FEATURES):
        raise ValueError(f"features {features!r} is none of auto, {', '.join(FEATURES)}")
    started = time.perf_counter()
    row = partial(Score, method=method, image=image, region="all", better="lower")
    names = list(FEATURES) if features == "auto" else [features]
    try:
        kind, loaded = load_first(weights, [FEATURES[name].kind for name in names])
    except MissingWeights as error:
        metric = FEATURES[names[0]].metric
        return row(metric=metric, value=float("nan"), note=str(error))
    chosen = next(features for features in FEATURES.values() if features.kind == kind)
    network = chosen.network(loaded.tensors).to(device)
    sets = []
    for name, images in (("result", results), ("reference", references)):
        sets.append(folder_statistics((image.to(device) for image in images), network))
        if not sets[-1].count:
            raise ValueError(f"the {name} set holds no pictures, so it has no statistics")
    return row(
        metric=chosen.metric,
        value=frechet_distance(*sets),
        weights=loaded.label,
        seconds=round(time.perf_counter() - started, 4),
        note=few_samples(min(gaussian.count for gaussian in sets), network.dimensions),
    )
