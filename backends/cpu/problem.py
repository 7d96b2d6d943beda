"""One search of one picture or clip, as the kernels see it."""

from collections import namedtuple

from .compile import inline

# A picture is a clip of one frame. Its `clip` is the empty tuple, that of a clip is not: by this
# type numba compiles pictures apart, without anything that has to do with time.
#
# `target` and `source` are flat (t, y, x, channel) arrays; a stride is the pixels of a row, a plane
# those of a frame. Patches are `depth` frames deep. The target is padded by half a patch: the patch
# around (t, y, x) begins at (t, y, x) of the padded array. The source is padded likewise on the
# axes where it is a torus, and the patch around (t, y, x) begins at (t - ahead, y - up, x - aside).
# Matches lie in frames [front, back), rows [top, bottom) and columns [left, right) and, if `usable`
# is not empty, only on its ones. `usable`, `bias` (both of the unpadded source) and the norms are
# flat, empty when not used.
#
# Queries are numbered frame after frame and row after row of `width`, and so are rows, `height` in
# each of `frames`. The matches of query q begin at q * neighbours, each kept as one number: `pack`.
Problem = namedtuple(
    "Problem",
    "clip target target_stride target_plane source source_stride source_plane ahead up aside "
    "source_height source_width channels patch_size depth front back top bottom left right "
    "frames height width row_bits column_bits usable bias target_norms source_norms similarity "
    "active neighbours matches scores seed",
)


@inline
def pack(p, t, y, x):
    """Source position (t, y, x) as one number."""
    if len(p.clip):
        y |= t << p.row_bits
    return y << p.column_bits | x


@inline
def unpack(p, match):
    """The source position (t, y, x) of a match that is not -1."""
    t, y = 0, match >> p.column_bits
    x = match - (y << p.column_bits)
    if len(p.clip):
        t = y >> p.row_bits
        y -= t << p.row_bits
    return t, y, x


@inline
def frame_and_row(p, row):
    """The frame of a row of the target, and which of its rows it is."""
    if len(p.clip):
        return row // p.height, row % p.height
    return 0, row


@inline
def target_begin(p, t, y, x):
    """Where in the flat target the patch around (t, y, x) begins."""
    at = y * p.target_stride + x
    if len(p.clip):
        at += t * p.target_plane
    return at * p.channels


@inline
def source_begin(p, t, y, x):
    """Where in the flat source the patch around (t, y, x) begins."""
    at = (y - p.up) * p.source_stride + x - p.aside
    if len(p.clip):
        at += (t - p.ahead) * p.source_plane
    return at * p.channels


@inline
def target_pixel(p, t, y, x):
    """Which pixel of the target (t, y, x) is."""
    return (t * p.height + y) * p.width + x if len(p.clip) else y * p.width + x


@inline
def source_pixel(p, t, y, x):
    """Which pixel of the source (t, y, x) is."""
    return (t * p.source_height + y) * p.source_width + x if len(p.clip) else y * p.source_width + x
