"""A k-d tree over short descriptors of the source patches: a good first match for every query.

Descriptors are the leading principal components of the patches. The tree is balanced and implicit:
its leaves are equal runs of one array of patches, and a query is compared, in full, with the run
that it descends to. Neighbouring queries come to good matches in different leaves and PatchMatch
passes them on: together they get closer to the true nearest patch than either alone, and sooner
(after He & Sun 2012, "Computing nearest-neighbor fields via propagation-assisted kd-trees").
"""

from collections import namedtuple
from functools import partial

import numpy as np

from .. import random
from .compile import inline, jit
from .problem import Problem, frame_and_row, source_begin, target_begin, unpack
from .simd import SLACK
from .simd_patches import product, product_in_time
from .threads import run_pieces, stripes

SAMPLES = 50_000  # numbers that the principal components are computed from
POWER_STEPS = 4
FORKS = 4  # levels of the tree above the pieces that threads build

# dims and cuts belong to the inner nodes (the children of n are 2n + 1 and 2n + 2); order lists
# the patches leaf after leaf, starts[n] is where leaf n's begin; basis is flat, one row-major patch
# per component.
Tree = namedtuple("Tree", "basis components dims cuts order starts depth")


@inline
def _component(p, image, at, stride, plane, tree, d):
    """Component d of the patch of a flat image that begins at `at`; stride, plane in numbers."""
    length, size = p.patch_size * p.channels, p.patch_size
    whole = length * size
    if len(p.clip):
        return product_in_time(
            image, at, tree.basis, d * p.depth * whole,
            stride, length, length, size, plane, whole, p.depth,
        )  # fmt: skip
    return product(image, at, tree.basis, d * whole, stride, length, length, size)


@jit
def _describe(p, tree, patches, out, first, end):
    """The descriptors, one row each, of some of the source patches (packed)."""
    stride, plane = p.source_stride * p.channels, p.source_plane * p.channels
    for i in range(first, end):
        t, y, x = unpack(p, np.int64(patches[i]))
        at = source_begin(p, t, y, x)
        for d in range(tree.components):
            out[i, d] = _component(p, p.source, at, stride, plane, tree, d)


