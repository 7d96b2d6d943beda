"""What every backend's patch search begins with: checked arguments, padded images, usable patches.

Images are (B, C, *size), `size` being (H, W) or (T, H, W). Beside (y, x) a pixel also goes by its
linear index in row-major order. Once an image is padded by half a patch on every side, the patch
around pixel p starts at p in the padded image, with or without wrap.
"""

from collections.abc import Sequence
from itertools import product
from math import ceil

import torch
from torch import Tensor

from .random import below

SIMILARITIES = ("l2", "dot", "cosine")
QUALITIES = ("fast", "best")
MOST_NEIGHBOURS = 31
JUMPS = (8, 4, 2, 1)  # how far propagation looks, one step after the other

Flags = tuple[bool, ...]


def flags(wrap: Sequence[bool], axes: int, name: str = "wrap") -> Flags:
    """One flag per axis; no axis wrapped may be said by flags of any length."""
    if not any(wrap):
        return (False,) * axes
    if len(wrap) != axes:
        raise ValueError(f"{name} needs {axes} flags, one per axis, not {len(wrap)}")
    return tuple(bool(flag) for flag in wrap)


def check_patch_size(patch_size: int) -> None:
    """Raise ValueError unless `patch_size` is odd and positive."""
    if patch_size < 1 or patch_size % 2 == 0:
        raise ValueError(
            f"patch_size must be odd and at least 1, not {patch_size}; "
            f"{max(1, patch_size - 1)} and {max(1, patch_size + 1)} would do"
        )


def check_map(name: str, given: Tensor | None, shape: Sequence[int], what: str) -> None:
    """Raise ValueError unless `given` is None or has exactly `shape`."""
    if given is not None and tuple(given.shape) != tuple(shape):
        raise ValueError(f"{name} is {tuple(given.shape)} but {what} needs {tuple(shape)}")


def check(
    target: Tensor,
    source: Tensor,
    *,
    patch_size: int,
    neighbours: int,
    iterations: int,
    similarity: str,
    quality: str,
    radius: int | None,
    target_mask: Tensor | None,
    source_mask: Tensor | None,
    bias: Tensor | None,
    wrap: Flags,
    source_wrap: Flags,
    positions: Tensor | None,
    exact: bool = False,
) -> None:
    """Raise ValueError, with the rule and the values, for arguments that no search can take."""
    for name, image in (("target", target), ("source", source)):
        if image.ndim not in (4, 5) or not image.is_floating_point() or not image.numel():
            raise ValueError(
                f"{name} must be floating, (B, C, H, W) or (B, C, T, H, W) and not empty; "
                f"it is {tuple(image.shape)} {image.dtype}"
            )
    if target.ndim != source.ndim or target.shape[:2] != source.shape[:2]:
        raise ValueError(
            "target and source must have the same batch size and channels; "
            f"they are {tuple(target.shape)} and {tuple(source.shape)}"
        )
    if target.device != source.device:
        raise ValueError(f"target lies on {target.device} but source on {source.device}")
    if neighbours < 1 or neighbours > MOST_NEIGHBOURS and not exact:
        raise ValueError(
            f"neighbours must be 1 to {MOST_NEIGHBOURS}, not {neighbours} "
            "(an exact search takes more)"
        )
    if iterations < 0:
        raise ValueError(f"iterations must be 0 or more, not {iterations}")
    if radius is not None and radius < 0:
        raise ValueError(f"radius must be None, 0 or more pixels, not {radius}")
    if similarity not in SIMILARITIES:
        raise ValueError(f"similarity {similarity!r} is not one of {', '.join(SIMILARITIES)}")
    if quality not in QUALITIES:
        raise ValueError(f"quality {quality!r} is not one of {', '.join(QUALITIES)}")
    size, batch = target.shape[2:], target.shape[0]
    check_patch_size(patch_size)
    _check_fit(size, source.shape[2:], patch_size, wrap, source_wrap)
    for name, mask, space in (
        ("target_mask", target_mask, size),
        ("source_mask", source_mask, source.shape[2:]),
    ):
        check_map(name, mask, (batch, 1, *space), f"a {'x'.join(map(str, space))} image")
        if mask is not None and mask.dtype != torch.bool:
            raise ValueError(f"{name} must be bool, not {mask.dtype}; compare it with 0.5 first")
    check_map("bias", bias, (batch, 1, *source.shape[2:]), "the source")
    check_map("positions", positions, (batch, neighbours, len(size), *size), "this search")


