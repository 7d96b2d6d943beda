"""The kernels of the patch search on the CPU, for pictures and clips.

Queries are scanned in stripes of a fixed height. Within a stripe every match is handed on at once,
as in the original method, so one pass carries a good match across the whole stripe; between stripes
the matches from before the pass are used. Frames are scanned likewise one after the other, in runs
of a fixed length. The result is the same for any number of threads.
"""

import numpy as np
from numba import uint32

from .compile import inline, jit
from .problem import (
    frame_and_row,
    pack,
    source_begin,
    source_pixel,
    target_begin,
    target_pixel,
    unpack,
)
from .simd_patches import product, product_in_time, squared_difference, squared_difference_in_time


@inline
def _mix(x):
    """backends.random.mix."""
    x = uint32(x)
    x = uint32((x ^ (x >> uint32(16))) * uint32(0x7FEB352D))
    x = uint32((x ^ (x >> uint32(15))) * uint32(0x846CA68B))
    return uint32(x ^ (x >> uint32(16)))


@inline
def _score(p, t, y, x, st, sy, sx, limit):
    """Distance of query (t, y, x) to source patch (st, sy, sx), bias included.

    If that is over the limit, any number that is not below it.
    """
    c, size = p.channels, p.patch_size
    target_row, source_row = p.target_stride * c, p.source_stride * c
    at_target, at_source = target_begin(p, t, y, x), source_begin(p, st, sy, sx)
    here = source_pixel(p, st, sy, sx)
    bias = np.float32(0.0)
    if p.bias.size:
        bias = p.bias[here]
    if p.similarity == 0:
        if len(p.clip):
            return bias + squared_difference_in_time(
                p.target, at_target, p.source, at_source, target_row, source_row, size * c, size,
                p.target_plane * c, p.source_plane * c, p.depth, limit - bias,
            )  # fmt: skip
        return bias + squared_difference(
            p.target, at_target, p.source, at_source,
            target_row, source_row, size * c, size, limit - bias,
        )  # fmt: skip
    if len(p.clip):
        inner = product_in_time(
            p.target, at_target, p.source, at_source, target_row, source_row, size * c, size,
            p.target_plane * c, p.source_plane * c, p.depth,
        )  # fmt: skip
    else:
        inner = product(
            p.target, at_target, p.source, at_source, target_row, source_row, size * c, size
        )
    if p.similarity == 2:
        inner *= p.target_norms[target_pixel(p, t, y, x)] * p.source_norms[here]
    return bias - inner


@inline
def _insert(p, slot, last, match, score):
    """Put a match into its place among the matches up to number `last`, which falls out."""
    j = last
    while j > 0 and score < p.scores[slot + j - 1]:
        p.scores[slot + j] = p.scores[slot + j - 1]
        p.matches[slot + j] = p.matches[slot + j - 1]
        j -= 1
    p.scores[slot + j] = score
    p.matches[slot + j] = match


@inline
def _offer(p, t, y, x, slot, st, sy, sx):
    """Let source patch (st, sy, sx) compete for query (t, y, x), whose matches begin at `slot`."""
    if sy < p.top or sx < p.left or sy >= p.bottom or sx >= p.right:
        return
    if len(p.clip):
        if st < p.front or st >= p.back:
            return
    if p.usable.size:
        if not p.usable[source_pixel(p, st, sy, sx)]:
            return
    match = pack(p, st, sy, sx)
    for j in range(p.neighbours):
        if p.matches[slot + j] == match:
            return
    worst = p.scores[slot + p.neighbours - 1]
    score = _score(p, t, y, x, st, sy, sx, worst)
    if score < worst:
        _insert(p, slot, p.neighbours - 1, match, score)


