"""The kernels of patch similarity and of attention to found keys, for images and clips alike.

Sizes are (T, H, W), T = 1 for images; a patch is `deep` pixels in time (1 for images) and
`patch_size` in space. Images are flat (t, y, x, channel) arrays with SLACK behind them; those of
the queries are padded by half a patch, so that the patch around pixel p begins at p. Positions are
(n, axes, pixels), absolute, -1 = none; numbers of pairs are j * pixels + i for neighbour j of query
i. A piece of work is some rows of its result, a row being a line of a frame.
"""

import numpy as np

from .compile import inline, jit
from .simd_patches import product, squared_difference
from .simd_rows import add_scaled


@inline
def _key_begin(positions, j, i, patch_size, deep, size, channels):
    """Where in the flat keys the patch of neighbour j of query i begins."""
    axes = positions.shape[1]
    y = np.int64(positions[j, axes - 2, i]) - patch_size // 2
    x = np.int64(positions[j, axes - 1, i]) - patch_size // 2
    t = np.int64(positions[j, 0, i]) - deep // 2 if axes == 3 else 0
    return ((t * size[1] + y) * size[2] + x) * channels


@jit
def similarity(
    q, size, k, key_size, positions, channels, patch_size, deep, kind, out, first_row, end_row
):
    """out (n, pixels): similarities of the pairs of some rows of queries. kind: as in patches."""
    _, height, width = size
    row = (width + patch_size - 1) * channels
    plane = (height + patch_size - 1) * row
    key_row = key_size[2] * channels
    key_plane = key_size[1] * key_row
    length, none = patch_size * channels, np.float32(np.inf)
    for line in range(first_row, end_row):
        for x in range(width):
            i = line * width + x
            a = line // height * plane + line % height * row + x * channels
            square = np.float32(0)
            if kind == 2:
                for d in range(deep):
                    at = a + d * plane
                    square += product(q, at, q, at, row, row, length, patch_size)
            for j in range(positions.shape[0]):
                if positions[j, 0, i] < 0:
                    out[j, i] = -none
                    continue
                b = _key_begin(positions, j, i, patch_size, deep, key_size, channels)
                total, key_square = np.float32(0), np.float32(0)
                for d in range(deep):
                    at, there = a + d * plane, b + d * key_plane
                    if kind == 0:
                        total -= squared_difference(
                            q, at, k, there, row, key_row, length, patch_size, none
                        )
                        continue
                    total += product(q, at, k, there, row, key_row, length, patch_size)
                    if kind == 2:
                        key_square += product(
                            k, there, k, there, key_row, key_row, length, patch_size
                        )
                if kind == 2:
                    lengths = np.sqrt(square) * np.sqrt(key_square)
                    total = total / lengths if lengths > 0 else np.float32(0)
                out[j, i] = total


@jit
def invert(positions, key_size, starts, order):
    """For each key, the numbers of the pairs whose position it is: those of key number c are
    order[starts[c] : starts[c + 1]], rising. starts: (keys + 2,) zeros."""
    neighbours, axes, pixels = positions.shape
    for turn in range(2):
        for j in range(neighbours):
            for i in range(pixels):
                if positions[j, 0, i] < 0:
                    continue
                key = np.int64(positions[j, 0, i])
                for axis in range(1, axes):
                    key = key * key_size[3 - axes + axis] + positions[j, axis, i]
                if turn == 0:
                    starts[key + 2] += 1
                else:
                    order[starts[key + 1]] = j * pixels + i
                    starts[key + 1] += 1
        if turn == 0:
            for key in range(2, len(starts)):
                starts[key] += starts[key - 1]


@jit
def spread(
    out, size, patch_size, deep, lift, cells, starts, begins, weights,
    other, other_row, other_plane, channels, first_row, end_row,
):  # fmt: skip
    """out (t, y, x, channel) of `size`: add to the patches of each cell, times its weight, every
    patch of `other` in the cell's list.

    Cells form a grid; cell c owns the patch that begins at c - lift, lift being (t, y and x). Its
    list: where patches begin in `other` (pixels) and weights, from starts[c] to starts[c + 1].
    """
    _, height, width = size
    lift_t, lift_x = lift
    length = patch_size * channels
    for line in range(first_row, end_row):
        t, y = line // height, line % height
        for d in range(deep):
            from_t = t - d + lift_t
            if t < d or from_t >= cells[0] - lift_t:
                continue
            for r in range(patch_size):
                from_y = y - r + lift_x
                if y < r or from_y >= cells[1] - lift_x:
                    continue
                step = d * other_plane + r * other_row
                for x in range(width - patch_size + 1):
                    cell = (from_t * cells[1] + from_y) * cells[2] + x + lift_x
                    at = (line * width + x) * channels
                    for s in range(starts[cell], starts[cell + 1]):
                        weight = weights[s]
                        if weight != 0:
                            there = begins[s] * channels + step
                            add_scaled(out, at, other, there, length, weight)


