"""Convolutions of 3 x 3 by Winograd's F(4 x 4, 3 x 3): 36 products where 144 are usual.

Lavin and Gray 2016, arXiv:1509.09308. A tile of 4 x 4 results hangs on 6 x 6 values. Those are
turned into 36 sums, each of which meets its own matrix of channels; 36 products come out, and turn
into 16 results. A third axis, time, is convolved as usual, within the products.

Frames are flat (T, H, W, channels), channels a multiple of `LANES`. A block is some frames of some
tiles, with rows (frame, tile): the `spectra` of its values are (36, rows, channels), each of the 36
followed by `LANES` numbers so that they do not compete for the same lines of the cache.
"""

from collections import namedtuple

from .compile import inline, jit
from .simd_tiles import LANES, ROWS, add_product, combination, put

TILE, SIDE = 4, 6  # of results, and of the values that they hang on
SPECTRUM = SIDE * SIDE

# Of the points 0, 1, -1, 2, -2 and infinity.
OF_VALUES = (
    (4, 0, -5, 0, 1, 0),
    (0, -4, -4, 1, 1, 0),
    (0, 4, -4, -1, 1, 0),
    (0, -2, -1, 2, 1, 0),
    (0, 2, -1, -2, 1, 0),
    (0, 4, 0, -5, 0, 1),
)
OF_WEIGHTS = (
    (1 / 4, 0, 0),
    (-1 / 6, -1 / 6, -1 / 6),
    (-1 / 6, 1 / 6, -1 / 6),
    (1 / 24, 1 / 12, 1 / 6),
    (1 / 24, -1 / 12, 1 / 6),
    (0, 0, 1),
)
OF_RESULTS = (
    (1, 1, 1, 1, 1, 0),
    (0, 1, -1, 2, -2, 0),
    (0, 1, 1, 4, 4, 0),
    (0, 1, -1, 8, -8, 1),
)
EVERYWHERE = SIDE + 1  # the sum of the spectrum that goes into all 16 results alike

_of_value = combination(OF_VALUES)
_of_product = combination(OF_RESULTS)
_of_gradient = combination(tuple(zip(*OF_RESULTS, strict=True)))
_of_total = combination(tuple(zip(*OF_WEIGHTS, strict=True)))

# inner and outer: (T, H, W, channels) of the values and of the results. around: frames of zeros at
# either end of the values.
Job = namedtuple("Job", "values inner outer taps around")


