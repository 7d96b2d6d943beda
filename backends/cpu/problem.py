"""One search of one picture, as the kernels see it."""

from collections import namedtuple

from .compile import inline

# `target` and `source` are flat (y, x, channel) arrays. The target is padded by half a patch: the
# patch around pixel (y, x) begins at (y, x) of the padded array. The source is padded likewise on
# the axes where it is a torus, and the patch around (y, x) begins at (y - up, x - aside). Matches
# lie in rows [top, bottom) and columns [left, right) and, if `usable` is not empty, only on its
# ones. `usable`, `bias` (both of the unpadded source) and the norms are flat, empty when not used.
# Matches are kept as y << 16 | x; those of query (y, x) begin at (y * width + x) * neighbours.
Problem = namedtuple(
    "Problem",
    "target target_stride source source_stride up aside source_width channels patch_size "
    "top bottom left right width usable bias target_norms source_norms similarity active "
    "neighbours matches scores seed",
)


@inline
def target_begin(p, y, x):
    """Where in the flat target the patch around (y, x) begins."""
    return (y * p.target_stride + x) * p.channels


@inline
def source_begin(p, y, x):
    """Where in the flat source the patch around (y, x) begins."""
    return ((y - p.up) * p.source_stride + x - p.aside) * p.channels