def check_vote(
    values: Tensor,
    positions: Tensor,
    distances: Tensor,
    patch_size: int,
    scale: Tensor | float,
    mask: Tensor | None,
) -> None:
    """Raise ValueError, with the rule and the values, for arguments that no vote can take."""
    check_patch_size(patch_size)
    axes = values.ndim - 2
    if axes not in (2, 3) or not values.is_floating_point():
        raise ValueError(
            "values must be floating, (B, C, H2, W2) or (B, C, T2, H2, W2); "
            f"they are {tuple(values.shape)} {values.dtype}"
        )
    if positions.ndim != axes + 3 or (len(positions), positions.shape[2]) != (len(values), axes):
        raise ValueError(
            f"positions must be ({len(values)}, k, {axes}, ...) for values of "
            f"{tuple(values.shape)}, not {tuple(positions.shape)}"
        )
    batch, neighbours, _, *size = positions.shape
    check_map("distances", distances, (batch, neighbours, *size), "the field")
    check_map("mask", mask, (batch, 1, *size), "the field")
    if isinstance(scale, Tensor):
        check_map("scale", scale, (batch, 1, *size), "the field")
    elif not scale > 0:
        raise ValueError(f"scale must be positive, not {scale}")


def check_percentile(
    distances: Tensor, patch_size: int, percentile: float, mask: Tensor | None
) -> None:
    """Raise ValueError, with the rule and the values, for arguments that no percentile can take."""
    check_patch_size(patch_size)
    if distances.ndim not in (4, 5) or distances.shape[1] != 1:
        raise ValueError(
            f"distances must be (B, 1, H, W) or (B, 1, T, H, W), not {tuple(distances.shape)}"
        )
    if not 0 <= percentile <= 100:
        raise ValueError(f"percentile must be 0 to 100, not {percentile}")
    check_map("mask", mask, distances.shape, "the distances")


def _check_fit(
    size: Sequence[int],
    source_size: Sequence[int],
    patch_size: int,
    wrap: Flags,
    source_wrap: Flags,
) -> None:
    shown, source_shown = ("x".join(map(str, s)) for s in (size, source_size))
    room = [n for n, around in zip(source_size, source_wrap, strict=True) if not around]
    if room and min(room) < patch_size:
        raise ValueError(
            f"patch_size {patch_size} does not fit a {source_shown} source; "
            f"use at most {min(room) - 1 + min(room) % 2}, or enlarge the source"
        )
    room = [n for n, around in zip(size, wrap, strict=True) if not around]
    if room and min(room) <= patch_size // 2:
        raise ValueError(
            f"patch_size {patch_size} cannot be reflected at the border of a {shown} target; "
            f"use at most {2 * min(room) - 1}, or enlarge the target"
        )


def pad(image: Tensor, half: int, wrap: Flags, fill: float | None = None) -> Tensor:
    """`image` with `half` more pixels on each side of its last len(wrap) axes.

    They come from the other side on wrapped axes, elsewhere by reflection about the border pixel,
    or are `fill` if that is given.
    """
    if half == 0:
        return image
    for axis, around in enumerate(wrap, image.ndim - len(wrap)):
        n = image.shape[axis]
        index = torch.arange(-half, n + half, device=image.device)
        if around:
            image = image.index_select(axis, index % n)
        elif fill is None:
            image = image.index_select(axis, (n - 1) - ((n - 1) - index.abs()).abs())
        else:
            border = image.new_full((*image.shape[:axis], half, *image.shape[axis + 1 :]), fill)
            image = torch.cat((border, image, border), axis)
    return image


def pad_torus(image: Tensor, half: int, wrap: Flags) -> Tensor:
    """`image` with `half` more pixels on each side of its wrapped axes alone."""
    for axis, around in enumerate(wrap, image.ndim - len(wrap)):
        if around and half:
            n = image.shape[axis]
            index = torch.arange(-half, n + half, device=image.device)
            image = image.index_select(axis, index % n)
    return image


