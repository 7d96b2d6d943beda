"""Nearest patches on the CPU: PatchMatch with sequential scans from a k-d tree, in numba."""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor

from .. import patches, random
from ..eager.nearest_patch import MEMORY
from .kdtree import build, group_by_leaf
from .nearest_patch_kernels import measure, plant, start, sweep
from .problem import Problem
from .simd import SLACK
from .threads import run_pieces, stripes

STRIPE = 32  # rows; a piece of work, and a constant so that threads do not matter
FURTHEST = 1 << 15  # a match is kept as y << 16 | x

LEAST_PLANTED = 2048  # source patches; below, random starts do as well as a tree
LEAVES = 512  # of the tree; a piece of work
NEAR = 8  # pixels; the random search that is left to do after a tree
_TREES = {"fast": (4, 8), "best": (64, 12)}  # leaf size and components
_NONE = np.empty(0, np.float32)


def why_not(target: Tensor, source: Tensor, *, exact: bool = False, **_) -> str | None:
    if target.device.type != "cpu":
        return f"the images lie on {target.device}"
    if target.ndim != 4:
        return "it takes images, not clips"
    if exact:
        return "exhaustive search is a matrix product, which eager leaves to torch"
    if max(source.shape[2:]) > FURTHEST:
        return f"the source is over {FURTHEST} pixels wide or high"
    return None


