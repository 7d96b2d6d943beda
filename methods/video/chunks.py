"""Clips of any length, worked on in windows that overlap, in bounded memory.

A window begins with the last finished frames of the one before it, and these are known there: what
was put into their holes is carried on, not invented anew, and does not drift. Frames without a hole
are given on as they are; only those next to a hole are looked at. A window ends where its scene
does.
"""

import hashlib
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Protocol

import torch
from torch import Tensor

from .scenes import FLASH, SceneCuts

Pair = tuple[Tensor, Tensor]  # a frame (C, H, W) and its mask (1, H, W)
Carried = Mapping[str, Tensor] | None  # what a process wants to know in the next window
Process = Callable[[Tensor, Tensor, Carried], tuple[Tensor, Carried]]
CARRIED = "carried."


class Store(Protocol):
    """Where finished windows are kept while a clip is worked on."""

    def load(self, number: int) -> tuple[dict[str, Tensor], str] | None: ...

    def save(self, number: int, tensors: dict[str, Tensor], inputs: str) -> None: ...


def in_chunks(
    frames: Iterable[Pair],
    process: Process,
    *,
    length: int = 40,
    overlap: int = 8,
    fade: int = 0,
    scenes: Collection[int] | None = None,
    store: Store | None = None,
) -> Iterator[Tensor]:
    """Fill the holes of a stream of frames, window by window.

    frames: (frame (C, H, W) floating, mask (1, H, W) in [0, 1]) of one size, in order. Where a mask
        is exactly 0, and in all of a frame whose mask is nowhere above 0.5, the frame comes back
        bit for bit.
    process: is given a window (1, C, T, H, W) with its mask (1, 1, T, H, W) and what it returned
        besides for the window before, None at the start of a scene; it returns the filled window
        and what the next one shall know, tensors by name or None. T is at most `length`.
    length: frames of a window. overlap: of those, how many have been finished before and are known,
        and how many frames without a hole are looked at before and after those with one.
    fade: frames at the end of a window that the next one fills again, knowing what follows, and
        that pass from the one fill to the other; at most `overlap`, of which they are a part.
    scenes: numbers of the frames at which a scene begins; None: where `SceneCuts` finds it so, ()
        for none.
    store: keeps what is finished, so that a run that was broken off goes on there when it is given
        the same frames, with the same result.
    Yields the frames in order, each as soon as its window is finished; at most about 4 * length
    frames are held. Raises ValueError for frames of different sizes and numbers that do not fit.
    """
    if not 0 <= fade <= overlap < length:
        raise ValueError(
            f"fade {fade}, overlap {overlap} and length {length} do not fit; a window is longer "
            "than its overlap, and what is faded is a part of the overlap"
        )
    return _Chunks(process, length, overlap, fade, store).all(frames, scenes)