def source_centres(
    source: Tensor, source_mask: Tensor | None, patch_size: int, source_wrap: Flags
) -> Tensor:
    """(B, *size) bool, True at the centres of source patches that may be matched.

    Raises ValueError where a picture of the batch has none.
    """
    shape = (source.shape[0], *source.shape[2:])
    if source_mask is None:
        usable = torch.ones(shape, dtype=torch.bool, device=source.device)
    else:
        usable = source_mask.to(source.device).reshape(shape)
    usable = pad(usable, patch_size // 2, source_wrap, fill=False)
    for axis, n in enumerate(shape[1:], 1):
        whole = usable.narrow(axis, 0, n).clone()
        for offset in range(1, patch_size):
            whole &= usable.narrow(axis, offset, n)
        usable = whole
    empty = ~usable.flatten(1).any(1)
    if empty.any():
        raise ValueError(
            f"source_mask leaves no whole {patch_size}-pixel patch to match in picture "
            f"{int(empty.int().argmax())} of the batch; use a smaller patch or a larger mask"
        )
    return usable


def unravel(index: Tensor, size: Sequence[int]) -> list[Tensor]:
    """The coordinates, axis by axis, of linear indices into a grid of `size`."""
    coordinates = []
    for n in reversed(size):
        rest = torch.div(index, n, rounding_mode="floor")
        coordinates.append(index - rest * n)
        index = rest
    return coordinates[::-1]


def ravel(coordinates: Sequence[Tensor], size: Sequence[int]) -> Tensor:
    """The linear indices of coordinates in a grid of `size`; the inverse of `unravel`."""
    index = coordinates[0]
    for coordinate, n in zip(coordinates[1:], size[1:], strict=True):
        index = index * n + coordinate
    return index


def corners(index: Tensor, size: Sequence[int], patch_size: int) -> Tensor:
    """Where in the padded grid, as linear indices, the patches around the pixels `index` begin."""
    return ravel(unravel(index, size), [n + patch_size - 1 for n in size])


def steps(patch_size: int, size: Sequence[int]) -> list[tuple[tuple[int, ...], int]]:
    """The pixels of a patch in row-major order: each one's offset from the centre, and how far
    behind the patch's corner it lies in the padded grid, as a linear index."""
    padded = [n + patch_size - 1 for n in size]
    listed = []
    for place in product(range(patch_size), repeat=len(padded)):
        step = 0
        for i, n in zip(place, padded, strict=True):
            step = step * n + i
        listed.append((tuple(i - patch_size // 2 for i in place), step))
    return listed


def ranks(most: int, percentile: float) -> Tensor:
    """For n = 0 to `most` values, which of them in rising order (from 0) is the percentile: the
    first with at least that share at or below it."""
    # Python's floats: exact wherever percentile * n / 100 is whole
    return torch.tensor([max(1, ceil(percentile * n / 100)) - 1 for n in range(most + 1)])


def start(
    queries: Tensor, usable: Tensor, given: Tensor | None, neighbours: int, seed: int
) -> Tensor:
    """The first matches: (n, neighbours) int64 linear source indices, all different in each row.

    queries: (n,) linear target indices. usable: (*source size) bool. given: None, or (n,
    neighbours, axes) positions, which are kept where they are usable and new to their row; the
    others are spread evenly over the usable patches from a random one on. -1 where there are fewer
    than `neighbours`.
    """
    size = usable.shape
    centres = usable.flatten().nonzero().squeeze(1)
    count = len(centres)
    spread = torch.arange(neighbours, device=queries.device) * count // neighbours
    # positions are handled by their rank among the usable ones
    rank = (spread + below(count, seed, queries[:, None], 0, 0)) % count
    if given is not None:
        limits = torch.tensor(size, device=given.device)
        inside = ((given >= 0) & (given < limits)).all(-1)
        index = ravel((given.long() * inside[..., None]).unbind(-1), size)
        inside &= usable.flatten()[index]
        rank_of = usable.flatten().cumsum(0) - 1
        rank = torch.where(inside, rank_of[index], rank)
    for j in range(1, min(neighbours, count)):
        for _ in range(j):
            taken = (rank[:, :j] == rank[:, j : j + 1]).any(1)
            if not taken.any():
                break
            rank[:, j] = torch.where(taken, (rank[:, j] + 1) % count, rank[:, j])
    matches = centres[rank]
    matches[:, count:] = -1
    return matches