def _of_tiles(transform, side, before):
    """The kernel that turns a block of tiles, each `side` x `side` and beginning `before` rows and
    columns ahead of its results, into spectra, after a matrix of (SIDE, side)."""

    @inline
    def spectra(frames, size, block, room, at, step, at_tile):
        """Of a block into the numbers of `room` from `at` on, `step` apart. at_tile: where there is
        room for the numbers of a tile, and for some that are half turned."""
        count, height, width, channels = size
        first, many, tile, tiles = block
        across, line = -(-width // TILE), width * channels
        half = at_tile + SPECTRUM * channels
        for t in range(first, first + many):
            for index in range(tile, tile + tiles):
                to = at + ((t - first) * tiles + index - tile) * channels
                if t < 0 or t >= count:
                    for s in range(SPECTRUM):
                        room[to + s * step : to + s * step + channels] = 0
                    continue
                y, x = index // across * TILE - before, index % across * TILE - before
                start = ((t * height + y) * width + x) * channels
                whole = y >= 0 and x >= 0 and y + side <= height and x + side <= width
                if not whole:
                    room[at_tile : at_tile + side * side * channels] = 0
                    for i in range(max(0, -y), min(side, height - y)):
                        for j in range(max(0, -x), min(side, width - x)):
                            pixel = at_tile + (i * side + j) * channels
                            for c in range(0, channels, LANES):
                                put(room, pixel + c, frames, start + i * line + j * channels + c)
                for c in range(0, channels, LANES):
                    for j in range(side):
                        beside = half + j * LANES
                        if whole:
                            pixel = start + j * channels + c
                            transform(room, beside, side * LANES, frames, pixel, line)
                        else:
                            pixel = at_tile + j * channels + c
                            transform(room, beside, side * LANES, room, pixel, side * channels)
                    for i in range(SIDE):
                        beside = half + i * side * LANES
                        transform(room, to + c + i * SIDE * step, step, room, beside, LANES)

    return spectra


_spectra_of_values = _of_tiles(_of_value, SIDE, 1)
_spectra_of_gradients = _of_tiles(_of_gradient, TILE, 0)


@inline
def _multiply(room, at_values, step, shift, channels, weights, taps, bias, at, rows):
    """Products, from `at` on, of each of the rows of values and the `taps` - 1 that come `shift`
    rows after another. rows: a multiple of ROWS."""
    width = bias.size
    for s in range(SPECTRUM):
        biased, to = s == EVERYWHERE, at + s * (rows * width + LANES)
        if biased:
            for row in range(rows):
                for j in range(0, width, LANES):
                    put(room, to + row * width + j, bias, j)
        for j in range(0, width, LANES):
            for row in range(0, rows, ROWS):
                for tap in range(taps):
                    add_product(
                        room, to + row * width + j, width,
                        room, at_values + s * step + (row + tap * shift) * channels, channels, 1,
                        weights, (s * taps + tap) * channels * width + j, width,
                        channels, tap == 0 and not biased,
                    )  # fmt: skip


@inline
def _write(room, at, step, out, size, block, at_tile):
    """Turn the products of a block, `step` apart, into 4 x 4 results each."""
    _, height, columns, width = size
    first, many, tile, tiles = block
    across, line = -(-columns // TILE), columns * width
    half = at_tile + TILE * TILE * LANES
    for t in range(first, first + many):
        for index in range(tile, tile + tiles):
            row = (t - first) * tiles + index - tile
            y, x = index // across * TILE, index % across * TILE
            start = ((t * height + y) * columns + x) * width
            high, wide = min(TILE, height - y), min(TILE, columns - x)
            whole = high == TILE and wide == TILE
            for c in range(0, width, LANES):
                for j in range(SIDE):
                    source = at + row * width + c + j * step
                    _of_product(room, half + j * LANES, SIDE * LANES, room, source, SIDE * step)
                for i in range(TILE):
                    source = half + i * SIDE * LANES
                    if whole:
                        _of_product(out, start + i * line + c, width, room, source, LANES)
                    else:
                        to = at_tile + i * TILE * LANES
                        _of_product(room, to, LANES, room, source, LANES)
                if not whole:
                    for i in range(high):
                        for j in range(wide):
                            pixel = at_tile + (i * TILE + j) * LANES
                            put(out, start + i * line + j * width + c, room, pixel)


def up(number, unit):
    """The least multiple of the unit that is not less."""
    return -(-number // unit) * unit


_up = inline(up)


@inline
def _spectra_to_multiply(job, first, frames, tile, tiles, room, at_tile, at):
    """Those of all frames that a block of results hangs on, and zeros up to a whole number of ROWS.
    Returns how far apart they are."""
    channels, taps, rows = job.inner[3], job.taps, frames * tiles
    used, after = (frames + taps - 1) * tiles * channels, (_up(rows, ROWS) - rows) * channels
    step = used + after + LANES
    block = first - job.around, frames + taps - 1, tile, tiles
    _spectra_of_values(job.values, job.inner, block, room, at, step, at_tile)
    for s in range(SPECTRUM):
        room[at + s * step + used : at + s * step + used + after] = 0
    return step


def room_for(inner, outer, taps, frames, tiles):
    """How many numbers the work on a block needs, at most."""
    rows, channels = up(frames * tiles, ROWS) + (taps - 1) * tiles, max(inner[3], outer[3])
    return SPECTRUM * (2 * (rows * channels + LANES) + channels + LANES)


@jit
def convolve(job, weights, bias, out, room, first, frames, tile, end, tiles):
    """Some frames of the tiles from `tile` to `end`, so many `tiles` at a time."""
    inner, outer = job.inner, job.outer
    at = SPECTRUM * (max(inner[3], outer[3]) + LANES)
    for begin in range(tile, end, tiles):
        many = min(tiles, end - begin)
        step = _spectra_to_multiply(job, first, frames, begin, many, room, 0, at)
        rows, products = _up(frames * many, ROWS), at + SPECTRUM * step
        _multiply(room, at, step, many, inner[3], weights, job.taps, bias, products, rows)
        block = first, frames, begin, many
        _write(room, products, rows * outer[3] + LANES, out, outer, block, 0)


@jit
def add_gradient(job, gradients, weights, room, first, frames, tile, end, tiles):
    """Add what some frames of the tiles from `tile` to `end` tell of the weights.

    gradients: to the results. weights: (36, taps, channels, width)."""
    inner, outer, taps = job.inner, job.outer, job.taps
    channels, width = inner[3], outer[3]
    at = SPECTRUM * (max(channels, width) + LANES)
    for begin in range(tile, end, tiles):
        many = min(tiles, end - begin)
        step = _spectra_to_multiply(job, first, frames, begin, many, room, 0, at)
        given, apart = at + SPECTRUM * step, frames * many * width + LANES
        block = first, frames, begin, many
        _spectra_of_gradients(gradients, outer, block, room, given, apart, 0)
        for s in range(SPECTRUM):
            for tap in range(taps):
                for c in range(0, channels, ROWS):
                    for j in range(0, width, LANES):
                        add_product(
                            weights, ((s * taps + tap) * channels + c) * width + j, width,
                            room, at + s * step + tap * many * channels + c, 1, channels,
                            room, given + s * apart + j, width,
                            frames * many, False,
                        )  # fmt: skip


@jit
def finish_gradient(total, out):
    """Turn the spectrum of the gradient to weights (36, n), whose first half is written over, into
    that gradient, (3, 3, n)."""
    size = total.size // SPECTRUM
    for i in range(0, size, LANES):
        for row in range(SIDE):
            at = row * SIDE * size + i
            _of_total(total, at, size, total, at, size)
        for column in range(3):
            at = column * size + i
            _of_total(out, at, 3 * size, total, at, SIDE * size)
