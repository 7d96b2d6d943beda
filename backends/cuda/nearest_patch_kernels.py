"""The kernels of `nearest_patch`: tiles of (queries, numbers of their patches).

Images are packed (B, padded T, padded H, padded W, C), pictures being clips of one frame whose
patches are one frame deep. Matches are (B, pixels, KEPT) linear source indices in
no order, -1 = none, with their costs beside them. A `bias` that is None is compiled away.
"""

import triton
import triton.language as tl

# plain numbers, whose values are no reason to compile again
NUMBERS = [
    *("count", "frames", "height", "width", "source_frames", "source_height", "source_width"),
    *("jump", "radius", "trials", "state", "iteration"),
]


@triton.jit
def _mix(x):
    x = (x ^ (x >> 16)) * 0x7FEB352D
    x = (x ^ (x >> 15)) * 0x846CA68B
    return x ^ (x >> 16)


@triton.jit
def _corner(
    picture, t, y, x, frames, height, width,
    DEPTH: tl.constexpr, PATCH: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Where in the packed images the patch around t, y, x begins, and how long a row of pixels and
    a frame of them is."""
    row = (width + PATCH - 1) * CHANNELS
    plane = (height + PATCH - 1) * row
    return (picture * (frames + DEPTH - 1) + t) * plane + y * row + x * CHANNELS, row, plane


@triton.jit
def _queries(queries, count, frames, height, width, BLOCK: tl.constexpr):
    """Of this program's queries: index over the batch, picture, t, y, x, and whether there is
    one."""
    lane = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    live = lane < count
    index = tl.load(queries + lane, mask=live, other=0)
    picture = index // (frames * height * width)
    frame = index // (height * width)
    return index, picture, frame % frames, index // width % height, index % width, live


@triton.jit
def _distance(
    target,
    source,
    a,
    b,
    needed,
    row,
    plane,
    source_row,
    source_plane,
    DEPTH: tl.constexpr,
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
    for begin in range(0, DEPTH * PATCH * PATCH * CHANNELS, CHUNK):
        number = begin + tl.arange(0, CHUNK)
        line = number // (PATCH * CHANNELS)
        column = number % (PATCH * CHANNELS)
        mask = needed[:, None] & (number < DEPTH * PATCH * PATCH * CHANNELS)[None, :]
        if DEPTH > 1:
            off = line // PATCH * plane + line % PATCH * row + column
            source_off = line // PATCH * source_plane + line % PATCH * source_row + column
        else:
            off = line * row + column
            source_off = line * source_row + column
        left = tl.load(target + (a[:, None] + off[None, :]), mask, 0.0)
        right = tl.load(source + (b[:, None] + source_off[None, :]), mask, 0.0)
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
    frames,
    height,
    width,
    source_frames,
    source_height,
    source_width,
    AXES: tl.constexpr,
    DEPTH: tl.constexpr,
    PATCH: tl.constexpr,
    CHANNELS: tl.constexpr,
    SIMILARITY: tl.constexpr,
    WRAP_T: tl.constexpr,
    WRAP_Y: tl.constexpr,
    WRAP_X: tl.constexpr,
    SOURCE_WRAP_T: tl.constexpr,
    SOURCE_WRAP_Y: tl.constexpr,
    SOURCE_WRAP_X: tl.constexpr,
    BLOCK: tl.constexpr,
    CHUNK: tl.constexpr,
    KEPT: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """The cost of one column of matches."""
    index, picture, t, y, x, live = _queries(queries, count, frames, height, width, BLOCK)
    cell = index * KEPT + tl.program_id(1)
    match = tl.load(matches + cell, mask=live, other=-1)
    there = match >= 0
    match = tl.maximum(match, 0)
    a, row, plane = _corner(picture, t, y, x, frames, height, width, DEPTH, PATCH, CHANNELS)
    source_t, source_y, source_x = _place(match, source_height, source_width)
    b, source_row, source_plane = _corner(
        picture, source_t, source_y, source_x, source_frames, source_height, source_width,
        DEPTH, PATCH, CHANNELS,
    )  # fmt: skip
    cost = _distance(
        target, source, a, b, there, row, plane, source_row, source_plane,
        DEPTH, PATCH, CHANNELS, SIMILARITY, BLOCK, CHUNK,
    )  # fmt: skip
    if bias is not None:
        first_cell = picture * (source_frames * source_height * source_width)
        cost += tl.load(bias + first_cell + match, mask=there, other=0)
    tl.store(costs + cell, tl.where(there, cost, float("inf")), mask=live)


@triton.jit
def _place(match, height, width):
    """t, y, x of a linear index."""
    return match // (height * width), match // width % height, match % width


@triton.jit
def _usable(place, n, half, WRAP: tl.constexpr):
    """The coordinate, moved to where patches lie whole in the source."""
    if WRAP:
        place = ((place % n) + n) % n
    else:
        place = tl.minimum(tl.maximum(place, half), n - 1 - half)
    return place


@triton.jit
def _offer(
    matches,
    costs,
    source_t,
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
    row,
    plane,
    source_row,
    source_plane,
    source_frames,
    source_height,
    source_width,
    DEPTH: tl.constexpr,
    PATCH: tl.constexpr,
    CHANNELS: tl.constexpr,
    SIMILARITY: tl.constexpr,
    SOURCE_WRAP_T: tl.constexpr,
    SOURCE_WRAP_Y: tl.constexpr,
    SOURCE_WRAP_X: tl.constexpr,
    BLOCK: tl.constexpr,
    CHUNK: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """The matches and costs (queries, columns) after the candidate has taken the place of the worst
    match, where it is usable, new and better. `first` and `first_cell` are where the picture begins
    in the packed source and in the maps of its size."""
    source_t = _usable(source_t, source_frames, DEPTH // 2, SOURCE_WRAP_T)
    source_y = _usable(source_y, source_height, PATCH // 2, SOURCE_WRAP_Y)
    source_x = _usable(source_x, source_width, PATCH // 2, SOURCE_WRAP_X)
    candidate = (source_t * source_height + source_y) * source_width + source_x
    cell = first_cell + candidate
    needed = needed & (tl.load(usable + cell, mask=needed, other=0) != 0)
    needed = needed & (tl.sum((matches == candidate[:, None]).to(tl.int32), 1) == 0)
    b = first + source_t * source_plane + source_y * source_row + source_x * CHANNELS
    cost = _distance(
        target, source, a, b, needed, row, plane, source_row, source_plane,
        DEPTH, PATCH, CHANNELS, SIMILARITY, BLOCK, CHUNK,
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
    frames,
    height,
    width,
    source_frames,
    source_height,
    source_width,
    AXES: tl.constexpr,
    DEPTH: tl.constexpr,
    PATCH: tl.constexpr,
    CHANNELS: tl.constexpr,
    SIMILARITY: tl.constexpr,
    WRAP_T: tl.constexpr,
    WRAP_Y: tl.constexpr,
    WRAP_X: tl.constexpr,
    SOURCE_WRAP_T: tl.constexpr,
    SOURCE_WRAP_Y: tl.constexpr,
    SOURCE_WRAP_X: tl.constexpr,
    BLOCK: tl.constexpr,
    CHUNK: tl.constexpr,
    KEPT: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """Offer the matches of the queries `jump` pixels away to both sides along each axis, moved back
    by as much."""
    index, picture, t, y, x, live = _queries(queries, count, frames, height, width, BLOCK)
    a, row, plane = _corner(picture, t, y, x, frames, height, width, DEPTH, PATCH, CHANNELS)
    first, source_row, source_plane = _corner(
        picture, 0, 0, 0, source_frames, source_height, source_width, DEPTH, PATCH, CHANNELS
    )
    first_cell = picture * (source_frames * source_height * source_width)
    column = tl.arange(0, COLUMNS)[None, :]
    cells = index[:, None] * KEPT + column
    real = live[:, None] & (column < KEPT)
    mine = tl.load(matches + cells, mask=real, other=-1)
    cost = tl.load(costs + cells, mask=real, other=float("-inf"))
    for direction in range(2 * AXES):
        axis = direction // 2 + 3 - AXES
        step = (direction % 2 * 2 - 1) * jump
        ahead_t = t + tl.where(axis == 0, step, 0)
        ahead_y = y + tl.where(axis == 1, step, 0)
        ahead_x = x + tl.where(axis == 2, step, 0)
        if not WRAP_T:
            ahead_t = tl.minimum(tl.maximum(ahead_t, 0), frames - 1)
        if not WRAP_Y:
            ahead_y = tl.minimum(tl.maximum(ahead_y, 0), height - 1)
        if not WRAP_X:
            ahead_x = tl.minimum(tl.maximum(ahead_x, 0), width - 1)
        there_t = ((ahead_t % frames) + frames) % frames
        there_y = ((ahead_y % height) + height) % height
        there_x = ((ahead_x % width) + width) % width
        there = ((picture * frames + there_t) * height + there_y) * width + there_x
        for j in range(KEPT):
            theirs = tl.load(matches + there * KEPT + j, mask=live, other=-1)
            found = theirs >= 0
            theirs = tl.maximum(theirs, 0)
            source_t, source_y, source_x = _place(theirs, source_height, source_width)
            source_t -= ahead_t - t
            source_y -= ahead_y - y
            source_x -= ahead_x - x
            mine, cost = _offer(
                mine, cost, source_t, source_y, source_x, found,
                target, source, usable, bias, a, first, first_cell,
                row, plane, source_row, source_plane, source_frames, source_height, source_width,
                DEPTH, PATCH, CHANNELS, SIMILARITY,
                SOURCE_WRAP_T, SOURCE_WRAP_Y, SOURCE_WRAP_X, BLOCK, CHUNK, COLUMNS,
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
    frames,
    height,
    width,
    source_frames,
    source_height,
    source_width,
    AXES: tl.constexpr,
    DEPTH: tl.constexpr,
    PATCH: tl.constexpr,
    CHANNELS: tl.constexpr,
    SIMILARITY: tl.constexpr,
    WRAP_T: tl.constexpr,
    WRAP_Y: tl.constexpr,
    WRAP_X: tl.constexpr,
    SOURCE_WRAP_T: tl.constexpr,
    SOURCE_WRAP_Y: tl.constexpr,
    SOURCE_WRAP_X: tl.constexpr,
    BLOCK: tl.constexpr,
    CHUNK: tl.constexpr,
    KEPT: tl.constexpr,
    COLUMNS: tl.constexpr,
    AROUND: tl.constexpr,
):
    """Offer one draw from each of `trials` windows, each half the last, around the matches."""
    index, picture, t, y, x, live = _queries(queries, count, frames, height, width, BLOCK)
    a, row, plane = _corner(picture, t, y, x, frames, height, width, DEPTH, PATCH, CHANNELS)
    first, source_row, source_plane = _corner(
        picture, 0, 0, 0, source_frames, source_height, source_width, DEPTH, PATCH, CHANNELS
    )
    first_cell = picture * (source_frames * source_height * source_width)
    column = tl.arange(0, COLUMNS)[None, :]
    cells = index[:, None] * KEPT + column
    real = live[:, None] & (column < KEPT)
    mine = tl.load(matches + cells, mask=real, other=-1)
    cost = tl.load(costs + cells, mask=real, other=float("-inf"))
    ranked = tl.where(column < KEPT, cost, float("inf"))
    best = tl.argmin(ranked, 1)
    pixel = ((t * height + y) * width + x).to(tl.uint32)
    drawn = _mix(_mix(state.to(tl.uint32) ^ pixel) ^ iteration.to(tl.uint32))
    for trial in range(trials * AROUND):
        place = best if AROUND == 1 else trial % AROUND
        middle = tl.load(matches + index * KEPT + place, mask=live, other=-1)
        found = middle >= 0
        middle = tl.maximum(middle, 0)
        reach = radius >> (trial // AROUND)
        source_t, source_y, source_x = _place(middle, source_height, source_width)
        counter = AXES * trial
        if AXES == 3:
            source_t = _pick(
                source_t, reach, source_frames, DEPTH // 2, drawn, counter, SOURCE_WRAP_T
            )
            counter += 1
        source_y = _pick(source_y, reach, source_height, PATCH // 2, drawn, counter, SOURCE_WRAP_Y)
        source_x = _pick(
            source_x, reach, source_width, PATCH // 2, drawn, counter + 1, SOURCE_WRAP_X
        )
        mine, cost = _offer(
            mine, cost, source_t, source_y, source_x, found,
            target, source, usable, bias, a, first, first_cell,
            row, plane, source_row, source_plane, source_frames, source_height, source_width,
            DEPTH, PATCH, CHANNELS, SIMILARITY,
            SOURCE_WRAP_T, SOURCE_WRAP_Y, SOURCE_WRAP_X, BLOCK, CHUNK, COLUMNS,
        )  # fmt: skip
    tl.store(new_matches + cells, mine, mask=real)
    tl.store(new_costs + cells, cost, mask=real)
