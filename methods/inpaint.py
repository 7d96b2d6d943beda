"""Hole filling by patches: every patch over the hole becomes one that the picture has elsewhere."""

import torch
import torch.nn.functional as F
from torch import Tensor

from .checks import check_image, check_mask, check_patch_size
from .field import Field
from .hole import Setting
from .hole_filling import fill_holes
from .steps import Callback


def inpaint(
    image: Tensor,
    mask: Tensor,
    *,
    patch_size: int = 7,
    levels: int | None = None,
    iterations: int = 10,
    upsample: str = "field",
    wrap: tuple[bool, bool] = (False, False),
    source_mask: Tensor | None = None,
    avoid_mask: Tensor | None = None,
    guide: Tensor | None = None,
    guide_weight: float = 1.0,
    memory: int = 2 << 30,
    seed: int = 0,
    backend: str = "auto",
    callback: Callback | None = None,
) -> tuple[Tensor, Field]:
    """Fill the hole of each image with patches from the rest of it.

    image: (B, C, H, W) floating, any finite range; of 4 or more channels the first three are
        compared and the rest (alpha ...) comes along with the patches.
    mask: (B or 1, 1, H, W) in [0, 1]; where it is exactly 0 the image comes back bit for bit,
        elsewhere fill and image are mixed in its proportion.
    patch_size: odd. levels: scales, each half the next; None = until a patch covers the hole.
    iterations: at most so many alternations of search and vote per scale.
    upsample: between scales carry on the "field" (sharp) or the "image" (softer).
    wrap: (y, x), the image is a torus along these axes: the hole may cross its border.
    source_mask: (B or 1, 1, H, W), copy only from where it is > 0.5. avoid_mask: only from where it
        is not.
    guide: (B or 1, G, h, w), known in the hole as well (a rough fill, depth, labels), resized to
        the image; the squared difference of its values, times guide_weight^2, adds to distances.
    memory: bytes of scratch beyond image and result. Where the whole picture does not fit, patches
        come from as large a window around the hole as does.
    callback: called with a Step before the first and after every alternation; its image is what
        surrounds the hole.
    Returns the filled images and the Field that fills them (identity away from the hole), which
        fills other maps of the picture likewise: field.apply(map).
    Raises ValueError for a mask that leaves nothing to copy from, a wrong size, and so on.
    """
    check_image(image, "image")
    check_patch_size(patch_size)
    size, batch = (image.shape[2], image.shape[3]), image.shape[0]
    if upsample not in ("field", "image"):
        raise ValueError(f"upsample {upsample!r} is not one of field, image")
    for name, number in (("iterations", iterations), ("levels", levels), ("memory", memory)):
        if number is not None and number < 1:
            raise ValueError(f"{name} has to be positive, got {number}")
    allowed = torch.ones((1, 1, *size), dtype=torch.bool, device=image.device)
    for name, given, wanted in (
        ("mask", mask, None),
        ("source_mask", source_mask, True),
        ("avoid_mask", avoid_mask, False),
    ):
        if given is not None:
            check_mask(given, name, size, batch)
            if wanted is not None:
                allowed = allowed & ((given > 0.5) == wanted)
    if guide is not None:
        check_image(guide, "guide", batch=(1, batch))
        guide = guide_weight * F.interpolate(
            guide.float(), size=size, mode="bilinear", antialias=True
        )
    setting = Setting(
        patch_size, levels, iterations, upsample == "image", (bool(wrap[0]), bool(wrap[1])),
        memory, seed, backend,
    )  # fmt: skip
    return fill_holes(image, mask, allowed, guide, setting, callback)
