"""The two steps that patch synthesis alternates: match every patch, rebuild from the matches."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from ..backends import random, run
from .checks import size_of
from .field import Field, grid
from .morphology import grown

PASSES = 2  # of PatchMatch in each alternation: it starts from the last field
THOROUGH = 30_000  # patches times passes: small scales, which decide the layout, get more passes
SHARP = 25.0  # percentile of the distances over a pixel that sharp weights go by
FIRST_PASSES = 10  # where there is no field yet
STILL = 1e-4  # mean change of the picture below which a scale is finished
MOVED = 2e-3  # change of a pixel above which its patches are searched for again
WEIGHED = 1e-2  # change of a distance above which what it weighs is rebuilt


@dataclass(frozen=True)
class Alternation:
    """Search and vote on one scale.

    source: (1, C, H2, W2) float32, what is matched. queries: (1, 1, H, W) bool, which patches of
    the target are matched. pinned: (1, C, H, W) values that the target has whatever the patches
    say, and (1, C, H, W) bool, where. source_mask: as in nearest_patch. sharp: weigh patches by
    how they compare with the best ones around, not by the reference's scale of 1.
    poll: called from long searches; may raise.
    """

    source: Tensor
    queries: Tensor
    patch_size: int
    wrap: tuple[bool, bool] = (False, False)
    seed: int = 0
    backend: str = "auto"
    pinned: tuple[Tensor, Tensor] | None = None
    source_mask: Tensor | None = None
    sharp: bool = False
    poll: Callable[[], None] | None = None

    def pin(self, target: Tensor) -> Tensor:
        """The target with the values that must stay."""
        if self.pinned is None:
            return target
        values, where = (part[:, : target.shape[1]] for part in self.pinned)
        return torch.where(where, values, target)

    def search(
        self,
        target: Tensor,
        field: Field | None,
        turn: int,
        passes: int | None = None,
        queries: Tensor | None = None,
    ) -> Field:
        """The field from `target`, or from its first channels alone, starting from `field`.

        passes: default PASSES, up to FIRST_PASSES on small scales.
        queries: which patches to search for, default all; the others keep their match in `field`.
        """
        if passes is None:
            affordable = THOROUGH // max(1, int(self.queries.sum()))
            passes = min(FIRST_PASSES, max(PASSES, affordable))
        source = self.source[:, : target.shape[1]]
        positions, distances = run(
            "nearest_patch",
            target,
            source,
            patch_size=self.patch_size,
            iterations=passes,
            target_mask=self.queries if queries is None else queries,
            source_mask=self.source_mask,
            wrap=self.wrap,
            positions=None if field is None else field.positions,
            seed=int(random.bits(self.seed, turn)),
            poll=self.poll,
            backend=self.backend,
        )
        if queries is not None and field is not None:
            positions = torch.where(queries[:, None], positions, field.positions)
            distances = torch.where(queries, distances, field.distances)
        return Field(positions, distances, self.patch_size, size_of(source), wrap=self.wrap)

    def rebuild(
        self, field: Field, values: Tensor | None = None, wanted: Tensor | None = None
    ) -> Tensor:
        """Every pixel as the weighted average of what the patches covering it say.

        values: (1, C, H2, W2), another map of the source instead of the source itself.
        wanted: (1, 1, H, W) bool, where; elsewhere the result means nothing.
        """
        values = self.source if values is None else values
        positions = field.positions
        if wanted is not None:  # patches that nobody asks need not speak
            asked = grown(wanted, self.patch_size // 2, self.wrap)
            positions = torch.where(asked[:, None], positions, -1)
        vote = partial(
            run,
            "vote",
            values,
            positions,
            field.distances,
            patch_size=self.patch_size,
            wrap=self.wrap,
            backend=self.backend,
        )
        scale = self._scale(field.distances, wanted)
        if self.sharp:
            return vote(scale=scale, mask=wanted)
        rebuilt = vote(scale=1.0, mask=wanted)
        if scale is not None:
            poor = scale > 1
            rebuilt = torch.where(poor, vote(scale=scale, mask=poor), rebuilt)
        return rebuilt

    def alternate(
        self, target: Tensor, field: Field, iterations: int
    ) -> Iterator[tuple[int, Tensor, Field, bool]]:
        """At most `iterations` searches and votes from `target`; fewer once it stands still.

        From the second on only those patches are searched for again in which the target has moved
        since they were, and only those pixels rebuilt that a patch with a new match covers: on fine
        scales, where the picture is copied in large pieces, most of it has settled at once.
        Yields (turn, target, field, whether it was the last) after each.
        """
        searched = target
        queries = self.queries
        for turn in range(iterations):
            if turn > 0:
                moved = ((target - searched).abs() > MOVED).any(dim=1, keepdim=True)
                searched = torch.where(moved, target, searched)
                queries = self.queries & grown(moved, self.patch_size // 2, self.wrap)
            found = self.search(target, field, turn, queries=queries)
            new = (found.positions != field.positions).any(dim=2)
            new |= (found.distances - field.distances).abs() > WEIGHED
            wanted = grown(new, self.patch_size // 2, self.wrap)
            rebuilt = self.pin(torch.where(wanted, self.rebuild(found, wanted=wanted), target))
            last = turn == iterations - 1 or float((rebuilt - target).abs().mean()) <= STILL
            target, field = rebuilt, found
            yield turn, target, field, last
            if last:
                return

    def _scale(self, distances: Tensor, wanted: Tensor | None) -> Tensor | None:
        """How soft the weights are, per pixel; None where 1 serves everywhere.

        max(1, 75th percentile of the distances around) as in the method's reference; where `sharp`,
        a patch at their 25th percentile weighs exp(-1/2), however small distances are.
        """
        if not self.sharp and not bool(((distances > 1) & distances.isfinite()).any()):
            return None
        percentile = run(
            "local_percentile",
            distances,
            patch_size=self.patch_size,
            percentile=SHARP if self.sharp else 75.0,
            floor=1e-12 if self.sharp else 1.0,
            wrap=self.wrap,
            mask=wanted,
            backend=self.backend,
        )
        return percentile.sqrt() if self.sharp else percentile


def whole_patches(
    size: tuple[int, int],
    patch_size: int,
    wrap: tuple[bool, bool],
    device: torch.device,
) -> Tensor:
    """(1, 1, H, W) bool: the centres of patches that lie whole in the image.

    A patch completed by reflection is symmetric and resembles nothing in a photograph: synthesis
    does without it, every pixel of the border is covered by whole patches as well.
    """
    mask = torch.ones((1, 1, *size), dtype=torch.bool, device=device)
    for axis, wraps in enumerate(wrap):
        if not wraps:
            index = torch.arange(size[axis], device=device)
            half = patch_size // 2
            inner = (index >= half) & (index < size[axis] - half)
            mask &= inner.view(-1, 1) if axis == 0 else inner
    return mask


def upscaled(
    field: Field, size: tuple[int, int], source_size: tuple[int, int], queries: Tensor
) -> Field:
    """The field on the next finer scale, for the patches in `queries`.

    The band of border pixels that have no whole patch takes on the offset of the nearest pixel that
    has one: twice as wide on the finer scale, part of it has whole patches there.
    """
    fine = _extended(field).upscale(size, source_size)
    return replace(
        fine,
        positions=torch.where(queries[:, :, None], fine.positions, -1),
        distances=torch.where(queries, fine.distances, torch.inf),
    )


def _extended(field: Field) -> Field:
    """The field with its border band (half a patch, where not wrapped) filled from inside."""
    index = []
    for side, wraps in zip(field.size, field.wrap, strict=True):
        half = 0 if wraps else field.patch_size // 2
        inner = torch.arange(side, device=field.positions.device).clamp(half, side - 1 - half)
        index.append(inner)
    near = torch.meshgrid(*index, indexing="ij")
    offsets = field.positions - grid(field.positions)
    positions = offsets[(..., *near)] + grid(field.positions)
    found = field.found[(..., *near)]
    moved = replace(field, positions=positions, distances=field.distances[(..., *near)])
    return moved._moved_inside(found)
