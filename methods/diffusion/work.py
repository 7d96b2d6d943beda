"""The part of a picture or a clip that is sampled, and how the network goes over it.

Only the hole and what the network sees from within it is worked on. A large hole is covered with
tiles, each with all that its pixels see, so that the result is that of the whole, memory stays
bounded, and a callback is heard often. Noise is drawn from the seed, the number of the sample, the
noise level and the place.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor, nn

from ...backends import random
from ..morphology import extent
from ..steps import Poll
from .model import TrainedModel, denoiser
from .network import UNet
from .sampling import Denoise
from .scale import Scale
from .settings import NetworkSettings, TrainingSettings

TILE = 320  # side of tiles without what is around them: a fifth of a second on one core
VOXELS = 2**22  # of a tile of a clip with what is around it: 1.5 GB of features of width 32

Box = tuple[slice, ...]


@dataclass(frozen=True)
class Tile:
    """Places in the working part: `inner` is wanted, `outer` is what it sees."""

    inner: Box
    outer: Box

    @property
    def within(self) -> Box:
        """`inner`, seen from `outer`."""
        return tuple(
            slice(i.start - o.start, i.stop - o.start)
            for i, o in zip(self.inner, self.outer, strict=True)
        )

    @property
    def pixels(self) -> int:
        """That the network is given."""
        return math.prod(part.stop - part.start for part in self.outer)


@dataclass(frozen=True)
class Work:
    """The part of one picture or clip that is worked on, its values scaled.

    Sides that the network's poolings do not divide are continued by their mirror image, holes too.
    known: (1, C, [t,] h, w), 0 in the hole. hole: (1, 1, [t,] h, w) bool, what is not known; the
    tiles cover what of it is wanted. start: as known, or None.
    places: int64, for each axis the places in the whole. scale: of the values. loop: the frames of
    the clip go round.
    """

    known: Tensor
    hole: Tensor
    start: Tensor | None
    places: tuple[Tensor, ...]
    scale: Scale
    tiles: list[Tile]
    loop: bool = False

    @classmethod
    def of(
        cls,
        model: TrainedModel,
        image: Tensor,
        hole: Tensor,
        start: Tensor | None,
        unknown: Tensor | None = None,
    ):
        """For a picture (1, C, H, W) or a clip (1, C, T, H, W) and its hole, bool.

        unknown: all that is not looked at, bool, of which the hole is a part; None = the hole.
        """
        unknown = hole if unknown is None else unknown
        colours, network = model.network.channels, model.network
        scale = model.scale.suiting(image[:, :colours].masked_select(~unknown))
        mirrored = [
            _mirrored(side, part, hole.device)
            for side, part in zip(hole.shape[2:], network.multiples, strict=True)
        ]
        margins = network.reach
        if network.attention:  # which looks further: as far as it did in training
            margins = tuple(max(margin, model.training.window) for margin in margins)
        box = _seen(_taken(hole, mirrored), margins, network.multiples)
        near = [places[part] for places, part in zip(mirrored, box, strict=True)]
        hidden, wanted = (_taken(each, near) for each in (unknown, hole))

        def scaled(values: Tensor) -> Tensor:
            return scale.scaled(_taken(values[:, :colours], near).float())

        known = torch.where(hidden, 0.0, scaled(image))
        start = None if start is None else torch.where(wanted, scaled(start), known)
        places = tuple(torch.arange(b.start, b.stop, device=hole.device) for b in box)
        return cls(known, hidden, start, places, scale, _tiles(wanted, margins, network))

    @classmethod
    def anew(cls, model: TrainedModel, size: Sequence[int], device: torch.device, loop: bool):
        """For a clip of `size` (T, H, W) of which nothing is known; a loop goes round in time."""
        network = model.network
        sides = [-(-n // part) * part for n, part in zip(size, network.multiples, strict=True)]
        hole = torch.ones(1, 1, *sides, dtype=torch.bool, device=device)
        known = torch.zeros(1, network.channels, *sides, device=device)
        places = tuple(torch.arange(side, device=device) for side in sides)
        tiles = _tiles(hole, network.reach, network, loop)
        return cls(known, hole, None, places, model.scale, tiles, loop)

    @property
    def pixels(self) -> int:
        """Of the largest tile."""
        return max(tile.pixels for tile in self.tiles)

    def noise(self, seed: int, samples: range, t: int) -> Tensor:
        """Standard normal (n, C, [t,] h, w)."""
        device = self.known.device
        where = device if device.type == "cuda" else torch.device("cpu")  # others lack float64
        number = torch.arange(samples.start, samples.stop, device=where)
        channel = torch.arange(self.known.shape[1], device=where)
        counters = [number, channel, *(places.to(where) for places in self.places)]
        return random.normal_at(seed, t, *_mesh(counters)).to(device)

    def picture(self, x0: Tensor) -> Tensor:
        """Values of the picture for scaled ones."""
        return self.scale.unscaled(x0)


def tiled(work: Work, net: UNet, training: TrainingSettings, poll: Poll) -> Denoise:
    """The network's x0 in the hole, one tile after the other; elsewhere 0, for it is known.

    poll: called before every tile, and for clips, whose tiles are large, before every convolution.
    """
    if work.loop:
        net.go_round()
    if net.settings.axes == 3:
        for part in net.modules():
            if isinstance(part, nn.Conv3d):
                part.register_forward_pre_hook(lambda *_: poll())
    hidden, denoisers = work.hole.float(), []
    for tile in work.tiles:
        known, unknown = (each[(..., *tile.outer)] for each in (work.known, hidden))
        denoisers.append(denoiser(net, training, known, unknown))

    def denoise(x: Tensor, t: int) -> Tensor:
        x0 = torch.zeros_like(x)
        for tile, one in zip(work.tiles, denoisers, strict=True):
            poll()
            x0[(..., *tile.inner)] = one(x[(..., *tile.outer)], t)[(..., *tile.within)]
        return x0

    def one_by_one(x: Tensor, t: int) -> Tensor:
        return torch.cat([denoise(each, t) for each in x.split(1)])

    return one_by_one if net.settings.axes == 3 else denoise


def blended(image: Tensor, share: Tensor, work: Work, x0: Tensor) -> Tensor:
    """(n, C, [T,] H, W): the image with its hole filled in the proportion of the mask."""
    filled = image.repeat(len(x0), *(1 for _ in image.shape[1:]))
    box = tuple(
        slice(int(p[0]), min(int(p[-1]) + 1, side))
        for p, side in zip(work.places, image.shape[2:], strict=True)
    )
    inside = filled[(slice(None), slice(x0.shape[1]), *box)]
    fill = work.picture(x0)[(..., *(slice(side) for side in inside.shape[2:]))].to(image.dtype)
    part = share[(..., *box)].to(image.dtype)
    mixed = torch.where(part >= 1, fill, inside + part * (fill - inside))
    inside.copy_(torch.where(part > 0, mixed, inside))
    return filled


def _mesh(indices: Sequence[Tensor]) -> list[Tensor]:
    """Each along an axis of its own."""
    count = len(indices)
    return [
        each.view(*[1] * axis, -1, *[1] * (count - 1 - axis)) for axis, each in enumerate(indices)
    ]


def _taken(values: Tensor, places: Sequence[Tensor]) -> Tensor:
    """Of (n, c, [T,] H, W) what lies at some places along each axis."""
    return values[(slice(None), slice(None), *_mesh(places))]


def _mirrored(side: int, multiple: int, device: torch.device) -> Tensor:
    """Places 0 to side - 1, and then back, up to the next multiple."""
    place = torch.arange(-(-side // multiple) * multiple, device=device)
    period = max(1, 2 * (side - 1))
    place = place % period
    return torch.minimum(place, period - place).clamp(max=side - 1)


def _seen(hole: Tensor, margins: Sequence[int], multiples: Sequence[int]) -> Box:
    """What is within some margins of the hole, out to whole pooling cells."""
    return tuple(
        slice(
            max(0, part.start - margin) // multiple * multiple,
            -(-min(part.stop + margin, side) // multiple) * multiple,
        )
        for part, margin, multiple, side in zip(
            extent(hole, 0), margins, multiples, hole.shape[2:], strict=True
        )
    )


def _tiles(
    hole: Tensor, margins: Sequence[int], network: NetworkSettings, loop: bool = False
) -> list[Tile]:
    """Tiles that together cover the hole, each around what of it lies in a part of its box."""
    tiles = []
    for part in product(*_parts(hole, margins, loop)):
        here = torch.zeros_like(hole)
        here[(..., *part)] = hole[(..., *part)]
        if not bool(here.any()):
            continue
        outer = _seen(here, margins, network.multiples)
        tiles.append(Tile(tuple(extent(here, 0)), outer))
    return tiles


def _parts(hole: Tensor, margins: Sequence[int], loop: bool) -> list[list[slice]]:
    """Equal parts of the hole's box along each axis: in pictures none is longer than a tile, in
    clips they are as large as fit."""
    whole = tuple(extent(hole, 0))
    if len(whole) == 3:
        counts = _cuts(whole, hole.shape[2:], margins, loop)
    else:
        counts = [-(-(part.stop - part.start) // TILE) for part in whole]
    return [_equal(part, count) for part, count in zip(whole, counts, strict=True)]


def _equal(part: slice, count: int) -> list[slice]:
    length = part.stop - part.start
    ends = [part.start + length * i // count for i in range(count + 1)]
    return [slice(low, high) for low, high in zip(ends, ends[1:], strict=False)]


def _cuts(whole: Box, size: Sequence[int], margins: Sequence[int], loop: bool) -> list[int]:
    """Into how many parts a clip's hole is cut along each axis: those that cost least, none of them
    smaller than its margin, for then most of a tile would be surroundings. A loop stays whole in
    time."""

    def outer(axis: int, count: int) -> list[int]:
        margin, parts = margins[axis], _equal(whole[axis], count)
        return [min(p.stop + margin, size[axis]) - max(p.start - margin, 0) for p in parts]

    def largest(counts: Sequence[int]) -> int:
        return math.prod(max(outer(axis, count)) for axis, count in enumerate(counts))

    def work(counts: Sequence[int]) -> int:
        return math.prod(sum(outer(axis, count)) for axis, count in enumerate(counts))

    counts = [1, 1, 1]
    while largest(counts) > VOXELS:
        options = [
            [count + (other == axis) for other, count in enumerate(counts)]
            for axis, part in enumerate(whole)
            if (part.stop - part.start) // (counts[axis] + 1) >= margins[axis]
            and not (loop and axis == 0)
        ]
        if not options:
            break
        counts = min(options, key=work)
    return counts