def _as_bytes(image: Tensor) -> Tensor | None:
    """The picture as uint8 if every value is a multiple of 1/255 in [0, 1], else None."""
    flat = image.flatten()
    for part in (flat[:: 1 + len(flat) // 4096], image):  # most float pictures fail at once
        scaled = part * 255
        rounded = scaled.round()
        if not ((scaled - rounded).abs() < 1e-3).all() or rounded.min() < 0 or rounded.max() > 255:
            return None
    return rounded.to(torch.uint8)


def _flat(image: Tensor) -> np.ndarray:
    """(C, H, W) as a flat (H, W, C) array with room behind it for the vectors' last reads."""
    kind = np.uint8 if image.dtype == torch.uint8 else np.float32
    # numpy asks for huge pages, in which random reads of large pictures are faster
    out = torch.from_numpy(np.empty(image.numel() + SLACK, kind))
    channels, height, width = image.shape
    out[: image.numel()].view(height, width, channels).copy_(image.permute(1, 2, 0))
    out[image.numel() :] = 0
    return out.numpy()


def _norms(image: Tensor, patch_size: int) -> np.ndarray:
    """(C, H, W) padded -> flat reciprocal norms of all its patches; 0 for a patch of zeros."""
    squares = image.square().sum(0, keepdim=True)[None]
    ones = torch.ones(1, 1, patch_size, 1, dtype=squares.dtype)
    sums = torch.nn.functional.conv2d(
        torch.nn.functional.conv2d(squares, ones), ones.transpose(2, 3)
    ).clamp_min(0)
    return torch.where(sums > 0, sums.rsqrt(), sums).flatten().numpy()


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
    wrap, source_wrap = patches.flags(wrap, 2), patches.flags(source_wrap, 2, "source_wrap")
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
    found = []
    for b in range(len(target)):
        problem, room = _problem(
            target[b].detach().float(),
            source[b].detach().float(),
            patch_size,
            neighbours,
            similarity,
            wrap,
            source_wrap,
            active=None if target_mask is None else target_mask[b, 0],
            usable=None if usable is None else usable[b],
            bias=None if bias is None else bias[b, 0],
            positions=None if positions is None else positions[b],
            seed=seed,
        )
        planted = positions is None and radius is None and iterations > 0
        _search(problem, room, iterations, radius, _TREES[quality] if planted else None, poll)
        scale = 255.0**2 if problem.target.dtype == np.uint8 else 1.0
        found.append((torch.from_numpy(problem.matches), torch.from_numpy(problem.scores) / scale))
    matches, distances = (torch.stack(tensors) for tensors in zip(*found, strict=True))
    shape = (len(target), *target.shape[2:], neighbours)
    matches, distances = (t.view(shape).permute(0, 3, 1, 2) for t in (matches, distances))
    positions = torch.stack((matches >> 16, matches & 0xFFFF), 2)
    return torch.where(matches[:, :, None] >= 0, positions, -1), distances.contiguous()


def _problem(
    target: Tensor,
    source: Tensor,
    patch_size: int,
    neighbours: int,
    similarity: str,
    wrap: patches.Flags,
    source_wrap: patches.Flags,
    *,
    active: Tensor | None,
    usable: Tensor | None,
    bias: Tensor | None,
    positions: Tensor | None,
    seed: int,
) -> tuple[Problem, np.ndarray]:
    """One picture's search for the kernels, and the list of its usable patches (empty: all)."""
    (channels, height, width), source_size, half = target.shape, source.shape[1:], patch_size // 2
    if similarity == "l2" and bias is None and patch_size**2 * channels * 255**2 < 1 << 31:
        small_target, small_source = _as_bytes(target), _as_bytes(source)
        if small_target is not None and small_source is not None:
            target, source = small_target, small_source
    target = patches.pad(target, half, wrap)
    top, left = (0 if around else half for around in source_wrap)
    norms = (_NONE, _NONE)
    if similarity == "cosine":
        around = patches.pad(source, half, source_wrap)
        norms = _norms(target, patch_size), _norms(around, patch_size)
    source = patches.pad_torus(source, half, source_wrap)
    matches = np.full(height * width * neighbours, -1, np.int32)
    if positions is not None:
        given = positions.permute(2, 3, 0, 1).long()  # (H, W, k, 2)
        limits = torch.tensor(source_size)
        inside = (
            (given >= torch.tensor((top, left))) & (given < limits - torch.tensor((top, left)))
        ).all(-1)
        y, x = (given * inside[..., None]).unbind(-1)
        if usable is not None:
            inside &= usable[y, x]
        matches = torch.where(inside, y << 16 | x, -1).int().flatten().numpy()
    room = np.empty(0, np.int32)
    if usable is not None:
        y, x = usable.nonzero().int().unbind(1)
        room = (y << 16 | x).numpy()
    problem = Problem(
        target=_flat(target),
        target_stride=target.shape[2],
        source=_flat(source),
        source_stride=source.shape[2],
        up=top,
        aside=left,
        source_width=source_size[1],
        channels=channels,
        patch_size=patch_size,
        top=top,
        bottom=source_size[0] - top,
        left=left,
        right=source_size[1] - left,
        width=width,
        usable=np.empty(0, np.bool_) if usable is None else usable.flatten().numpy(),
        bias=_NONE if bias is None else bias.float().contiguous().flatten().numpy(),
        target_norms=norms[0],
        source_norms=norms[1],
        similarity=patches.SIMILARITIES.index(similarity),
        active=(torch.ones(height, width, dtype=torch.bool) if active is None else active)
        .contiguous()
        .flatten()
        .numpy(),
        neighbours=neighbours,
        matches=matches,
        scores=np.empty(height * width * neighbours, np.float32),
        seed=np.uint32(random.bits(seed)),
    )
    return problem, room


def _search(
    problem: Problem,
    room: np.ndarray,
    iterations: int,
    radius: int | None,
    tree: tuple[int, int] | None,
    poll: Callable[[], None] | None,
) -> None:
    """Fill the problem's matches and scores. tree: its leaves' size and components, if wanted."""
    row = problem.width * problem.neighbours
    height = len(problem.matches) // row
    active = problem.active.reshape(height, -1)
    everything = stripes(height, STRIPE)
    busy = [(first, end) for first, end in everything if active[first:end].any()]
    count = len(room) or (problem.bottom - problem.top) * (problem.right - problem.left)
    planted = bool(tree and problem.similarity == 0 and not problem.bias.size)
    planted &= count >= LEAST_PLANTED
    if tree and planted and problem.neighbours <= tree[0]:  # every leaf has matches enough
        problem.scores.fill(np.inf)
    else:
        run_pieces(partial(start, problem, room, count), everything, poll)
    if tree and planted:
        if not len(room):
            rows = np.arange(problem.top, problem.bottom, dtype=np.int32)
            columns = np.arange(problem.left, problem.right, dtype=np.int32)
            room = (rows[:, None] << 16 | columns).ravel()
        grown = build(problem, room, *tree)
        queries, ends = group_by_leaf(problem, grown, busy, poll)
        work = partial(plant, problem, grown.order, grown.starts, queries, ends)
        run_pieces(work, stripes(1 << grown.depth, LEAVES), poll)
        radius = NEAR
    matches = problem.matches.reshape(height, row)
    outside = np.full(row, -1, np.int32)
    if radius is None:
        radius = max(problem.bottom - problem.top, problem.right - problem.left)
    for turn in range(iterations):
        forward = turn % 2 == 0
        pieces = []
        for first, end in busy:
            before = first - 1 if forward else end
            pieces.append((first, end, matches[before].copy() if 0 <= before < height else outside))
        run_pieces(partial(sweep, problem, forward, turn, radius), pieces, poll)
    run_pieces(partial(measure, problem._replace(bias=_NONE)), busy, poll)
