"""Between ComfyUI's data and the methods': the only place that knows ComfyUI's shapes.

ComfyUI: images [B, H, W, C] float32 or float16, C 1, 3 or 4; masks [H, W], [B, H, W] or
[B, 1, H, W], and [1, 64, 64] zeros for a picture without alpha. Methods: (B, C, H, W) and
(B, 1, H, W), float32. Nothing here is written to in place.
"""

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from .api import host

if TYPE_CHECKING:  # torch is imported when a node runs, not when it is listed
    from collections.abc import Iterable

    import torch
    from torch import Tensor

    from ..methods.field import Field
    from ..methods.steps import Step

WRAPS = ["none", "x", "y", "both"]
BACKENDS = ["auto", "cpu", "cuda", "eager"]
SCALES_SIDE = 1024  # pictures of the scales are for looking at: no larger than this


def device(backend: str) -> "torch.device":
    """Where the tensors of a method go, from the node's backend and the host's device."""
    import torch

    from ..backends import why_not_installed

    gpu = torch.cuda.is_available() and host.device_name() in ("auto", "cuda")
    if backend == "cpu":
        return torch.device("cpu")
    if gpu and (backend != "auto" or why_not_installed("cuda") is None):
        return torch.device("cuda")
    return torch.device("mps" if host.device_name() == "mps" else "cpu")


def measuring_device(backend: str = "auto") -> "torch.device":
    """As `device`, for metrics: they add in float64, which an Apple GPU lacks; then the CPU."""
    import torch

    chosen = device(backend)
    return torch.device("cpu") if chosen.type == "mps" else chosen


def network_device() -> "torch.device":
    """Where networks are trained and run: as `device`, without asking for kernels of ours."""
    return device("eager")


def image(value: "Tensor", device: "torch.device", channels: int | None = None) -> "Tensor":
    """IMAGE to (B, C, H, W) float32; channels keeps only so many (3 drops the alpha)."""
    if value.dim() == 3:
        value = value.unsqueeze(0)
    if value.dim() != 4:
        raise ValueError(f"an IMAGE has the shape [B, H, W, C], not {list(value.shape)}")
    return value[..., :channels].movedim(-1, 1).to(device).float().contiguous()


def clip(frames: "Tensor | None") -> "Tensor | None":
    """Frames as this module gives them, (T, C, H, W), as one clip (1, C, T, H, W); None stays
    None."""
    return None if frames is None else frames.movedim(0, 1)[None]


def mask(
    value: "Tensor | None", size: tuple[int, int], device: "torch.device", name: str = "mask"
) -> "Tensor | None":
    """MASK to (B, 1, H, W) float32 of `size` (H, W); None stays None.

    ComfyUI's 64x64 zeros, its way to say that a picture has no alpha, become an empty mask.
    Raises ValueError naming both sizes for any other size.
    """
    import torch

    if value is None:
        return None
    if value.dim() < 2 or value.dim() > 4 or (value.dim() == 4 and value.shape[1] != 1):
        raise ValueError(f"{name}: a MASK has the shape [B, H, W], not {list(value.shape)}")
    flat = value.reshape(-1, 1, *value.shape[-2:])
    if tuple(flat.shape[-2:]) != tuple(size):
        if tuple(flat.shape[-2:]) != (64, 64) or flat.any():
            height, width = flat.shape[-2:]
            raise ValueError(
                f"{name} is {width}x{height}, but the image is {size[1]}x{size[0]}; "
                "scale it to the image's size"
            )
        flat = torch.zeros(flat.shape[0], 1, *size)
    return flat.to(device).float()


def same_batch(**values: "Tensor | None") -> "list[Tensor | None]":
    """All tensors with one batch size: those of 1 are repeated, None stays None.

    Raises ValueError naming the sizes where two differ and neither is 1.
    """
    sizes = {name: v.shape[0] for name, v in values.items() if v is not None}
    many = {name: size for name, size in sizes.items() if size != 1}
    if len(set(many.values())) > 1:
        told = ", ".join(f"{name} has {size}" for name, size in many.items())
        raise ValueError(f"batch sizes differ: {told}; each must be 1 or the same number")
    size = max(sizes.values())
    return [v if v is None else v.expand(size, *v.shape[1:]) for v in values.values()]


def to_image(value: "Tensor") -> "Tensor":
    """(B, C, H, W), or one clip (1, C, T, H, W), to IMAGE [B, H, W, C], float32 on the CPU."""
    if value.dim() == 5:
        value = value[0].movedim(0, 1)
    return value.detach().movedim(1, -1).to("cpu").float().contiguous()


def to_mask(value: "Tensor") -> "Tensor":
    """(1, 1, T, H, W), one for each frame of a clip, to MASK [T, H, W], float32 on the CPU."""
    return value[0, 0].detach().to("cpu").float().contiguous()


