"""The kernels of `nearest_patch`: tiles of (queries, numbers of their patches).

Images are packed (B, padded H, padded W, C). Matches are (B, pixels, KEPT) linear source indices in
no order, -1 = none, with their costs beside them. A `bias` that is None is compiled away.
"""

import triton
import triton.language as tl

# plain numbers, whose values are no reason to compile again
NUMBERS = [
    *("count", "height", "width", "source_height", "source_width"),
    *("jump", "radius", "trials", "state", "iteration"),
]


@triton.jit
def _mix(x):
    x = (x ^ (x >> 16)) * 0x7FEB352D
    x = (x ^ (x >> 15)) * 0x846CA68B
    return x ^ (x >> 16)


@triton.jit
def _corner(picture, y, x, height, width, PATCH: tl.constexpr, CHANNELS: tl.constexpr):
    """Where in the packed images the patch around y, x begins, and how long a row of pixels is."""
    stride = (width + PATCH - 1) * CHANNELS
    return (picture * (height + PATCH - 1) + y) * stride + x * CHANNELS, stride


@triton.jit
def _queries(queries, count, height, width, BLOCK: tl.constexpr):
    """Of this program's queries: index over the batch, picture, y, x, and whether there is one."""
    lane = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    live = lane < count
    index = tl.load(queries + lane, mask=live, other=0)
    picture = index // (height * width)
    pixel = index - picture * height * width
    return index, picture, pixel // width, pixel % width, live


@triton.jit
def _distance(
    target,
    source,
    a,
    b,
    needed,
    stride,
    source_stride,
    PATCH: tl.constexpr,
    CHANNELS: tl.constexpr,
    SIMILARITY: tl.constexpr,
    BLOCK: tl.constexpr,
    CHUNK: tl.constexpr,
):
    """The distances between the patches that begin at `a` in the target and `b` in the source."""
    total = tl.zeros((BLOCK, CHUNK), target.dtype.element_ty)
    left_length = tl.zeros((BLOCK, CHUNK), target.dtype.element_ty)
    right_length = tl.zeros((BLOCK, CHUNK), target.dtype.element_ty)
    for begin in range(0, PATCH * PATCH * CHANNELS, CHUNK):
        number = begin + tl.arange(0, CHUNK)
        row = number // (PATCH * CHANNELS)
        column = number % (PATCH * CHANNELS)
        mask = needed[:, None] & (number < PATCH * PATCH * CHANNELS)[None, :]
        left = tl.load(target + (a[:, None] + (row * stride + column)[None, :]), mask, 0.0)
        right = tl.load(source + (b[:, None] + (row * source_stride + column)[None, :]), mask, 0.0)
        if SIMILARITY == "l2":
            total += (left - right) * (left - right)
        else:
            total -= left * right
        if SIMILARITY == "cosine":
            left_length += left * left
            right_length += right * right
    distance = tl.sum(total, 1)
    if SIMILARITY == "cosine":
        length = tl.sqrt(tl.sum(left_length, 1)) * tl.sqrt(tl.sum(right_length, 1))
        distance = distance / tl.maximum(length, 1e-37)
    return distance