class _Chunks:
    """One run. past: the last finished frames. held: (frame, mask, fill) of those that the next
    window fills again. waiting: (frame, mask) of those to come. quiet: how many of the last ones
    that wait have no hole.
    """

    def __init__(self, process: Process, length: int, overlap: int, fade: int, store: Store | None):
        self.process, self.length, self.overlap, self.fade = process, length, overlap, fade
        self.store, self.number, self.seen = store, 0, hashlib.sha256()
        self.carried: Carried = None
        self.past: list[Tensor] = []
        self.held: list[tuple[Tensor, Tensor, Tensor]] = []
        self.waiting: list[tuple[Tensor, Tensor]] = []
        self.quiet = 0

    def all(self, frames: Iterable[Pair], scenes: Collection[int] | None) -> Iterator[Tensor]:
        marked = (
            _marked(_checked(frames), scenes) if scenes is not None else _seen(_checked(frames))
        )
        for frame, mask, begins in marked:
            if begins:
                yield from self.window(last=True)
                self.past, self.carried = [], None
            yield from self.take(frame, mask)
        yield from self.window(last=True)

    def take(self, frame: Tensor, mask: Tensor) -> Iterator[Tensor]:
        """A frame of the scene at work."""
        hole = bool((mask > 0.5).any())
        self.quiet = 0 if hole else self.quiet + 1
        if not hole and (self.quiet > self.overlap or not (self.waiting or self.held)):
            yield from self.window(last=True)
            self.past = self.kept([*self.past, frame])
            yield frame
            return
        self.waiting.append((frame, mask if hole else torch.zeros_like(mask)))
        if len(self.past) + len(self.held) + len(self.waiting) == self.length:
            yield from self.window(last=False)

    def kept(self, finished: list[Tensor]) -> list[Tensor]:
        """Of the finished frames those that the next window begins with."""
        return finished[max(len(finished) - self.overlap + len(self.held), 0) :]

    def window(self, last: bool) -> Iterator[Tensor]:
        """Fill what waits. last: the next frame, if there is one, does not go on from here."""
        if not self.waiting:  # nothing new is known of those that are held
            done, self.held = [fill for _, _, fill in self.held], []
            self.past = self.kept([*self.past, *done])
            yield from done
            return
        earlier, new = self.held, [(f, m) for f, m, _ in self.held] + self.waiting
        filled = self.filled(new)
        for index, (_, mask, fill) in enumerate(earlier):  # from the first fill to the second
            share = (index + 1) / (len(earlier) + 1)
            mixed = torch.lerp(fill, filled[index], share)
            filled[index] = torch.where(mask > 0, mixed, filled[index])
        again = 0 if last else min(self.fade, len(new))
        done, rest = filled[: len(new) - again], filled[len(new) - again :]
        self.held = [(*new[len(done) + i], fill) for i, fill in enumerate(rest)]
        self.waiting = []
        self.past = self.kept([*self.past, *done])
        yield from done

    def filled(self, new: list[tuple[Tensor, Tensor]]) -> list[Tensor]:
        """The frames with their holes filled, by the process or from the store."""
        holes = [mask > 0 for _, mask in new]
        if not any((mask > 0.5).any() for _, mask in new):
            return [frame for frame, _ in new]
        if self.store is not None:
            self.seen.update(b"begins" if self.carried is None else b"goes on")
            for tensor in (*self.past, *(each for pair in new for each in pair)):
                self.seen.update(tensor.cpu().contiguous().view(torch.uint8).numpy().data)
        inputs, number = self.seen.hexdigest(), self.number
        self.number += 1
        found = self.store.load(number) if self.store is not None else None
        if found is not None and found[1] == inputs:
            tensors = found[0]
            values = list(tensors["values"].split([int(hole.sum()) for hole in holes], 1))
            self.carried = _carried(tensors)
        else:
            clip = torch.stack([*self.past, *(frame for frame, _ in new)], 1)[None]
            known = torch.zeros_like(new[0][1])
            mask = torch.stack([known] * len(self.past) + [mask for _, mask in new], 1)[None]
            result, self.carried = self.process(clip, mask, self.carried)
            if result.shape != clip.shape:
                raise ValueError(
                    f"the process made {tuple(result.shape)} of a window of {tuple(clip.shape)}"
                )
            result = result[0, :, len(self.past) :].to(clip.dtype)
            values = [result[:, t, hole[0]] for t, hole in enumerate(holes)]
            if self.store is not None:
                kept = {CARRIED + name: value for name, value in (self.carried or {}).items()}
                self.store.save(number, {"values": torch.cat(values, 1)} | kept, inputs)
        return [
            _put(frame, hole, value)
            for (frame, _), hole, value in zip(new, holes, values, strict=True)
        ]


def _put(frame: Tensor, hole: Tensor, values: Tensor) -> Tensor:
    """`frame` with `values` (C, n) where `hole` (1, H, W) is true."""
    if not values.numel():
        return frame
    filled = frame.clone()
    filled[:, hole[0]] = values
    return filled


def _carried(tensors: Mapping[str, Tensor]) -> Carried:
    found = {
        name.removeprefix(CARRIED): value
        for name, value in tensors.items()
        if name.startswith(CARRIED)
    }
    return found or None


def _marked(
    frames: Iterable[Pair], scenes: Collection[int]
) -> Iterator[tuple[Tensor, Tensor, bool]]:
    """Every frame with its mask, and whether a scene begins there."""
    for number, (frame, mask) in enumerate(frames):
        yield frame, mask, number in scenes


def _seen(frames: Iterable[Pair]) -> Iterator[tuple[Tensor, Tensor, bool]]:
    """The same where the scenes have to be found: FLASH frames late, when it is certain."""
    cuts, found, late, number = SceneCuts(), set(), deque(), 0
    for frame, mask in frames:
        found.update(cuts.feed(frame))
        late.append((frame, mask))
        if len(late) > FLASH:
            yield *late.popleft(), number in found
            number += 1
    found.update(cuts.finish())
    while late:
        yield *late.popleft(), number in found
        number += 1


def _checked(frames: Iterable[Pair]) -> Iterator[Pair]:
    """The frames, each as large as the first one and its mask. Raises ValueError."""
    first: Tensor | None = None
    for number, (frame, mask) in enumerate(frames):
        if frame.dim() != 3 or mask.shape != (1, *frame.shape[-2:]):
            raise ValueError(
                f"frame {number} is {tuple(frame.shape)} and its mask {tuple(mask.shape)}, "
                "expected (C, H, W) and (1, H, W)"
            )
        first = frame if first is None else first
        if first.shape != frame.shape:
            raise ValueError(
                f"frame {number} is {tuple(frame.shape)}, the first one {tuple(first.shape)}; a "
                "clip keeps one size"
            )
        yield frame, mask
