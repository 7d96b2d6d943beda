"""The kernels of patch similarity and of attention to found keys: tiles of (pixels, numbers).

Maps are packed (B, H, W, C), those of the queries padded by half a patch. Positions are packed
(B, n, 2, H, W), logits (B, n, H, W). Each pixel of a result collects its own, so nothing races.
"""

import triton
import triton.language as tl

from .nearest_patch_kernels import _distance, _queries

# plain numbers, whose values are no reason to compile again
NUMBERS = [
    *("count", "neighbours", "height", "width", "key_height", "key_width", "channels"),
    *("cells_height", "cells_width", "other_width"),
]


@triton.jit(do_not_specialize=NUMBERS)
def similarity(
    queries,
    count,
    q,
    k,
    positions,
    result,
    neighbours,
    height,
    width,
    key_height,
    key_width,
    PATCH: tl.constexpr,
    CHANNELS: tl.constexpr,
    SIMILARITY: tl.constexpr,
    BLOCK: tl.constexpr,
    CHUNK: tl.constexpr,
):
    """The similarities of one neighbour of some queries."""
    _, picture, _t, y, x, live = _queries(queries, count, 1, height, width, BLOCK)
    area = height * width
    row = picture * neighbours + tl.program_id(1)
    place = positions + row * 2 * area + y * width + x
    key_y = tl.load(place, mask=live, other=-1)
    key_x = tl.load(place + area, mask=live, other=-1)
    there = live & (key_y >= 0)
    stride = (width + PATCH - 1) * CHANNELS
    a = (picture * (height + PATCH - 1) + y) * stride + x * CHANNELS
    b = (picture * key_height + key_y - PATCH // 2) * key_width + key_x - PATCH // 2
    distance = _distance(
        q, k, a, b * CHANNELS, there, stride, 0, key_width * CHANNELS, 0,
        1, PATCH, CHANNELS, SIMILARITY, BLOCK, CHUNK,
    )  # fmt: skip
    found = tl.where(there, -distance, float("-inf"))
    tl.store(result + row * area + y * width + x, found, mask=live)


@triton.jit(do_not_specialize=NUMBERS)
def spread(
    result,
    count,
    other,
    starts,
    begins,
    weights,
    width,
    cells_height,
    cells_width,
    other_width,
    channels,
    LIFT: tl.constexpr,
    PATCH: tl.constexpr,
    BLOCK: tl.constexpr,
    CHUNK: tl.constexpr,
):
    """See pairs.similarity_gradient: what the patches over some pixels of the result add to them.
    Work grows with the longest of the lists that a program meets."""
    pixel = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    live = pixel < count
    y, x = pixel // width, pixel % width
    channel = tl.program_id(1) * CHUNK + tl.arange(0, CHUNK)
    real = live[:, None] & (channel < channels)[None, :]
    total = tl.zeros((BLOCK, CHUNK), result.dtype.element_ty)
    for step in range(PATCH * PATCH):
        row = step // PATCH
        column = step % PATCH
        cell_y = y - row + LIFT
        cell_x = x - column + LIFT
        owned = live & (cell_y >= LIFT) & (cell_y < cells_height - LIFT)
        owned = owned & (cell_x >= LIFT) & (cell_x < cells_width - LIFT)
        cell = cell_y * cells_width + cell_x
        begin = tl.load(starts + cell, mask=owned, other=0)
        length = tl.load(starts + cell + 1, mask=owned, other=0) - begin
        most = tl.max(length, 0)
        s = most * 0
        while s < most:
            listed = owned & (s < length)
            weight = tl.load(weights + begin + s, mask=listed, other=0.0)
            there = tl.load(begins + begin + s, mask=listed, other=0)
            there = (there + row * other_width + column) * channels
            total += weight[:, None] * tl.load(
                other + there[:, None] + channel[None, :], mask=real & listed[:, None], other=0.0
            )
            s += 1
    tl.store(result + (pixel * channels)[:, None] + channel[None, :], total, mask=real)


@triton.jit
def _entry(
    logits, positions, row, y, x, dy, dx, live, height, width, key_height, key_width, picture
):
    """A neighbour of the query at y + dy, x + dx: its logit, and which value it means to the one
    at y, x. -inf and 0 for none. row: of the neighbour's maps."""
    there = live & (y + dy >= 0) & (y + dy < height) & (x + dx >= 0) & (x + dx < width)
    area = height * width
    pixel = (y + dy) * width + x + dx
    key_y = tl.load(positions + row * 2 * area + pixel, mask=there, other=-1)
    key_x = tl.load(positions + row * 2 * area + area + pixel, mask=there, other=-1)
    there = there & (key_y >= 0)
    key_y = key_y - dy
    key_x = key_x - dx
    there = there & (key_y >= 0) & (key_y < key_height) & (key_x >= 0) & (key_x < key_width)
    logit = tl.load(logits + row * area + pixel, mask=there, other=float("-inf"))
    place = (picture * key_height + key_y) * key_width + key_x
    return logit, tl.where(there, place, 0), there


@triton.jit(do_not_specialize=NUMBERS)
def gather(
    queries,
    count,
    logits,
    positions,
    values,
    result,
    log_sum,
    neighbours,
    height,
    width,
    key_height,
    key_width,
    channels,
    WINDOW: tl.constexpr,
    BLOCK: tl.constexpr,
    CHUNK: tl.constexpr,
):
    """Attention of some queries to their lists: twice over each, for the largest logit first."""
    index, picture, _t, y, x, live = _queries(queries, count, 1, height, width, BLOCK)
    channel = tl.program_id(1) * CHUNK + tl.arange(0, CHUNK)
    real = live[:, None] & (channel < channels)[None, :]
    half: tl.constexpr = WINDOW // 2
    most = tl.full((BLOCK,), float("-inf"), logits.dtype.element_ty)
    for step in range(WINDOW * WINDOW):
        for j in range(neighbours):
            logit, _place, _there = _entry(
                logits, positions, picture * neighbours + j, y, x,
                step // WINDOW - half, step % WINDOW - half, live,
                height, width, key_height, key_width, picture,
            )  # fmt: skip
            most = tl.maximum(most, logit)
    some = most > float("-inf")
    level = tl.where(some, most, 0.0)
    total = tl.zeros((BLOCK,), logits.dtype.element_ty)
    sums = tl.zeros((BLOCK, CHUNK), values.dtype.element_ty)
    for step in range(WINDOW * WINDOW):
        for j in range(neighbours):
            logit, place, there = _entry(
                logits, positions, picture * neighbours + j, y, x,
                step // WINDOW - half, step % WINDOW - half, live,
                height, width, key_height, key_width, picture,
            )  # fmt: skip
            weight = tl.exp(logit - level)
            total += weight
            sums += weight[:, None] * tl.load(
                values + (place * channels)[:, None] + channel[None, :],
                mask=real & there[:, None],
                other=0.0,
            )
    safe = tl.where(some, total, 1.0)
    tl.store(result + (index * channels)[:, None] + channel[None, :], sums / safe[:, None], real)
    first = live & (tl.zeros((BLOCK,), tl.int32) + tl.program_id(1) == 0)
    found = tl.where(some, level + tl.log(safe), float("-inf"))
    tl.store(log_sum + index, found, mask=first)


@triton.jit(do_not_specialize=NUMBERS)
def gather_to_logits(
    queries,
    count,
    given,
    given_sum,
    logits,
    positions,
    values,
    made,
    log_sum,
    result,
    neighbours,
    height,
    width,
    key_height,
    key_width,
    channels,
    WINDOW: tl.constexpr,
    BLOCK: tl.constexpr,
    CHUNK: tl.constexpr,
):
    """The gradient of the logits of one neighbour of some queries: over the lists that hold it."""
    _, picture, _t, y, x, live = _queries(queries, count, 1, height, width, BLOCK)
    area = height * width
    row = picture * neighbours + tl.program_id(1)
    half: tl.constexpr = WINDOW // 2
    total = tl.zeros((BLOCK,), logits.dtype.element_ty)
    for step in range(WINDOW * WINDOW):
        dy = step // WINDOW - half
        dx = step % WINDOW - half
        listing = live & (y - dy >= 0) & (y - dy < height) & (x - dx >= 0) & (x - dx < width)
        logit, place, there = _entry(
            logits, positions, row, y - dy, x - dx, dy, dx, listing,
            height, width, key_height, key_width, picture,
        )  # fmt: skip
        query = picture * area + (y - dy) * width + x - dx
        level = tl.load(log_sum + query, mask=there, other=0.0)
        slope = tl.load(given_sum + query, mask=there, other=0.0)
        for begin in range(0, channels, CHUNK):
            channel = begin + tl.arange(0, CHUNK)
            real = there[:, None] & (channel < channels)[None, :]
            at = (query * channels)[:, None] + channel[None, :]
            moved = tl.load(
                values + (place * channels)[:, None] + channel[None, :], mask=real, other=0.0
            ) - tl.load(made + at, mask=real, other=0.0)
            slope += tl.sum(moved * tl.load(given + at, mask=real, other=0.0), 1)
        total += tl.where(there, tl.exp(logit - level) * slope, 0.0)
    tl.store(result + row * area + y * width + x, total, mask=live)


@triton.jit(do_not_specialize=NUMBERS)
def gather_to_values(
    result,
    count,
    given,
    logits,
    log_sum,
    starts,
    order,
    height,
    width,
    key_height,
    key_width,
    channels,
    WINDOW: tl.constexpr,
    BLOCK: tl.constexpr,
    CHUNK: tl.constexpr,
):
    """The gradient of some values of one picture: over the lists that hold them. Work grows with
    the longest list of pairs that a program meets."""
    key = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    live = key < count
    y, x = key // key_width, key % key_width
    channel = tl.program_id(1) * CHUNK + tl.arange(0, CHUNK)
    real = live[:, None] & (channel < channels)[None, :]
    half: tl.constexpr = WINDOW // 2
    area = height * width
    total = tl.zeros((BLOCK, CHUNK), result.dtype.element_ty)
    for step in range(WINDOW * WINDOW):
        dy = step // WINDOW - half
        dx = step % WINDOW - half
        owned = live & (y + dy >= 0) & (y + dy < key_height)
        owned = owned & (x + dx >= 0) & (x + dx < key_width)
        cell = (y + dy) * key_width + x + dx
        begin = tl.load(starts + cell, mask=owned, other=0)
        length = tl.load(starts + cell + 1, mask=owned, other=0) - begin
        most = tl.max(length, 0)
        s = most * 0
        while s < most:
            listed = owned & (s < length)
            pair = tl.load(order + begin + s, mask=listed, other=0)
            query_y = pair % area // width - dy
            query_x = pair % area % width - dx
            listed = listed & (query_y >= 0) & (query_y < height)
            listed = listed & (query_x >= 0) & (query_x < width)
            query = query_y * width + query_x
            logit = tl.load(logits + pair, mask=listed, other=float("-inf"))
            weight = tl.exp(logit - tl.load(log_sum + query, mask=listed, other=0.0))
            total += weight[:, None] * tl.load(
                given + (query * channels)[:, None] + channel[None, :],
                mask=real & listed[:, None],
                other=0.0,
            )
            s += 1
    tl.store(result + (key * channels)[:, None] + channel[None, :], total, mask=real)
