"""What other frames show of the places in a hole: tracks along the motion, and what lies at their
ends."""

from collections import OrderedDict
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cached_property
from typing import Generic, TypeVar

import numpy as np
from torch import Tensor

from ..motion import flow_search
from .frames import grey_of, hidden_of
from .pair_motion import CELL, Frame, PairMotion, cell_means, pair_motion, read, read_cells
from .registration import Registration
from .smooth_fill import smooth_fill

RIM = 3  # pixels around a hole that are not read: what Lanczos needs around a point, nearly
BAND = 12  # pixels around the hole on which frames are compared
BAND_POINTS = 3000  # at most, of the band
BLOCK = 8  # pixels; side of the squares on which differences in the band are averaged
FEWEST = 30  # points of the band that have to be seen to say anything
AROUND = 2  # cells to each side over which contrast is measured
ALIKE = 8.0  # pixels within which colours are alike
GOOD = 0.03  # error, of a range of 1, with which a track is at its end
MORE = 6  # frames that a track looks further, after the first find, for a better one
UNEVEN = 0.04  # brightness may change by so much more or less in one place than over the whole
FULL = 8  # points of the band that a block needs to say how bright it is
FEWEST_BLOCKS = 12  # to say how much contrast there is
FAINT = 0.01  # contrast that says nothing
CHANCE = 0.015  # change of contrast that blocks show by chance
STRONGEST = 1.4  # change of contrast that is followed
UNKNOWN = 0.15  # error taken where nothing around the hole could be compared

Value = TypeVar("Value")


class _Recent(Generic[Value]):
    """What was made last, of at most `keep` frames. `lru_cache` around a method of an object would
    keep that object, clip and all, until the garbage collector runs."""

    def __init__(self, keep: int):
        self.keep, self.made = keep, OrderedDict[int, Value]()

    def get(self, t: int, make: Callable[[int], Value]) -> Value:
        if t not in self.made:
            self.made[t] = make(t)
            if len(self.made) > self.keep:
                self.made.popitem(last=False)
        self.made.move_to_end(t)
        return self.made[t]


