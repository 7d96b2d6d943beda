"""Nearest patches on the CPU: PatchMatch with sequential scans from a k-d tree, in numba.

One search serves pictures and clips: a picture is a clip of one frame with patches one frame deep.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor

from .. import patches, random
from ..eager.nearest_patch import MEMORY
from .kdtree import build, group_by_leaf
from .layout import flat, holds_bytes, norms
from .nearest_patch_kernels import measure, plant, start, sweep
from .problem import Problem, pack, unpack
from .threads import frame_stripes, run_pieces, stripes

STRIPE = 32  # rows; a piece of work, and a constant so that threads do not matter
RUN = 16  # frames that matches are handed on through in one pass
WORK = 1 << 18  # matches of a clip that one piece improves, and fewer rows if they are more
NARROW = 31  # bits of a match that is kept in 32

LEAST_PLANTED = 2048  # source patches; below, random starts do as well as a tree
MOST_PLANTED = 1 << 22  # of a clip, evenly taken: the patches between them are found by propagation
GROUPED = 1 << 23  # queries that are sorted by leaf at a time
OFFERS = 1 << 21  # matches offered in one piece of work
NEAR = 8  # pixels; the random search that is left to do after a tree
_TREES = {"fast": (4, 8), "best": (64, 12)}  # leaf size and components
_NONE = np.empty(0, np.float32)


def why_not(target: Tensor, source: Tensor, *, exact: bool = False, **_) -> str | None:
    if target.device.type != "cpu":
        return f"the images lie on {target.device}"
    if exact:
        return "exhaustive search is a matrix product, which eager leaves to torch"
    return None


def nearest_patch(
    target: Tensor,
    source: Tensor,
    *,
    patch_size: int,
    neighbours: int = 1,
    iterations: int = 5,
    similarity: str = "l2",
    exact: bool = False,
    target_mask: Tensor | None = None,
    source_mask: Tensor | None = None,
    bias: Tensor | None = None,
    wrap: tuple[bool, ...] = (False, False),
    source_wrap: tuple[bool, ...] = (False, False),
    positions: Tensor | None = None,
    radius: int | None = None,
    quality: str = "fast",
    seed: int = 0,
    memory: int = MEMORY,
    poll: Callable[[], None] | None = None,
) -> tuple[Tensor, Tensor]:
    """See backends.eager.nearest_patch.nearest_patch. Results do not depend on the thread count."""
    axes, size = target.ndim - 2, target.shape[2:]
    wrap = patches.flags(wrap, axes)
    source_wrap = patches.flags(source_wrap, axes, "source_wrap")
    patches.check(
        target,
        source,
        patch_size=patch_size,
        neighbours=neighbours,
        iterations=iterations,
        similarity=similarity,
        quality=quality,
        radius=radius,
        target_mask=target_mask,
        source_mask=source_mask,
        bias=bias,
        wrap=wrap,
        source_wrap=source_wrap,
        positions=positions,
    )
    usable = None
    if source_mask is not None:
        usable = patches.source_centres(source, source_mask, patch_size, source_wrap)

    def clip(values: Tensor) -> Tensor:
        return values if axes == 3 else values.unsqueeze(-3)

    found = torch.empty((len(target), neighbours, axes, *size), dtype=torch.int32)
    distances = torch.empty((len(target), neighbours, *size), dtype=torch.float32)
    planted = positions is None and radius is None and iterations > 0
    for b in range(len(target)):
        allowed = None if usable is None else clip(usable[b])
        problem = _problem(
            clip(target[b].detach()),
            clip(source[b].detach()),
            axes == 3,
            patch_size,
            neighbours,
            similarity,
            (False,) * (3 - axes) + wrap,
            (False,) * (3 - axes) + source_wrap,
            active=None if target_mask is None else target_mask[b, 0],
            bias=None if bias is None else bias[b, 0],
            usable=allowed,
            seed=seed,
        )
        if positions is not None:
            _begin_at(problem, clip(positions[b]), allowed)
        room = _listed(problem, allowed)
        _search(problem, room, iterations, radius, _TREES[quality] if planted else None, poll)
        scale = 255.0**2 if problem.target.dtype == np.uint8 else 1.0
        # what the answer does not need goes first: of a clip, all of it is large
        problem = problem._replace(target=_NONE, source=_NONE, active=_NONE, usable=_NONE)
        _answer(problem, scale, clip(found[b]), clip(distances[b]))
    return found, distances


def _problem(
    target: Tensor,
    source: Tensor,
    is_clip: bool,
    patch_size: int,
    neighbours: int,
    similarity: str,
    wrap: patches.Flags,
    source_wrap: patches.Flags,
    *,
    active: Tensor | None,
    bias: Tensor | None,
    usable: Tensor | None,
    seed: int,
) -> Problem:
    """The search between two clips (C, T, H, W) for the kernels, its matches all -1."""
    channels, frames, height, width = target.shape
    half, depth = patch_size // 2, patch_size if is_clip else 1
    most = depth * patch_size**2 * channels * 255**2
    as_bytes = similarity == "l2" and bias is None and most < 1 << 31
    as_bytes = as_bytes and holds_bytes(target) and holds_bytes(source)
    numbers, stride, plane = flat(target, depth, patch_size, wrap, patches.pad, as_bytes)
    pool, source_stride, source_plane = flat(
        source, depth, patch_size, source_wrap, patches.pad_torus, as_bytes
    )
    lengths = (_NONE, _NONE)
    if similarity == "cosine":
        lengths = (
            norms(target, depth, patch_size, wrap),
            norms(source, depth, patch_size, source_wrap),
        )
    reach = zip((depth // 2, half, half), source_wrap, strict=True)
    front, top, left = (0 if around else r for r, around in reach)
    deep, high, wide = source.shape[1:]
    bits = [(n - 1).bit_length() for n in (deep, high, wide)]
    count = frames * height * width
    return Problem(
        clip=(True,) if is_clip else (),
        target=numbers,
        target_stride=stride,
        target_plane=plane,
        source=pool,
        source_stride=source_stride,
        source_plane=source_plane,
        ahead=front,
        up=top,
        aside=left,
        source_height=high,
        source_width=wide,
        channels=channels,
        patch_size=patch_size,
        depth=depth,
        front=front,
        back=deep - front,
        top=top,
        bottom=high - top,
        left=left,
        right=wide - left,
        frames=frames,
        height=height,
        width=width,
        row_bits=bits[1],
        column_bits=bits[2],
        usable=np.empty(0, np.bool_) if usable is None else usable.flatten().numpy(),
        bias=_NONE if bias is None else bias.float().contiguous().flatten().numpy(),
        target_norms=lengths[0],
        source_norms=lengths[1],
        similarity=patches.SIMILARITIES.index(similarity),
        active=np.ones(count, np.bool_) if active is None else active.flatten().numpy(),
        neighbours=neighbours,
        matches=np.full(count * neighbours, -1, np.int32 if sum(bits) <= NARROW else np.int64),
        scores=np.empty(count * neighbours, np.float32),
        seed=np.uint32(random.bits(seed)),
    )


def _begin_at(problem: Problem, positions: Tensor, usable: Tensor | None) -> None:
    """Take over the positions (k, 3 or 2, T, H, W) that are usable as the problem's matches."""
    shape = (problem.frames, problem.height, problem.width, problem.neighbours)
    matches = torch.from_numpy(problem.matches).view(shape)
    low = torch.tensor((problem.front, problem.top, problem.left))
    high = torch.tensor((problem.back, problem.bottom, problem.right))
    for t in range(problem.frames):
        given = positions[:, :, t].permute(2, 3, 0, 1).long()
        given = torch.nn.functional.pad(given, (3 - given.shape[3], 0))  # (H, W, k, 3)
        inside = ((given >= low) & (given < high)).all(-1)
        place = (given * inside[..., None]).unbind(-1)
        if usable is not None:
            inside &= usable[place]
        matches[t] = torch.where(inside, pack.py_func(problem, *place), -1)


