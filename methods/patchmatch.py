"""PatchMatch between any two images or clips: the field that everything else is made of."""

import torch
from torch import Tensor

from ..backends import run
from .checks import by, check_finite, check_patch_size
from .field import Field
from .steps import Callback, Step


def patchmatch(
    target: Tensor,
    source: Tensor,
    *,
    patch_size: int = 7,
    iterations: int = 5,
    neighbours: int = 1,
    similarity: str = "l2",
    exact: bool = False,
    target_mask: Tensor | None = None,
    source_mask: Tensor | None = None,
    bias: Tensor | None = None,
    wrap: tuple[bool, ...] = (False, False),
    source_wrap: tuple[bool, ...] = (False, False),
    field: Field | None = None,
    quality: str = "fast",
    seed: int = 0,
    memory: int = 1 << 28,
    backend: str = "auto",
    callback: Callback | None = None,
) -> Field:
    """For each patch of `target`, the most similar patches of `source`, as a Field.

    target: (B, C, H, W) or (B, C, T, H, W), floating, any finite range. source: the same with a
        size of its own; a batch of one serves all targets.
    patch_size: odd, 1 to 31. neighbours: how many, 1 to 31.
    iterations: passes of propagation and random search.
    similarity: "l2" (sum of squared differences), "dot" or "cosine" (their distance is minus the
        similarity).
    exact: compare with every source patch instead, in at most `memory` bytes of scratch; slow.
    target_mask: (B or 1, 1, H, W), > 0.5 where a match is wanted. source_mask: likewise, > 0.5
        where the source may be used; only patches that lie whole in it are.
    bias: (B or 1, 1, H2, W2) added to the distance of the source patch centred there, in the search
        only.
    wrap, source_wrap: per axis, read the target (the source) as a torus. Without wrap the patches
        at the target's border are completed by reflection; source patches always lie whole inside.
    field: a field between images of these sizes to start from; neighbours it lacks are drawn.
    quality: "fast", or "best" for a field closer to the exact one in a few times the time.
    callback: called now and then with a Step that carries the target; may raise to interrupt.
    Returns a Field with true distances, never with duplicates.
    Raises ValueError for arguments that do not fit each other, with the remedy.
    Barnes et al. 2009, doi:10.1145/1531326.1531330. Results depend on the seed, never on threads.
    """
    check_patch_size(patch_size)
    check_finite(target, "target")
    check_finite(source, "source")
    batch = target.shape[0]

    def each(tensor: Tensor | None, name: str) -> Tensor | None:
        if tensor is None:
            return None
        if tensor.shape[0] not in (1, batch):
            raise ValueError(f"{name} is a batch of {tensor.shape[0]}, the target one of {batch}")
        return tensor.expand(batch, *tensor.shape[1:])

    def mask(tensor: Tensor | None, name: str, like: Tensor) -> Tensor | None:
        if tensor is None:
            return None
        if tensor.shape[1] != 1 or tensor.shape[2:] != like.shape[2:]:
            raise ValueError(
                f"{name} is {by(tensor.shape[2:])} with {tensor.shape[1]} channels, but what it "
                f"masks is {by(like.shape[2:])}; give one channel of that size"
            )
        return each(tensor > 0.5, name)

    def poll() -> None:
        if callback is not None:
            callback(Step(0, 1, 0, 1, target))

    positions, distances = run(
        "nearest_patch",
        target,
        each(source, "source"),
        patch_size=patch_size,
        neighbours=neighbours,
        iterations=iterations,
        similarity=similarity,
        exact=exact,
        target_mask=mask(target_mask, "target_mask", target),
        source_mask=mask(source_mask, "source_mask", source),
        bias=each(bias, "bias"),
        wrap=wrap,
        source_wrap=source_wrap,
        positions=None if field is None else _start(field, target, source, neighbours),
        quality=quality,
        seed=seed,
        memory=memory,
        poll=poll,
        backend=backend,
    )
    axes = target.ndim - 2
    return Field(
        positions,
        distances,
        patch_size,
        tuple(source.shape[2:]),
        wrap=tuple(wrap) if any(wrap) else (False,) * axes,
        source_wrap=tuple(source_wrap) if any(source_wrap) else (False,) * axes,
    )


def _start(field: Field, target: Tensor, source: Tensor, neighbours: int) -> Tensor:
    """The positions of a field to start from, with as many neighbours as are wanted."""
    field.validate()
    if field.size != tuple(target.shape[2:]) or field.source_size != tuple(source.shape[2:]):
        raise ValueError(
            f"the field to start from leads from {by(field.size)} to {by(field.source_size)}, the "
            f"images are {by(target.shape[2:])} and {by(source.shape[2:])}; upscale the field first"
        )
    batch, given = target.shape[0], field.positions.shape[0]
    if given not in (1, batch):
        raise ValueError(f"the field to start from is a batch of {given}, the target of {batch}")
    positions = field.positions[:, :neighbours].expand(batch, *[-1] * (field.positions.dim() - 1))
    lacking = neighbours - positions.shape[1]
    if lacking:
        none = positions.new_full((batch, lacking, *positions.shape[2:]), -1)
        positions = torch.cat((positions, none), 1)
    return positions