class Sources:
    """One clip and what is measured of it, each thing when it is asked for and kept for a while.

    clip: (B, C, T, H, W), of which number `index` is meant. mask, avoid: (B or 1, 1, T or 1, H, W).
    cuts: the frames at which a scene begins.
    """

    def __init__(
        self, clip: Tensor, mask: Tensor, avoid: Tensor | None, index: int,
        registration: Registration, cuts: Collection[int], consistency: float, keep: int,
    ):  # fmt: skip
        self.clip, self.mask, self.avoid, self.index = clip, mask, avoid, index
        self.registration, self.cuts, self.consistency = registration, cuts, consistency
        self.frames, self.size = clip.shape[2], (clip.shape[3], clip.shape[4])
        self.search = flow_search(*self.size)
        self._usables, self._pairs = _Recent[np.ndarray](keep), _Recent[PairMotion](keep)
        self._changes, self._contrasts = _Recent[np.ndarray](keep), _Recent[np.ndarray](keep)

    def planes(self, t: int) -> np.ndarray:
        """(C, H, W) float32."""
        return self.clip[self.index, :, t].detach().float().cpu().numpy()

    def hidden(self, t: int) -> np.ndarray:
        """(H, W) uint8, 255 where nothing may be taken from or compared with."""
        return hidden_of(self.mask, self.avoid, self.index, t, self.size)

    @cached_property
    def range(self) -> tuple[np.ndarray, np.ndarray]:
        """The least and the greatest of what may be seen of the clip, (C,) each."""
        seen = [self.planes(t)[:, self.hidden(t) == 0] for t in range(self.frames)]
        low, high = (
            [pick(values, axis=1) for values in seen if values.size] for pick in (np.min, np.max)
        )
        if not low:
            return np.array([-np.inf]), np.array([np.inf])
        return np.min(low, axis=0), np.max(high, axis=0)

    def usable(self, t: int) -> np.ndarray:
        """(H, W) uint8, 1 where frame t can be read with all that Lanczos needs."""
        return self._usables.get(t, self._usable)

    def pair(self, t: int) -> PairMotion:
        """The motion from frame t to the next one."""
        return self._pairs.get(t, self._pair)

    def change(self, t: int) -> np.ndarray:
        """(h, w): mean squared difference of the places in frame t to the frames beside it."""
        return self._changes.get(t, self._change)

    def contrast(self, t: int) -> np.ndarray:
        """(h, w): the variance of brightness around every cell, continued into the hole."""
        return self._contrasts.get(t, self._contrast)

    def _usable(self, t: int) -> np.ndarray:
        import cv2

        rim = np.ones((2 * RIM + 1,) * 2, np.uint8)
        return (cv2.dilate(self.hidden(t), rim) == 0).astype(np.uint8)

    def _pair(self, t: int) -> PairMotion:
        matrices = self.registration.matrices
        both = [
            Frame(self.planes(u), grey_of(self.clip, self.index, u), self.hidden(u))
            for u in (t, t + 1)
        ]
        matrix = np.linalg.inv(matrices[t + 1]) @ matrices[t]
        return pair_motion(self.search, both[0], both[1], matrix, self.consistency)

    def _change(self, t: int) -> np.ndarray:
        total = weight = np.zeros(1, np.float32)
        if t > 0 and t not in self.cuts:
            before = self.pair(t - 1)
            total = total + before.change_after * before.weight_after
            weight = weight + before.weight_after
        if t < self.frames - 1 and t + 1 not in self.cuts:
            after = self.pair(t)
            total, weight = total + after.change * after.weight, weight + after.weight
        if not weight.any():
            cells = [-(-side // CELL) for side in self.size]
            return np.full(cells, UNKNOWN**2, np.float32)
        mean = total / np.maximum(weight, 1e-6)
        return smooth_fill(mean[..., None], np.minimum(1, weight))[..., 0]

    def _contrast(self, t: int) -> np.ndarray:
        import cv2

        grey = grey_of(self.clip, self.index, t).astype(np.float32)[..., None] / 255
        seen = self.usable(t) > 0
        weight = cell_means(seen.astype(np.float32)[..., None])[..., 0]
        moments = cell_means(np.concatenate([grey, grey**2], 2), seen) * weight[..., None]
        box = (2 * AROUND + 1,) * 2
        mass = cv2.blur(weight, box)
        mean, square = (cv2.blur(moments[..., k], box) / np.maximum(mass, 1e-6) for k in (0, 1))
        variance = np.maximum(square - mean**2, 0)
        return smooth_fill(variance[..., None], np.minimum(1, 4 * mass))[..., 0]

    def scene(self, t: int) -> tuple[int, int]:
        """The first and the last frame of the scene that frame t belongs to."""
        first = max((cut for cut in self.cuts if cut <= t), default=0)
        return first, min((cut for cut in self.cuts if cut > t), default=self.frames) - 1

    def move(self, points: np.ndarray, t: int, direction: int) -> np.ndarray:
        """Points of frame t in the frame after (1) or before (-1) it."""
        if direction > 0:
            return self.pair(t).onward(points)
        return self.pair(t - 1).back(points)

    def trust(self, points: np.ndarray, t: int, direction: int) -> np.ndarray:
        """(N,): whether the ways there and back agree around points of frame t."""
        trust = self.pair(t if direction > 0 else t - 1).trust[..., None]
        return read_cells(trust, points)[:, 0]

    def stray(self, points: np.ndarray, t: int, direction: int) -> np.ndarray:
        """(N,): pixels by which a step from points of frame t may miss."""
        spread = self.pair(t if direction > 0 else t - 1).spread[..., None]
        return np.sqrt(read_cells(spread, points)[:, 0])

    def can_be_read(self, points: np.ndarray, t: int) -> np.ndarray:
        """(N,) bool: points of frame t with nothing hidden around them."""
        place = points.round().astype(int)
        height, width = self.size
        inside = (place >= 0).all(1) & (place[:, 0] < width) & (place[:, 1] < height)
        place = place.clip(0, [width - 1, height - 1])
        return inside & (self.usable(t)[place[:, 1], place[:, 0]] > 0)


@dataclass
class Finds:
    """What lies at the ends of the tracks of N points, in one direction.

    values: (N, C). error: (N,), expected mean squared error, infinite where nothing was found.
    age: (N,), frames away. trust: (N,), of the flow on the way.
    """

    values: np.ndarray
    error: np.ndarray
    age: np.ndarray
    trust: np.ndarray


def follow(
    sources: Sources, t: int, points: np.ndarray, direction: int, end: int,
    band: np.ndarray, noise: float, poll: Callable[[], None],
) -> Finds:  # fmt: skip
    """Follow points (N, 2) float32 (x, y) of frame t up to frame `end`, to where they can be read.

    band: (M, 2), points around the hole, that can be seen in frame t: along with these it is
    measured how much brighter the other frames are, and how well they fit. noise: mean squared
    difference that two frames have by their grain alone.
    """
    count, channels = len(points), sources.clip.shape[1]
    finds = Finds(
        np.zeros((count, channels), np.float32),
        np.full(count, np.inf, np.float32),
        np.zeros(count, np.float32),
        np.zeros(count, np.float32),
    )
    colours = read(sources.planes(t), band, lanczos=False)
    number, at, beside = np.arange(count), points, band
    trust, stray = np.ones(count, np.float32), np.zeros(count, np.float32)
    waited = np.zeros(count, int)
    blocks = Blocks(points, band)
    for s in range(t + direction, end + direction, direction):
        if len(number) == 0:
            break
        poll()
        before = s - direction
        trust = np.minimum(trust, sources.trust(at, before, direction))
        stray = stray + sources.stray(at, before, direction)
        at = sources.move(at, before, direction)
        beside = sources.move(beside, before, direction)
        seen = sources.can_be_read(at, s)
        if seen.any():
            chosen, places = number[seen], at[seen]
            gain, shift, misfit = _compared(sources, s, colours, beside, blocks)
            error = read_cells(sources.change(s)[..., None], places)[:, 0]
            error = np.maximum(error, blocks.read(misfit, chosen)[:, 0])
            contrast = read_cells(sources.contrast(s)[..., None], places)[:, 0]
            missed = 2 * contrast * (1 - np.exp(-((stray[seen] / ALIKE) ** 2)))
            error = np.maximum(error - noise, 0) + missed
            better = error < finds.error[chosen]
            chosen, places = chosen[better], places[better]
            values = read(sources.planes(s), places, lanczos=True)
            finds.values[chosen] = gain * values + blocks.read(shift, chosen)
            finds.error[chosen], finds.age[chosen] = error[better], abs(s - t)
            finds.trust[chosen] = trust[seen][better]
        found = np.isfinite(finds.error[number])
        waited += found
        open_ = ~found | ((finds.error[number] > GOOD**2) & (waited < MORE))
        number, at, waited = number[open_], at[open_], waited[open_]
        trust, stray = trust[open_], stray[open_]
    return finds


class Blocks:
    """Averages over squares of BLOCK pixels of what is known in the band, carried into the hole."""

    def __init__(self, points: np.ndarray, band: np.ndarray):
        everything = np.concatenate([points, band])
        self.origin = np.floor(everything.min(0))
        extent = everything.max(0) - self.origin
        self.shape = (int(extent[1]) // BLOCK + 1, int(extent[0]) // BLOCK + 1)
        place = ((band - self.origin) // BLOCK).astype(int)
        self.of_band = place[:, 1] * self.shape[1] + place[:, 0]
        self.points = points

    def means(self, values: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """(h, w, C) of values (M, C) of the band with weights (M,)."""
        cells = self.shape[0] * self.shape[1]
        mass = np.bincount(self.of_band, weight, cells)
        sums = [np.bincount(self.of_band, weight * v, cells) for v in values.T]
        mean = np.stack(sums, 1) / np.maximum(mass, 1e-9)[:, None]
        sure = np.minimum(1, mass / 8).reshape(self.shape)
        return smooth_fill(
            mean.reshape(*self.shape, -1).astype(np.float32), sure.astype(np.float32)
        )

    def gain(self, colours: np.ndarray, there: np.ndarray, seen: np.ndarray) -> np.ndarray:
        """(C,): how much more contrast the band has in `colours` than in `there`, (M, C) each, as
        far as whole blocks say; 1 where they say nothing."""
        cells = self.shape[0] * self.shape[1]
        mass = np.bincount(self.of_band, seen, cells)
        full = mass >= FULL
        if full.sum() < FEWEST_BLOCKS:
            return np.ones(colours.shape[1])
        spread = []
        for values in (colours, there):
            sums = np.stack([np.bincount(self.of_band, seen * v, cells) for v in values.T], 1)
            spread.append((sums[full] / mass[full, None]).std(0))
        ratio = (spread[0] + FAINT) / (spread[1] + FAINT)
        certain = np.maximum(np.abs(ratio - 1) - CHANCE, 0) * np.sign(ratio - 1)
        return (1 + certain).clip(1 / STRONGEST, STRONGEST)

    def read(self, means: np.ndarray, chosen: np.ndarray) -> np.ndarray:
        """(N, C) at the chosen ones of the hole's points."""
        return read_cells(means, self.points[chosen] - self.origin.astype(np.float32), BLOCK)


def _compared(
    sources: Sources, s: int, colours: np.ndarray, beside: np.ndarray, blocks: Blocks
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What turns the colours of frame s into those of frame t around the hole, gain (C,) and, over
    blocks, shift (h, w, C); and how far they are apart then, (h, w, 1), mean squares."""
    channels = colours.shape[1]
    seen = sources.can_be_read(beside, s)
    if seen.sum() < FEWEST:
        unknown = np.full((*blocks.shape, 1), UNKNOWN**2, np.float32)
        return np.ones(channels), np.zeros((*blocks.shape, channels), np.float32), unknown
    there = read(sources.planes(s), beside, lanczos=True)
    gain = blocks.gain(colours, there, seen)
    apart = colours - gain * there
    middle = np.median(apart[seen], axis=0)
    spread = np.abs(apart - middle).mean(1)
    usual = 1.5 * np.median(spread[seen]) + 1e-3
    weight = seen / (1 + (spread / (2 * usual)) ** 2) ** 2
    overall = (apart * weight[:, None]).sum(0) / weight.sum()
    shift = blocks.means(apart - overall, weight).clip(-UNEVEN, UNEVEN) + overall
    rest = apart - shift.reshape(-1, channels)[blocks.of_band]
    misfit = blocks.means((rest**2).mean(1, keepdims=True), seen.astype(np.float32))
    return gain, shift.astype(np.float32), misfit