def _listed(problem: Problem, usable: Tensor | None) -> np.ndarray:
    """The usable source patches, packed; empty where they fill the box."""
    if usable is None:
        return np.empty(0, problem.matches.dtype)
    room, count = np.empty(int(usable.sum()), problem.matches.dtype), 0
    for t, frame in enumerate(usable):
        some = pack.py_func(problem, t, *frame.nonzero().unbind(1))
        room[count : count + len(some)] = some
        count += len(some)
    return room


def _to_plant(problem: Problem, room: np.ndarray, count: int) -> np.ndarray:
    """The source patches, packed, that the tree is built of, out of all `count` of them."""
    apart = -(-count // MOST_PLANTED) if problem.clip else 1
    if len(room):
        return room[::apart]
    rows, columns = problem.bottom - problem.top, problem.right - problem.left
    across, x = np.divmod(np.arange(0, count, apart), columns)
    t, y = problem.front + across // rows, problem.top + across % rows
    return pack.py_func(problem, t, y, problem.left + x).astype(problem.matches.dtype)


def _search(
    problem: Problem,
    room: np.ndarray,
    iterations: int,
    radius: int | None,
    tree: tuple[int, int] | None,
    poll: Callable[[], None] | None,
) -> None:
    """Fill the problem's matches and scores. tree: its leaves' size and components, if wanted."""
    height, row = problem.height, problem.width * problem.neighbours
    active = problem.active.reshape(-1, problem.width)
    stripe = max(1, min(STRIPE, WORK // row)) if problem.clip else STRIPE
    everything = frame_stripes(problem.frames, height, stripe)
    busy = [(first, end) for first, end in everything if active[first:end].any()]
    spans = [
        high - low
        for low, high in (
            (problem.front, problem.back),
            (problem.top, problem.bottom),
            (problem.left, problem.right),
        )
    ]
    count = len(room) or int(np.prod(spans))
    planted = bool(tree and problem.similarity == 0 and not problem.bias.size)
    planted &= count >= LEAST_PLANTED
    if tree and planted and problem.neighbours <= tree[0]:  # every leaf has matches enough
        problem.scores.fill(np.inf)
    else:
        run_pieces(partial(start, problem, room, count), everything, poll)
    if tree and planted:
        _plant(problem, _to_plant(problem, room, count), tree, busy, poll)
        radius = NEAR
    radius = max(spans) if radius is None else radius
    for turn in range(iterations):
        _pass(problem, turn, radius, busy, poll)
    run_pieces(partial(measure, problem._replace(bias=_NONE)), busy, poll)


def _plant(
    problem: Problem,
    room: np.ndarray,
    tree: tuple[int, int],
    busy: list[tuple[int, int]],
    poll: Callable[[], None] | None,
) -> None:
    """Give every query the best patches of the leaf that it descends to."""
    grown = build(problem, room, *tree, poll)
    leaves = 1 << grown.depth
    while busy:
        last = busy[0][0] + max(1, GROUPED // problem.width)
        some = [piece for piece in busy if piece[0] < last]
        busy = busy[len(some) :]
        queries, ends = group_by_leaf(problem, grown, some, poll)
        first = some[0][0] * problem.width
        work = partial(plant, problem, grown.order, grown.starts, queries, first, ends)
        each = max(1, min(512, OFFERS * leaves // max(1, len(queries) * tree[0])))
        run_pieces(work, stripes(leaves, each), poll)


def _pass(
    problem: Problem,
    turn: int,
    radius: int,
    busy: list[tuple[int, int]],
    poll: Callable[[], None] | None,
) -> None:
    """One pass of propagation and random search over all queries.

    Every RUN-th frame is worked on at a time, so that the frames before them stand still.
    """
    height, forward = problem.height, turn % 2 == 0
    matches = problem.matches.reshape(-1, problem.width * problem.neighbours)
    outside = np.full(matches.shape[1], -1, matches.dtype)
    for place in range(min(RUN, problem.frames)):
        now = place if forward else min(RUN, problem.frames) - 1 - place
        pieces = []
        for first, end in busy:
            if first // height % RUN == now:
                inside = first % height if forward else end % height
                before = first - 1 if forward else end
                pieces.append((first, end, matches[before].copy() if inside else outside))
        run_pieces(partial(sweep, problem, forward, turn, radius), pieces, poll)


def _answer(problem: Problem, scale: float, positions: Tensor, distances: Tensor) -> None:
    """Write the matches to positions (k, axes, T, H, W), the scores / scale to (k, T, H, W)."""
    shape = (problem.frames, problem.height, problem.width, problem.neighbours)
    matches, scores = (
        torch.from_numpy(numbers).view(shape).movedim(3, 0)
        for numbers in (problem.matches, problem.scores)
    )
    for t in range(problem.frames):
        places = unpack.py_func(problem, matches[:, t])
        for axis, place in enumerate(places[-positions.shape[1] :]):
            positions[:, axis, t] = torch.where(matches[:, t] >= 0, place, -1)
        distances[:, t] = scores[:, t] / scale