@jit
def start(p, centres, count, first_row, end_row):
    """Give every query its first matches, all different, and score them.

    Matches already there are kept; the others (-1) are spread evenly over the usable patches from a
    random one on. centres: their packed list, or empty where it is the whole box.
    """
    k, rows, columns = p.neighbours, p.bottom - p.top, p.right - p.left
    for row in range(first_row, end_row):
        t, y = frame_and_row(p, row)
        for x in range(p.width):
            slot = (row * p.width + x) * k
            if not p.active[row * p.width + x]:
                for j in range(k):
                    p.matches[slot + j] = -1
                    p.scores[slot + j] = np.inf
                continue
            draw = np.int64(_mix(_mix(p.seed ^ uint32(row)) ^ uint32(x))) * count >> 32
            for j in range(min(k, count)):
                match, rank = np.int64(p.matches[slot + j]), (draw + j * count // k) % count
                taken = match < 0
                for i in range(j):
                    taken |= p.matches[slot + i] == match
                while taken:
                    if centres.size:
                        match = np.int64(centres[rank])
                    else:
                        across = rank // columns
                        match = pack(
                            p,
                            p.front + across // rows,
                            p.top + across % rows,
                            p.left + rank % columns,
                        )
                    rank = (rank + 1) % count
                    taken = False
                    for i in range(j):
                        taken |= p.matches[slot + i] == match
                p.matches[slot + j] = match
            for j in range(k):
                p.scores[slot + j] = np.inf
            for j in range(min(k, count)):
                match = np.int64(p.matches[slot + j])
                st, sy, sx = unpack(p, match)
                score = _score(p, t, y, x, st, sy, sx, np.float32(np.inf))
                _insert(p, slot, j, match, score)
            for j in range(count, k):
                p.matches[slot + j] = -1


@jit
def plant(p, order, starts, queries, first_query, ends, first_leaf, end_leaf):
    """Let the patches of some leaves of the tree compete for the queries that descend to them.

    queries: counted from first_query on.
    """
    for n in range(first_leaf, end_leaf):
        for q in range(ends[n - 1] if n else 0, ends[n]):
            query = first_query + np.int64(queries[q])
            row, x = query // p.width, query % p.width
            t, y = frame_and_row(p, row)
            for i in range(starts[n], starts[n + 1]):
                st, sy, sx = unpack(p, np.int64(order[i]))
                _offer(p, t, y, x, query * p.neighbours, st, sy, sx)


@jit
def sweep(p, forward, turn, radius, first_row, end_row, before):
    """One pass over the queries of some rows of a frame: propagation, then random search around the
    best match.

    before: (width * neighbours,) the matches, when the pass began, of the row that comes before.
    The frame that comes before must not change meanwhile.
    """
    k, width = p.neighbours, p.width
    step = 1 if forward else -1
    for i in range(end_row - first_row):
        row = first_row + i if forward else end_row - 1 - i
        t, y = frame_and_row(p, row)
        frame_before = 0 <= t - step < p.frames
        row_draw = _mix(_mix(p.seed + uint32(turn + 1)) ^ uint32(row))
        for i_x in range(width):
            x = i_x if forward else width - 1 - i_x
            if not p.active[row * width + x]:
                continue
            slot = (row * width + x) * k
            if i_x > 0:
                for j in range(k):
                    match = np.int64(p.matches[slot - step * k + j])
                    if match >= 0:
                        st, sy, sx = unpack(p, match)
                        _offer(p, t, y, x, slot, st, sy, sx + step)
            for j in range(k):
                if i > 0:
                    match = np.int64(p.matches[slot - step * width * k + j])
                else:
                    match = np.int64(before[x * k + j])
                if match >= 0:
                    st, sy, sx = unpack(p, match)
                    _offer(p, t, y, x, slot, st, sy + step, sx)
            if len(p.clip) and frame_before:
                for j in range(k):
                    match = np.int64(p.matches[slot - step * p.height * width * k + j])
                    if match >= 0:
                        st, sy, sx = unpack(p, match)
                        _offer(p, t, y, x, slot, st + step, sy, sx)
            best_t, best_y, best_x = unpack(p, np.int64(p.matches[slot]))
            reach = np.int64(radius)
            draw = _mix(row_draw ^ uint32(x))
            while reach >= 1:
                low_y, low_x = max(best_y - reach, p.top), max(best_x - reach, p.left)
                rows = min(best_y + reach, p.bottom - 1) - low_y + 1
                columns = min(best_x + reach, p.right - 1) - low_x + 1
                draw = _mix(draw + uint32(0x9E3779B9))
                high, low = np.int64(draw >> uint32(16)), np.int64(draw & uint32(0xFFFF))
                st = best_t
                if len(p.clip):
                    st = max(best_t - reach, p.front)
                    frames = min(best_t + reach, p.back - 1) - st + 1
                    st += np.int64(_mix(draw + uint32(0x85EBCA6B))) * frames >> 32
                _offer(
                    p, t, y, x, slot, st, low_y + (high * rows >> 16), low_x + (low * columns >> 16)
                )
                reach >>= 1


@jit
def measure(p, first_row, end_row):
    """Replace the scores by the distances of the matches."""
    k = p.neighbours
    for row in range(first_row, end_row):
        t, y = frame_and_row(p, row)
        for x in range(p.width):
            slot = (row * p.width + x) * k
            for j in range(k):
                match = np.int64(p.matches[slot + j])
                if match >= 0:
                    st, sy, sx = unpack(p, match)
                    p.scores[slot + j] = _score(p, t, y, x, st, sy, sx, np.float32(np.inf))
