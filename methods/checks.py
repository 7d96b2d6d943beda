"""What methods ask of their inputs, said in words when it does not hold."""

import torch
from torch import Tensor


def by(size) -> str:
    """A size in words, 64x48."""
    return "x".join(str(int(n)) for n in size)


def size_of(image: Tensor) -> tuple[int, int]:
    """(H, W) of (B, C, H, W)."""
    return image.shape[2], image.shape[3]


def check_image(image: Tensor, name: str, *, batch: int | tuple[int, ...] | None = None) -> None:
    """Raise ValueError unless `image` is (B, C, H, W), floating, finite, and B one of `batch`."""
    if image.dim() != 4 or 0 in image.shape:
        raise ValueError(
            f"{name} has shape {tuple(image.shape)}, expected (B, C, H, W), none of them 0"
        )
    if not image.is_floating_point():
        raise ValueError(f"{name} is {image.dtype}, expected a floating type")
    wanted = (batch,) if isinstance(batch, int) else batch
    if wanted is not None and image.shape[0] not in wanted:
        words = " or ".join(str(n) for n in sorted(set(wanted)))
        raise ValueError(f"{name} is a batch of {image.shape[0]}, expected {words}")
    check_finite(image, name)


def check_clip(clip: Tensor, name: str, *, frames: int = 1, side: int = 1) -> None:
    """Raise ValueError unless `clip` is (B, C, T, H, W), floating, finite, and large enough."""
    if clip.dim() != 5 or 0 in clip.shape:
        raise ValueError(
            f"{name} has shape {tuple(clip.shape)}, expected (B, C, T, H, W), none of them 0"
        )
    if not clip.is_floating_point():
        raise ValueError(f"{name} is {clip.dtype}, expected a floating type")
    if clip.shape[2] < frames:
        raise ValueError(
            f"{name} has {clip.shape[2]} frames, but at least {frames} are needed; give a longer "
            "clip"
        )
    if min(clip.shape[3:]) < side:
        raise ValueError(
            f"the frames of {name} are {by(clip.shape[3:])}, but sides of at least {side} are "
            "needed; enlarge them"
        )
    check_finite(clip, name)


def check_finite(values: Tensor, name: str) -> None:
    """Raise ValueError, with their count, if any of the values is NaN or infinite."""
    precise = torch.float64 if values.dtype == torch.float64 else torch.float32
    if torch.isfinite(values.detach().sum(dtype=precise)):
        return  # one pass; a sum of finite values that overflows is looked at more closely
    bad = int((~torch.isfinite(values)).sum())
    if bad:
        raise ValueError(f"{bad} values of {name} are NaN or infinite; replace them first")


def check_patch_size(patch_size: int) -> None:
    """Raise ValueError unless the side of a patch is odd and 1 to 31."""
    if patch_size % 2 == 0 or not 1 <= patch_size <= 31:
        raise ValueError(f"patch_size {patch_size} is not an odd number from 1 to 31")


def largest_odd(room: int) -> int:
    """The largest odd side that fits into so many pixels or frames."""
    return room - 1 + room % 2


def check_mask(mask: Tensor, name: str, size: tuple[int, int], batch: int) -> None:
    """Raise ValueError unless `mask` is (1 or batch, 1, H, W) of the given size."""
    if mask.dim() != 4 or mask.shape[1] != 1 or mask.shape[0] not in (1, batch):
        raise ValueError(
            f"{name} has shape {tuple(mask.shape)}, expected ({batch}, 1, {size[0]}, {size[1]})"
        )
    if tuple(mask.shape[2:]) != tuple(size):
        raise ValueError(
            f"{name} is {by(mask.shape[2:])}, the image {by(size)}; resize one of them"
        )


def check_clip_mask(mask: Tensor, name: str, clip: Tensor) -> None:
    """Raise ValueError unless `mask` is (B or 1, 1, T or 1, H, W) of a clip (B, C, T, H, W)."""
    batch, _, frames, *size = clip.shape
    if mask.dim() != 5 or mask.shape[1] != 1 or mask.shape[0] not in (1, batch):
        raise ValueError(
            f"{name} has shape {tuple(mask.shape)}, expected ({batch}, 1, {frames} or 1, "
            f"{size[0]}, {size[1]})"
        )
    if mask.shape[2] not in (1, frames):
        raise ValueError(
            f"{name} has {mask.shape[2]} frames, the clip {frames}; give one for all, or as many"
        )
    if list(mask.shape[3:]) != size:
        raise ValueError(f"{name} is {by(mask.shape[3:])}, the clip {by(size)}; resize one of them")


def check_scales(name: str, size: tuple[int, int], scales: int, patch_size: int) -> None:
    """Raise ValueError unless a patch fits at the coarsest of `scales` halved sizes."""
    side = min(size)
    if -(-side // 2 ** (scales - 1)) >= patch_size:
        return
    fitting = 0
    while -(-side // 2**fitting) >= patch_size:
        fitting += 1
    coarsest = [-(-n // 2 ** (scales - 1)) for n in size]
    remedy = f"use at most {fitting} scales" if fitting else f"use a patch of at most {side}"
    raise ValueError(
        f"the {name} of {by(size)} is {by(coarsest)} at the coarsest of {scales} scales, smaller "
        f"than the patch of {patch_size}; {remedy}, or sides of at least "
        f"{(patch_size - 1) * 2 ** (scales - 1) + 1} pixels"
    )