@triton.jit(do_not_specialize=NUMBERS)
def evaluate(
    queries,
    count,
    matches,
    costs,
    target,
    source,
    bias,
    height,
    width,
    source_height,
    source_width,
    PATCH: tl.constexpr,
    CHANNELS: tl.constexpr,
    SIMILARITY: tl.constexpr,
    WRAP_Y: tl.constexpr,
    WRAP_X: tl.constexpr,
    SOURCE_WRAP_Y: tl.constexpr,
    SOURCE_WRAP_X: tl.constexpr,
    BLOCK: tl.constexpr,
    CHUNK: tl.constexpr,
    KEPT: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """The cost of one column of matches."""
    index, picture, y, x, live = _queries(queries, count, height, width, BLOCK)
    cell = index * KEPT + tl.program_id(1)
    match = tl.load(matches + cell, mask=live, other=-1)
    there = match >= 0
    match = tl.maximum(match, 0)
    a, stride = _corner(picture, y, x, height, width, PATCH, CHANNELS)
    source_y, source_x = match // source_width, match % source_width
    b, source_stride = _corner(
        picture, source_y, source_x, source_height, source_width, PATCH, CHANNELS
    )
    cost = _distance(
        target, source, a, b, there, stride, source_stride,
        PATCH, CHANNELS, SIMILARITY, BLOCK, CHUNK,
    )  # fmt: skip
    if bias is not None:
        cost += tl.load(bias + picture * source_height * source_width + match, mask=there, other=0)
    tl.store(costs + cell, tl.where(there, cost, float("inf")), mask=live)


@triton.jit
def _offer(
    matches,
    costs,
    source_y,
    source_x,
    needed,
    target,
    source,
    usable,
    bias,
    a,
    first,
    first_cell,
    stride,
    source_stride,
    source_height,
    source_width,
    PATCH: tl.constexpr,
    CHANNELS: tl.constexpr,
    SIMILARITY: tl.constexpr,
    SOURCE_WRAP_Y: tl.constexpr,
    SOURCE_WRAP_X: tl.constexpr,
    BLOCK: tl.constexpr,
    CHUNK: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """The matches and costs (queries, columns) after the candidate has taken the place of the worst
    match, where it is usable, new and better. `first` and `first_cell` are where the picture begins
    in the packed source and in the maps of its size."""
    if SOURCE_WRAP_Y:
        source_y = ((source_y % source_height) + source_height) % source_height
    else:
        source_y = tl.minimum(tl.maximum(source_y, PATCH // 2), source_height - 1 - PATCH // 2)
    if SOURCE_WRAP_X:
        source_x = ((source_x % source_width) + source_width) % source_width
    else:
        source_x = tl.minimum(tl.maximum(source_x, PATCH // 2), source_width - 1 - PATCH // 2)
    candidate = source_y * source_width + source_x
    cell = first_cell + candidate
    needed = needed & (tl.load(usable + cell, mask=needed, other=0) != 0)
    needed = needed & (tl.sum((matches == candidate[:, None]).to(tl.int32), 1) == 0)
    b = first + source_y * source_stride + source_x * CHANNELS
    cost = _distance(
        target, source, a, b, needed, stride, source_stride,
        PATCH, CHANNELS, SIMILARITY, BLOCK, CHUNK,
    )  # fmt: skip
    if bias is not None:
        cost += tl.load(bias + cell, mask=needed, other=0)
    worst = tl.argmax(costs, 1)
    better = needed & (cost < tl.max(costs, 1))
    replaced = better[:, None] & (tl.arange(0, COLUMNS)[None, :] == worst[:, None])
    matches = tl.where(replaced, candidate[:, None], matches)
    costs = tl.where(replaced, cost[:, None], costs)
    return matches, costs


@triton.jit(do_not_specialize=NUMBERS)
def propagate(
    queries,
    count,
    matches,
    costs,
    new_matches,
    new_costs,
    target,
    source,
    usable,
    bias,
    jump,
    height,
    width,
    source_height,
    source_width,
    PATCH: tl.constexpr,
    CHANNELS: tl.constexpr,
    SIMILARITY: tl.constexpr,
    WRAP_Y: tl.constexpr,
    WRAP_X: tl.constexpr,
    SOURCE_WRAP_Y: tl.constexpr,
    SOURCE_WRAP_X: tl.constexpr,
    BLOCK: tl.constexpr,
    CHUNK: tl.constexpr,
    KEPT: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """Offer the matches of the queries `jump` up, down, left and right, moved back by as much."""
    index, picture, y, x, live = _queries(queries, count, height, width, BLOCK)
    a, stride = _corner(picture, y, x, height, width, PATCH, CHANNELS)
    first, source_stride = _corner(picture, 0, 0, source_height, source_width, PATCH, CHANNELS)
    first_cell = picture * (source_height * source_width)
    column = tl.arange(0, COLUMNS)[None, :]
    cells = index[:, None] * KEPT + column
    real = live[:, None] & (column < KEPT)
    mine = tl.load(matches + cells, mask=real, other=-1)
    cost = tl.load(costs + cells, mask=real, other=float("-inf"))
    for direction in range(4):
        sign = (direction % 2) * 2 - 1
        ahead_y = y + tl.where(direction < 2, sign * jump, 0)
        ahead_x = x + tl.where(direction < 2, 0, sign * jump)
        if not WRAP_Y:
            ahead_y = tl.minimum(tl.maximum(ahead_y, 0), height - 1)
        if not WRAP_X:
            ahead_x = tl.minimum(tl.maximum(ahead_x, 0), width - 1)
        there_y = ((ahead_y % height) + height) % height
        there_x = ((ahead_x % width) + width) % width
        there = (picture * height + there_y) * width + there_x
        for j in range(KEPT):
            theirs = tl.load(matches + there * KEPT + j, mask=live, other=-1)
            found = theirs >= 0
            theirs = tl.maximum(theirs, 0)
            source_y = theirs // source_width - (ahead_y - y)
            source_x = theirs % source_width - (ahead_x - x)
            mine, cost = _offer(
                mine, cost, source_y, source_x, found,
                target, source, usable, bias, a, first, first_cell, stride, source_stride,
                source_height, source_width, PATCH, CHANNELS, SIMILARITY,
                SOURCE_WRAP_Y, SOURCE_WRAP_X, BLOCK, CHUNK, COLUMNS,
            )  # fmt: skip
    tl.store(new_matches + cells, mine, mask=real)
    tl.store(new_costs + cells, cost, mask=real)


@triton.jit
def _pick(middle, radius, n, half, state, counter, WRAP: tl.constexpr):
    """A random coordinate from the window around `middle`; it may have to be wrapped."""
    if WRAP:
        reach = tl.minimum(radius, (n - 1) // 2)
        low = middle - reach
        high = middle + reach
    else:
        low = tl.maximum(middle - radius, half)
        high = tl.minimum(middle + radius, n - 1 - half)
    return low + tl.umulhi(_mix(state ^ counter), (high - low + 1).to(tl.uint32)).to(tl.int32)


@triton.jit(do_not_specialize=NUMBERS)
def draw(
    queries,
    count,
    matches,
    costs,
    new_matches,
    new_costs,
    target,
    source,
    usable,
    bias,
    radius,
    trials,
    state,
    iteration,
    height,
    width,
    source_height,
    source_width,
    PATCH: tl.constexpr,
    CHANNELS: tl.constexpr,
    SIMILARITY: tl.constexpr,
    WRAP_Y: tl.constexpr,
    WRAP_X: tl.constexpr,
    SOURCE_WRAP_Y: tl.constexpr,
    SOURCE_WRAP_X: tl.constexpr,
    BLOCK: tl.constexpr,
    CHUNK: tl.constexpr,
    KEPT: tl.constexpr,
    COLUMNS: tl.constexpr,
    AROUND: tl.constexpr,
):
    """Offer one draw from each of `trials` windows, each half the last, around the matches."""
    index, picture, y, x, live = _queries(queries, count, height, width, BLOCK)
    a, stride = _corner(picture, y, x, height, width, PATCH, CHANNELS)
    first, source_stride = _corner(picture, 0, 0, source_height, source_width, PATCH, CHANNELS)
    first_cell = picture * (source_height * source_width)
    column = tl.arange(0, COLUMNS)[None, :]
    cells = index[:, None] * KEPT + column
    real = live[:, None] & (column < KEPT)
    mine = tl.load(matches + cells, mask=real, other=-1)
    cost = tl.load(costs + cells, mask=real, other=float("-inf"))
    ranked = tl.where(column < KEPT, cost, float("inf"))
    best = tl.argmin(ranked, 1)
    pixel = (y * width + x).to(tl.uint32)
    drawn = _mix(_mix(state.to(tl.uint32) ^ pixel) ^ iteration.to(tl.uint32))
    for trial in range(trials * AROUND):
        place = best if AROUND == 1 else trial % AROUND
        middle = tl.load(matches + index * KEPT + place, mask=live, other=-1)
        found = middle >= 0
        middle = tl.maximum(middle, 0)
        reach = radius >> (trial // AROUND)
        half: tl.constexpr = PATCH // 2
        source_y = _pick(
            middle // source_width, reach, source_height, half, drawn, 2 * trial, SOURCE_WRAP_Y
        )
        source_x = _pick(
            middle % source_width, reach, source_width, half, drawn, 2 * trial + 1, SOURCE_WRAP_X
        )
        mine, cost = _offer(
            mine, cost, source_y, source_x, found,
            target, source, usable, bias, a, first, first_cell, stride, source_stride,
            source_height, source_width, PATCH, CHANNELS, SIMILARITY,
            SOURCE_WRAP_Y, SOURCE_WRAP_X, BLOCK, CHUNK, COLUMNS,
        )  # fmt: skip
    tl.store(new_matches + cells, mine, mask=real)
    tl.store(new_costs + cells, cost, mask=real)