def field(value: "Field", device: "torch.device") -> "Field":
    """A field from a socket, its positions checked (an edited one must not reach a kernel)."""
    value.validate()
    return _moved(value, device)


def field_for(value: "Field", size: tuple[int, int], device: "torch.device") -> "Field":
    """A field from a socket, enlarged where its source is smaller than `size`, a map's (H, W); of a
    clip, its frames.

    Raises ValueError naming both sizes if their proportions differ, or the map is smaller.
    """
    value, source = field(value, device), value.source_size
    frames, (height, width) = source[:-2], source[-2:]
    if tuple(size) == (height, width):
        return value
    factor = size[0] / height
    if factor < 1 or round(width * factor) != size[1]:
        raise ValueError(
            f"the image is {size[1]}x{size[0]}, but the field's source was "
            f"{width}x{height}; give a map of that size, or of a larger one in the same "
            "proportion"
        )
    sides = (round(side * factor) for side in value.size[-2:])
    return value.upscale((*value.size[:-2], *sides), (*frames, *size))


def same_batch_of(value: "Field", values: "Tensor") -> "tuple[Field, Tensor]":
    """A field and a map with one batch size."""
    positions, distances, values = same_batch(
        field=value.positions, distances=value.distances, image=values
    )
    return replace(value, positions=positions, distances=distances), values


def joined(results: "Iterable[tuple[Tensor, Field]]") -> "tuple[Tensor, Field]":
    """The results of one picture each, (1, C, H, W) and its field, as one batch."""
    import torch

    pictures, fields = zip(*results, strict=True)
    positions = torch.cat([each.positions for each in fields])
    distances = torch.cat([each.distances for each in fields])
    return torch.cat(pictures), replace(fields[0], positions=positions, distances=distances)


def to_field(value: "Field") -> "Field":
    """A field for a socket: on the CPU."""
    return _moved(value, "cpu")


def _moved(value: "Field", device: "torch.device | str") -> "Field":
    positions, distances = value.positions.to(device), value.distances.to(device)
    return replace(value, positions=positions, distances=distances)


def wrap(choice: str) -> tuple[bool, bool]:
    """The menu's word to (y, x)."""
    return choice in ("y", "both"), choice in ("x", "both")


def size_of(value: "Tensor") -> tuple[int, int]:
    """(H, W) of an IMAGE."""
    return value.shape[-3], value.shape[-2]


class Progress:
    """The `callback(step)` of a run: moves the host's bar, shows the picture, lets cancel through.

    Collects the picture of every finished scale.
    """

    INTERVAL = 0.1  # seconds between two messages

    def __init__(self) -> None:
        self._scales: list[Tensor] = []
        self._last = 0.0
        self._sent: Tensor | None = None

    def __call__(self, step: "Step") -> None:
        if step.level_done and step.image is not None:
            self._scales.append(_shown_size(step.image))
        now = time.monotonic()
        if step.level_done or now - self._last >= self.INTERVAL:
            self._last = now
            new = step.image is not None and step.image is not self._sent
            wanted = new and host.wants_preview()
            host.progress(step.done, step.total, _preview(step.image) if wanted else None)
            self._sent = step.image

    def scales(self, result: "Tensor") -> "Tensor":
        """IMAGE batch: every scale, coarsest first, enlarged to the last one's size."""
        import torch
        from torch.nn.functional import interpolate

        pictures = self._scales or [_shown_size(result)]
        height, width = pictures[-1].shape[-2:]
        enlarged = [interpolate(p, size=(height, width), mode="nearest-exact") for p in pictures]
        return to_image(torch.cat(enlarged))


def _shown_size(picture: "Tensor") -> "Tensor":
    """A copy on the CPU, reduced to SCALES_SIDE where it is larger."""
    from torch.nn.functional import interpolate

    picture = picture.detach().float()
    share = SCALES_SIDE / max(picture.shape[-2:])
    if share < 1:
        height, width = (max(1, round(side * share)) for side in picture.shape[-2:])
        picture = interpolate(picture, size=(height, width), mode="area")
    return picture.to("cpu", copy=True)


def _preview(picture: "Tensor"):
    """The first picture of a batch as PIL image, for the node."""
    from PIL import Image

    pixels = _shown_size(picture[:1, :3]).clamp(0, 1).mul(255).round().byte()[0]
    pixels = pixels.expand(3, -1, -1) if pixels.shape[0] == 1 else pixels
    return Image.fromarray(pixels.movedim(0, -1).numpy())


def names(text: str) -> list[str] | None:
    """Names between commas or spaces; None for none."""
    return text.replace(",", " ").split() or None


def whole_numbers(text: str, name: str) -> tuple[int, ...]:
    """Numbers between commas or spaces. Raises ValueError, naming the input, for anything else."""
    try:
        return tuple(int(word) for word in names(text) or [])
    except ValueError:
        raise ValueError(f"{name} is {text!r}; give whole numbers, as in: 0, 2") from None