@inline
def _value(positions, j, i, key_size, dt, dy, dx):
    """Which value neighbour j of query i means to the query that lies dt, dy, dx back from i; -1
    for none."""
    axes = positions.shape[1]
    if positions[j, 0, i] < 0:
        return -1
    y = np.int64(positions[j, axes - 2, i]) - dy
    x = np.int64(positions[j, axes - 1, i]) - dx
    t = np.int64(positions[j, 0, i]) - dt if axes == 3 else 0
    if t < 0 or y < 0 or x < 0 or t >= key_size[0] or y >= key_size[1] or x >= key_size[2]:
        return -1
    return (t * key_size[1] + y) * key_size[2] + x


@jit
def gather(
    logits, positions, values, size, key_size, channels, window, deep, out, log_sum,
    first_row, end_row,
):  # fmt: skip
    """out (pixels, channels, flat) and log_sum (pixels) of some rows of queries."""
    frames, height, width = size
    half, back = window // 2, deep // 2
    nothing = np.float32(-np.inf)
    for line in range(first_row, end_row):
        t, y = line // height, line % height
        for x in range(width):
            here = line * width + x
            at = here * channels
            for c in range(channels):
                out[at + c] = 0
            most, total = nothing, np.float32(0)
            for turn in range(2):
                for dt in range(max(-back, -t), min(back, frames - 1 - t) + 1):
                    for dy in range(max(-half, -y), min(half, height - 1 - y) + 1):
                        for dx in range(max(-half, -x), min(half, width - 1 - x) + 1):
                            i = here + (dt * height + dy) * width + dx
                            for j in range(logits.shape[0]):
                                place = _value(positions, j, i, key_size, dt, dy, dx)
                                if place < 0:
                                    continue
                                if turn == 0:
                                    most = max(most, logits[j, i])
                                    continue
                                weight = np.exp(logits[j, i] - most)
                                if weight > 0:
                                    total += weight
                                    add_scaled(out, at, values, place * channels, channels, weight)
                if most == nothing:
                    break
            if most == nothing:
                log_sum[here] = nothing
                continue
            log_sum[here] = most + np.log(total)
            share = np.float32(1) / total
            for c in range(channels):
                out[at + c] *= share


@jit
def gather_to_logits(
    given, given_sum, logits, positions, values, made, log_sum, size, key_size, channels, window,
    deep, out, first_row, end_row,
):  # fmt: skip
    """out (n, pixels): the gradient of some rows of logits. given, made: flat (pixels, channels)
    gradient of the output and the output itself."""
    frames, height, width = size
    half, back = window // 2, deep // 2
    for line in range(first_row, end_row):
        t, y = line // height, line % height
        for x in range(width):
            i = line * width + x
            for j in range(logits.shape[0]):
                total = np.float32(0)
                for dt in range(max(-back, t + 1 - frames), min(back, t) + 1):
                    for dy in range(max(-half, y + 1 - height), min(half, y) + 1):
                        for dx in range(max(-half, x + 1 - width), min(half, x) + 1):
                            here = i - ((dt * height + dy) * width + dx)
                            place = _value(positions, j, i, key_size, dt, dy, dx)
                            if place < 0:
                                continue
                            weight = np.exp(logits[j, i] - log_sum[here])
                            if weight > 0:
                                at = here * channels
                                slope = product(
                                    given, at, values, place * channels, 0, 0, channels, 1
                                )
                                slope -= product(given, at, made, at, 0, 0, channels, 1)
                                total += weight * (slope + given_sum[here])
                out[j, i] = total


@jit
def gather_to_values(
    given, logits, log_sum, starts, order, size, key_size, channels, window, deep, out,
    first_row, end_row,
):  # fmt: skip
    """out (keys, channels, flat): the gradient of some rows of values."""
    frames, height, width = size
    key_frames, key_height, key_width = key_size
    half, back, pixels = window // 2, deep // 2, frames * height * width
    for line in range(first_row, end_row):
        key_t, key_y = line // key_height, line % key_height
        for key_x in range(key_width):
            here = line * key_width + key_x
            at = here * channels
            for c in range(channels):
                out[at + c] = 0
            for dt in range(max(-back, -key_t), min(back, key_frames - 1 - key_t) + 1):
                for dy in range(max(-half, -key_y), min(half, key_height - 1 - key_y) + 1):
                    for dx in range(max(-half, -key_x), min(half, key_width - 1 - key_x) + 1):
                        key = here + (dt * key_height + dy) * key_width + dx
                        for s in range(starts[key], starts[key + 1]):
                            j, i = order[s] // pixels, order[s] % pixels
                            t = i // (height * width) - dt
                            y, x = i // width % height - dy, i % width - dx
                            if t < 0 or y < 0 or x < 0 or t >= frames or y >= height or x >= width:
                                continue
                            query = (t * height + y) * width + x
                            weight = np.exp(logits[j, i] - log_sum[query])
                            if weight > 0:
                                add_scaled(out, at, given, query * channels, channels, weight)
