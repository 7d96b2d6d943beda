"""Paste and harmonise: make a pasted object of the stuff that the picture around it is made of."""

import torch
from torch import Tensor

from .checks import check_image, check_mask, check_patch_size, size_of
from .field import Field
from .region import Remake
from .steps import Callback


def harmonise(
    image: Tensor,
    mask: Tensor,
    *,
    reference: Tensor | None = None,
    scales: int = 4,
    start_scale: int = 1,
    patch_size: int = 7,
    bands: int = 2,
    iterations: int = 10,
    texture: float = 5.0,
    seed: int = 0,
    backend: str = "auto",
    callback: Callback | None = None,
) -> tuple[Tensor, Field]:
    """Remake what was pasted into a picture out of patches of the picture itself.

    image: (1, C, H, W) floating, with the object pasted in. mask: (1, 1, H, W), 1 = the object; a
        pixel with exactly 0 comes back bit for bit, between them old and new are blended.
    reference: (1, C, H2, W2) to take the patches from, default the image outside the mask.
    scales: halved sizes, counted with the full one. start_scale: the one to begin with, 0 =
        coarsest; the finer, the closer the object stays to what was pasted.
    bands: so many of the coarsest bands of the object's Laplacian pyramid are kept: its colours and
        shading and, with more, its drawing; 0 = none, and the object may vanish.
    callback: called with a Step before the first and after every alternation.
    Returns the image and the Field that its new part is made of, from the image to the reference.
    Raises ValueError for images that do not fit the patch, a full mask without a reference, and
    wrong shapes.
    The patch analogue of harmonisation in Shaham et al. 2019, doi:10.1109/ICCV.2019.00467, with the
    Laplacian pyramid that Cherel 2024, III.4.4, proposes for it.
    """
    check_image(image, "image", batch=1)
    check_mask(mask, "mask", size_of(image), 1)
    check_patch_size(patch_size)
    for name, number, most in (("start_scale", start_scale, scales - 1), ("bands", bands, scales)):
        if not 0 <= number <= most:
            raise ValueError(f"{name} {number} is not within 0 to {most}, for {scales} scales")
    remake = Remake.of(
        image,
        mask > 0,
        reference,
        scales=scales,
        patch_size=patch_size,
        texture=texture,
        bands=bands,
    )
    made, field = remake.run(
        image,
        start_scale=start_scale,
        iterations=iterations,
        seed=seed,
        backend=backend,
        callback=callback,
    )
    weight = mask.clamp(0, 1).to(image.dtype)
    blended = torch.where(weight < 1, image + (made - image) * weight, made)
    return torch.where(mask > 0, blended, image), field
