"""Make an existing picture tile: remake a band across its borders, leave the rest as it is."""

import torch
from torch import Tensor

from .checks import by, check_image, check_patch_size, size_of
from .field import Field
from .region import Remake
from .steps import Callback


def make_tileable(
    image: Tensor,
    *,
    axes: tuple[bool, bool] = (True, True),
    band: float = 0.25,
    patch_size: int = 7,
    iterations: int = 10,
    texture: float = 5.0,
    seed: int = 0,
    backend: str = "auto",
    callback: Callback | None = None,
) -> tuple[Tensor, Field]:
    """Make a picture repeat without a seam by remaking the band in which its borders meet.

    image: (1, C, H, W) floating. axes: (y, x), along which it shall tile.
    band: share of the side that is remade, half of it at either border; wider bands join more
        different borders, but leave less to take patches from.
    Patches of the result are compared across the borders; those of the picture are taken whole from
    outside the band.
    callback: called with a Step before the first and after every alternation.
    Returns the picture, the same bits outside the band, and the Field of the band's patches, -1
    elsewhere: apply it to the other maps of a material.
    Raises ValueError if the band, or what is left beside it, is thinner than a patch.
    """
    check_image(image, "image", batch=1)
    check_patch_size(patch_size)
    if not 0 < band < 1:
        raise ValueError(f"band {band} is not a share between 0 and 1")
    wrap = (bool(axes[0]), bool(axes[1]))
    if not any(wrap):
        raise ValueError("axes names no axis to make the picture tile along; set one to True")
    size = size_of(image)
    region = torch.zeros((1, 1, *size), dtype=torch.bool, device=image.device)
    thinnest = min(size)
    for axis, side in enumerate(size):
        if wrap[axis]:
            half = max(1, round(side * band / 2))
            thinnest = min(thinnest, 2 * half, side - 2 * half)
            region.narrow(2 + axis, 0, half).fill_(True)
            region.narrow(2 + axis, side - half, half).fill_(True)
    if thinnest < patch_size:
        raise ValueError(
            f"a band of {band} leaves a strip of {thinnest} pixels of {by(size)}, thinner than the "
            f"patch of {patch_size}; change band or patch_size, or use a larger picture"
        )
    scales = 1
    while thinnest // 2**scales >= patch_size:  # at the coarsest a patch sees across the band
        scales += 1
    remake = Remake.of(
        image, region, None, scales=scales, patch_size=patch_size, texture=texture, wrap=wrap
    )
    made, field = remake.run(
        image,
        start_scale=0,
        iterations=iterations,
        seed=seed,
        backend=backend,
        callback=callback,
    )
    return torch.where(region, made, image), field