@inline
def halve(keys, order, first, end, middle):
    """Reorder order[first:end], and their keys alike, so that none before `middle` has a larger key
    than any from there on: quickselect."""
    low, high = first, end - 1
    while low < high:
        pivot, i, j = keys[(low + high) // 2], low, high
        while i <= j:
            while keys[i] < pivot:
                i += 1
            while keys[j] > pivot:
                j -= 1
            if i <= j:
                keys[i], keys[j] = keys[j], keys[i]
                order[i], order[j] = order[j], order[i]
                i += 1
                j -= 1
        if middle <= j:
            high = j
        elif middle >= i:
            low = i
        else:
            break


@jit
def _split(descriptors, tree, keys, root, root_first, root_end, root_level, depth, todo):
    """Build the subtree below `root`, down to level `depth`, on order[root_first:root_end]."""
    order = tree.order
    todo[0] = (root, root_first, root_end, root_level)
    waiting = 1
    while waiting:
        waiting -= 1
        node, first, end, level = todo[waiting]
        if level == depth:
            continue
        stride = max(1, (end - first) // 64)
        widest, spread = 0, np.float32(-1)
        for d in range(tree.components):
            total = squares = np.float32(0)
            count = 0
            for i in range(first, end, stride):
                value = descriptors[order[i], d]
                total += value
                squares += value * value
                count += 1
            variance = squares / count - (total / count) ** 2
            if variance > spread:
                widest, spread = d, variance
        for i in range(first, end):
            keys[i] = descriptors[order[i], widest]
        middle = (first + end) // 2
        halve(keys, order, first, end, middle)
        tree.dims[node] = widest
        tree.cuts[node] = keys[middle]
        todo[waiting] = (2 * node + 1, first, middle, level + 1)
        todo[waiting + 1] = (2 * node + 2, middle, end, level + 1)
        waiting += 2


@jit
def _descend(p, tree, leaves, first_leaves, first_row, end_row, descriptor):
    """The leaf of every active query of some rows; descriptor: (components,) scratch.

    first_leaves: the row that the leaves begin with.
    """
    stride, plane = p.target_stride * p.channels, p.target_plane * p.channels
    for row in range(first_row, end_row):
        t, y = frame_and_row(p, row)
        for x in range(p.width):
            if not p.active[row * p.width + x]:
                continue
            at = target_begin(p, t, y, x)
            for d in range(tree.components):
                descriptor[d] = _component(p, p.target, at, stride, plane, tree, d)
            node = 0
            for _ in range(tree.depth):
                if descriptor[tree.dims[node]] < tree.cuts[node]:
                    node = 2 * node + 1
                else:
                    node = 2 * node + 2
            leaves[(row - first_leaves) * p.width + x] = node + 1 - (1 << tree.depth)


@jit
def _group(leaves, ends, queries):
    """Sort the queries by leaf; leaf n's are queries[ends[n - 1] : ends[n]] afterwards.

    ends: zeros, one more than there are leaves. leaves: -1 = not a query.
    """
    for query in range(len(leaves)):
        if leaves[query] >= 0:
            ends[leaves[query] + 1] += 1
    for n in range(1, len(ends)):
        ends[n] += ends[n - 1]
    for query in range(len(leaves)):
        leaf = leaves[query]
        if leaf >= 0:
            queries[ends[leaf]] = query
            ends[leaf] += 1


def group_by_leaf(problem: Problem, tree: Tree, rows: list[tuple[int, int]], poll):
    """Which queries of some rows descend to which leaf: the queries, counted from the first of the
    first row on, leaf after leaf, and where each leaf's end.

    Taken leaf by leaf, the few patches of a leaf stay in the cache for all the queries that want
    them; in the order of the picture every query would fetch them from far away.
    """
    first, end = rows[0][0], rows[-1][1]
    leaves = np.full((end - first) * problem.width, -1, np.int32)
    pieces = [(*piece, np.empty(tree.components, np.float32)) for piece in rows]
    run_pieces(partial(_descend, problem, tree, leaves, first), pieces, poll)
    ends = np.zeros((1 << tree.depth) + 1, np.int32)
    queries = np.empty(np.count_nonzero(leaves >= 0), np.int32)
    _group(leaves, ends, queries)
    return queries, ends


def build(problem: Problem, room: np.ndarray, leaf_size: int, components: int, poll) -> Tree:
    """The tree of the source patches `room` (packed), leaves of about leaf_size patches."""
    depth = max(0, int(np.log2(max(1, len(room) / leaf_size))))
    tree = Tree(
        _principal_components(problem, room, components),
        components,
        np.zeros(1 << depth, np.int32),
        np.zeros(1 << depth, np.float32),
        np.arange(len(room), dtype=np.int32),
        _leaf_starts(len(room), depth),
        depth,
    )
    descriptors = np.empty((len(room), components), np.float32)
    pieces = stripes(len(room), 1 << 14)
    run_pieces(partial(_describe, problem, tree, room, descriptors), pieces, poll)
    keys = np.empty(len(room), np.float32)
    fork = min(FORKS, depth)
    _split(descriptors, tree, keys, 0, 0, len(room), 0, fork, _todo(depth))
    branches = [(0, 0, len(room))]
    for _ in range(fork):
        halves = [(n, first, (first + end) // 2, end) for n, first, end in branches]
        branches = [(2 * n + 1, first, middle) for n, first, middle, _ in halves]
        branches += [(2 * n + 2, middle, end) for n, _, middle, end in halves]
    run_pieces(
        lambda *branch: _split(descriptors, tree, keys, *branch, fork, depth, _todo(depth)),
        branches,
        poll,
    )
    return tree._replace(order=room[tree.order])


def _leaf_starts(count: int, depth: int) -> np.ndarray:
    """Where the leaves begin, and `count`: halves of halves, rounded as the splits round."""
    bounds = np.array([0, count])
    for _ in range(depth):
        middles = (bounds[:-1] + bounds[1:]) // 2
        bounds = np.insert(bounds, np.arange(1, len(bounds)), middles)
    return bounds.astype(np.int32)


def _todo(depth: int) -> np.ndarray:
    return np.empty((depth + 2, 4), np.int64)


def _principal_components(problem: Problem, room: np.ndarray, components: int) -> np.ndarray:
    """Flat orthonormal directions along which a sample of the source patches varies most.

    By power iteration; no BLAS, whose last bits would depend on the number of threads.
    """
    size, length = problem.patch_size, problem.patch_size * problem.channels
    count = max(64, SAMPLES // (problem.depth * size * length))
    some = room[np.linspace(0, len(room) - 1, min(count, len(room))).astype(np.int64)]
    corner = source_begin.py_func(problem, *unpack.py_func(problem, some.astype(np.int64)))
    frames, rows = np.arange(problem.depth)[:, None, None], np.arange(size)[:, None]
    pixels = frames * problem.source_plane + rows * problem.source_stride
    inside = pixels * problem.channels + np.arange(length)
    sample = problem.source[corner[:, None] + inside.ravel()].astype(np.float64)
    sample -= sample.mean(0)
    basis = random.normal((sample.shape[1], components), seed=0).double().numpy()
    for _ in range(POWER_STEPS):
        basis = np.einsum("nd,nk->dk", sample, np.einsum("nd,dk->nk", sample, basis))
        for k in range(components):  # Gram-Schmidt
            basis[:, k] -= basis[:, :k] @ (basis[:, :k].T @ basis[:, k])
            basis[:, k] /= max(np.sqrt((basis[:, k] ** 2).sum()), 1e-30)
    return np.append(basis.T.ravel(), np.zeros(SLACK)).astype(np.float32)
