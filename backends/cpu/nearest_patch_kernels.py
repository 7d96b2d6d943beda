"""The kernels of the patch search on the CPU.

Queries are scanned in stripes of a fixed height. Within a stripe every match is handed on at once,
as in the original method, so one pass carries a good match across the whole stripe; between stripes
the matches from before the pass are used. The result is the same for any number of threads.
"""

import numpy as np
from numba import uint32

from .compile import inline, jit
from .problem import source_begin, target_begin
from .simd import product, squared_difference


@inline
def _mix(x):
    """backends.random.mix."""
    x = uint32(x)
    x = uint32((x ^ (x >> uint32(16))) * uint32(0x7FEB352D))
    x = uint32((x ^ (x >> uint32(15))) * uint32(0x846CA68B))
    return uint32(x ^ (x >> uint32(16)))


@inline
def _score(p, y, x, sy, sx, limit):
    """Distance of query (y, x) to source patch (sy, sx), bias included; if over limit, any such."""
    c, size = p.channels, p.patch_size
    target_row, source_row = p.target_stride * c, p.source_stride * c
    at_target, at_source = target_begin(p, y, x), source_begin(p, sy, sx)
    here = sy * p.source_width + sx
    bias = np.float32(0.0)
    if p.bias.size:
        bias = p.bias[here]
    if p.similarity == 0:
        return bias + squared_difference(
            p.target, at_target, p.source, at_source,
            target_row, source_row, size * c, size, limit - bias,
        )  # fmt: skip
    inner = product(
        p.target, at_target, p.source, at_source, target_row, source_row, size * c, size
    )
    if p.similarity == 2:
        inner *= p.target_norms[y * p.width + x] * p.source_norms[here]
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
def _offer(p, y, x, slot, sy, sx):
    """Let source patch (sy, sx) compete for query (y, x), whose matches begin at `slot`."""
    if sy < p.top or sx < p.left or sy >= p.bottom or sx >= p.right:
        return
    if p.usable.size:
        if not p.usable[sy * p.source_width + sx]:
            return
    match = np.int32(sy << 16 | sx)
    for j in range(p.neighbours):
        if p.matches[slot + j] == match:
            return
    worst = p.scores[slot + p.neighbours - 1]
    score = _score(p, y, x, sy, sx, worst)
    if score < worst:
        _insert(p, slot, p.neighbours - 1, match, score)


@jit
def start(p, centres, count, first_row, end_row):
    """Give every query its first matches, all different, and score them.

    Matches already there are kept; the others (-1) are spread evenly over the usable patches from a
    random one on. centres: their list as y << 16 | x, or empty where it is the whole rectangle.
    """
    k, columns = p.neighbours, p.right - p.left
    for y in range(first_row, end_row):
        for x in range(p.width):
            slot = (y * p.width + x) * k
            if not p.active[y * p.width + x]:
                for j in range(k):
                    p.matches[slot + j] = -1
                    p.scores[slot + j] = np.inf
                continue
            draw = np.int64(_mix(_mix(p.seed ^ uint32(y)) ^ uint32(x))) * count >> 32
            for j in range(min(k, count)):
                match, rank = p.matches[slot + j], (draw + j * count // k) % count
                taken = match < 0
                for i in range(j):
                    taken |= p.matches[slot + i] == match
                while taken:
                    if centres.size:
                        match = centres[rank]
                    else:
                        match = np.int32(
                            (p.top + rank // columns) << 16 | (p.left + rank % columns)
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
                score = _score(p, y, x, match >> 16, match & 0xFFFF, np.float32(np.inf))
                _insert(p, slot, j, np.int32(match), score)
            for j in range(count, k):
                p.matches[slot + j] = -1


@jit
def plant(p, order, starts, queries, ends, first_leaf, end_leaf):
    """Let the patches of some leaves of the tree compete for the queries that descend to them."""
    for n in range(first_leaf, end_leaf):
        for q in range(ends[n - 1] if n else 0, ends[n]):
            query = np.int64(queries[q])
            y, x = query // p.width, query % p.width
            for i in range(starts[n], starts[n + 1]):
                match = np.int64(order[i])
                _offer(p, y, x, query * p.neighbours, match >> 16, match & 0xFFFF)


@jit
def sweep(p, forward, turn, radius, first_row, end_row, before):
    """One pass over the queries of some rows: propagation, then random search around the best.

    before: (width * neighbours,) the matches, when the pass began, of the row that comes before.
    """
    k, width = p.neighbours, p.width
    step = 1 if forward else -1
    for i in range(end_row - first_row):
        y = first_row + i if forward else end_row - 1 - i
        row_draw = _mix(_mix(p.seed + uint32(turn + 1)) ^ uint32(y))
        for i_x in range(width):
            x = i_x if forward else width - 1 - i_x
            if not p.active[y * width + x]:
                continue
            slot = (y * width + x) * k
            if i_x > 0:
                for j in range(k):
                    match = np.int64(p.matches[slot - step * k + j])
                    if match >= 0:
                        _offer(p, y, x, slot, match >> 16, (match & 0xFFFF) + step)
            for j in range(k):
                if i > 0:
                    match = np.int64(p.matches[slot - step * width * k + j])
                else:
                    match = np.int64(before[x * k + j])
                if match >= 0:
                    _offer(p, y, x, slot, (match >> 16) + step, match & 0xFFFF)
            best = np.int64(p.matches[slot])
            best_y, best_x = best >> 16, best & 0xFFFF
            reach = np.int64(radius)
            draw = _mix(row_draw ^ uint32(x))
            while reach >= 1:
                low_y, low_x = max(best_y - reach, p.top), max(best_x - reach, p.left)
                rows = min(best_y + reach, p.bottom - 1) - low_y + 1
                columns = min(best_x + reach, p.right - 1) - low_x + 1
                draw = _mix(draw + uint32(0x9E3779B9))
                high, low = np.int64(draw >> uint32(16)), np.int64(draw & uint32(0xFFFF))
                _offer(p, y, x, slot, low_y + (high * rows >> 16), low_x + (low * columns >> 16))
                reach >>= 1


@jit
def measure(p, first_row, end_row):
    """Replace the scores by the distances of the matches."""
    k = p.neighbours
    for y in range(first_row, end_row):
        for x in range(p.width):
            slot = (y * p.width + x) * k
            for j in range(k):
                match = np.int64(p.matches[slot + j])
                if match >= 0:
                    p.scores[slot + j] = _score(
                        p, y, x, match >> 16, match & 0xFFFF, np.float32(np.inf)
                    )
