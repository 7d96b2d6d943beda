"""Nearest patches in plain torch, on any device: PatchMatch by jump flooding, or exhaustive search."""

from collections.abc import Callable

from torch import Tensor

MEMORY = 256 << 20  # bytes of scratch, unless the caller states a budget


def why_not(target: Tensor, source: Tensor, **_) -> str | None:
    return None


def nearest_patch(
    target: Tensor,
    source: Tensor,
    *,
    patch_size: int,
    neighbours: int = 1,
    iterations: int = 5,
    similarity: str = "l2",
    exact: bool = False,
    target_mask: Tensor | None = None,
    source_mask: Tensor | None = None,
    bias: Tensor | None = None,
    wrap: tuple[bool, ...] = (False, False),
    source_wrap: tuple[bool, ...] = (False, False),
    positions: Tensor | None = None,
    radius: int | None = None,
    quality: str = "fast",
    seed: int = 0,
    memory: int = MEMORY,
    poll: Callable[[], None] | None = None,
) -> tuple[Tensor, Tensor]:
    """For each patch of `target`, the `neighbours` most similar patches of `source`.

    target: (B, C, H, W) or (B, C, T, H, W), floating, finite. source: (B, C, H2, W2) or clip.
    patch_size: odd side of the square (cube) patch. neighbours: 1 to 31.
    similarity: "l2" (distance = sum of squared differences over the patch and channels), "dot"
        (distance = minus the inner product), "cosine" (minus the normalised inner product).
    exact: compare with every source patch, in chunks that keep to `memory` bytes of scratch.
    target_mask: (B, 1, H, W) bool, True where a match is wanted; elsewhere the answer is -1 and inf.
    source_mask: (B, 1, H2, W2) bool, True = may be used; only patches all of whose pixels may be used
        are candidates.
    bias: (B, 1, H2, W2) float32 added to the distance of the source patch centred there while
        searching; the returned distances are without it, the order is by the biased ones.
    wrap: per axis, target patches that leave the image come in at the other side; without it they are
        completed by reflection, so border queries are real queries.
    source_wrap: per axis, source patches may also cross the border and come in at the other side;
        without it only patches that lie whole in the source are candidates.
    positions: (B, k, 2, H, W) int32 warm start, -1 = none; invalid ones are replaced by random ones.
    radius: of the first random-search window in pixels; None = the whole source, 0 = no random search.
    iterations: passes of propagation and random search; 0 only evaluates the start.
    quality: "best" spends more on candidates.
    poll: called in the calling thread at least every 0.25 s of work; may raise to interrupt.
    Returns positions (B, k, 2, H, W) int32 (y, x) of source patch centres, best first, and distances
        (B, k, H, W) float32, recomputed from the given data; -1 and inf where fewer than k exist.
    Barnes et al. 2009, doi:10.1145/1531326.1531330; k neighbours: Barnes et al. 2010.
    """
    raise NotImplementedError
