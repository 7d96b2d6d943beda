"""Clips compared by the Frechet distance of the features that I3D sees in them.

poll is called before every step of time and may raise to interrupt.
"""

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor

from ..checks import check_clip
from ..steps import Poll
from .frechet import Gaussian, few_samples, frechet_distance
from .i3d import HIGH_CHANNELS, I3D, LOW_CHANNELS, STRIDE


def svfid(result: Tensor, reference: Tensor, network: I3D, poll: Poll | None = None) -> Tensor:
    """(B,) float64: the single-video Frechet distance of clips (B, 1 or 3, T, H, W); lower is more
    alike.

    Of each clip the 480 features of Mixed_3c at every position in space and time are taken for
    samples of a Gaussian. Rott Shaham et al. 2019 (SIFID, arXiv:1905.01164), for clips Gur et al.
    2020 (arXiv:2006.12226). Sizes and lengths of the two may differ.
    Raises ValueError for a clip that is too short or too small for the network, and for references
    that are neither one nor as many as the clips.
    """
    if len(reference) not in (1, len(result)):
        raise ValueError(
            f"there are {len(reference)} references for {len(result)} clips; give one or as many"
        )
    distances = []
    for index, one in enumerate(result.split(1)):
        other = reference[index % len(reference)][None]
        [first], [second] = (_gaussians(each, network, poll) for each in (one, other))
        distances.append(frechet_distance(first, second))
    return torch.tensor(distances, dtype=torch.float64)


def svfid_inside_outside(
    clip: Tensor, mask: Tensor, network: I3D, poll: Poll | None = None
) -> Tensor:
    """(B,) float64: SVFID of the filled region of a clip against all the rest of the same clip.

    A fill that looks and moves like its surroundings is near 0; nothing of the original is needed.
    mask: (B or 1, 1, T or 1, H, W), > 0.5 in the hole. A position of Mixed_3c stands for a block of
    2 frames of 8x8 pixels; it is inside where more than half of its block is hole, else it is of
    the rest. As Cherel's thesis (2024, VI.3.1) has it, which writes SVFID with a circle and leaves
    open how the mask is resized; what the network sees around a position crosses the border.
    Raises ValueError where fewer than 2 positions are inside or in the rest, and for a clip that is
    too short or too small for the network.
    """
    distances = []
    for index, one in enumerate(clip.split(1)):
        inside, rest = _inside_and_rest(one, mask[index % len(mask)][None], network, poll)
        distances.append(frechet_distance(inside, rest))
    return torch.tensor(distances, dtype=torch.float64)


def few_positions(clip: Tensor, mask: Tensor | None = None) -> str:
    """What to say of Mixed_3c's Gaussians where a clip, or its hole, has few positions."""
    inside = positions_inside(clip, mask)
    groups = (inside,) if mask is None else (inside, ~inside)
    counts = [group.flatten(1).sum(1) for group in groups]
    return few_samples(int(torch.stack(counts).min()), LOW_CHANNELS)


def positions_inside(clip: Tensor, mask: Tensor | None = None) -> Tensor:
    """(B, 1, t, h, w) bool: the positions of Mixed_3c inside the mask; without one, all."""
    shape = (len(clip), 1, *clip.shape[2:])
    hole = torch.ones(1, device=clip.device) if mask is None else (mask > 0.5).float()
    return F.avg_pool3d(hole.expand(shape), STRIDE, STRIDE, ceil_mode=True) > 0.5


def vfid(
    results: Iterable[Tensor],
    references: Iterable[Tensor],
    network: I3D,
    poll: Poll | None = None,
) -> float:
    """The Frechet distance of two sets of clips, each clip (B, 1 or 3, T, H, W); lower is more
    alike.

    Of each clip the 1024 features of Mixed_5c, averaged over space and time. Wang et al. 2018
    (vid2vid, arXiv:1808.06601), Unterthiner et al. 2019 (FVD). The sets are as a rule far smaller
    than 1024, so that the covariances are of low rank (see `few_clips`): numbers compare only
    between sets of the same clips, and with the same weights.
    Raises ValueError for an empty set, and for a clip that is too short or too small.
    """
    gaussians = [
        _of_set(clips, name, network, poll)
        for clips, name in ((results, "results"), (references, "references"))
    ]
    return frechet_distance(*gaussians)


def few_clips(count: int) -> str:
    """What to say of a `vfid` of so many clips; "" where they are enough."""
    return few_samples(count, HIGH_CHANNELS)


def _of_set(clips: Iterable[Tensor], name: str, network: I3D, poll: Poll | None) -> Gaussian:
    gaussian = Gaussian(HIGH_CHANNELS)
    for clip in clips:
        gaussian.update(network.high(clip, poll))
    if not gaussian.weight:
        raise ValueError(f"there are no clips among the {name}; give at least one")
    return gaussian


def _inside_and_rest(clip: Tensor, mask: Tensor, network: I3D, poll: Poll | None) -> list[Gaussian]:
    check_clip(clip, "the clip")
    inside = positions_inside(clip, mask)[0, 0]
    for where, name, remedy in (
        (inside, "inside the mask", "enlarge the mask"),
        (~inside, "outside it", "shrink the mask"),
    ):
        if where.sum() < 2:
            raise ValueError(
                f"{int(where.sum())} positions of Mixed_3c are {name}, at least 2 are needed; one "
                f"takes more than half of a block of 2 frames of 8x8 pixels: {remedy}"
            )
    return _gaussians(clip, network, poll, inside, ~inside)


def _gaussians(clip: Tensor, network: I3D, poll: Poll | None, *places: Tensor) -> list[Gaussian]:
    """Of one clip's Mixed_3c vectors: in each of the (t, h, w) bool places, or else of all."""
    gaussians = [Gaussian(LOW_CHANNELS) for _ in places or (None,)]
    start = 0
    for features in network.low(clip, poll):
        vectors = features[0].movedim(0, -1)
        stop = start + len(vectors)
        if not places:
            gaussians[0].update(vectors.flatten(0, 2))
        for gaussian, place in zip(gaussians, places, strict=bool(places)):
            gaussian.update(vectors[place[start:stop]])
        start = stop
    return gaussians
