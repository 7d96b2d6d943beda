"""What is told of a model: what it was trained on, where, with what, and at what cost."""

import hashlib
import platform
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ... import __version__
from ..cost import STATED, Cost
from ..loss_curve import loss_words
from .similar import descriptor

if TYPE_CHECKING:
    from .model import TrainedModel

DIGITS = 16  # of a SHA-256, for reading


def provenance(
    images: Tensor, mask: Tensor | None = None, *, cost: Cost | None = None, **more: Any
) -> dict[str, Any]:
    """For JSON: what a model was trained on and with.

    images: (B, C, H, W) as they were given, or a clip (1, C, T, H, W). mask: (B or 1, 1, H, W), or
    (1, 1, T, H, W), > 0.5 was hidden. cost: of the
    training. more: what else there is to tell, for instance steps.
    """
    count, channels, *frames, height, width = images.shape
    hidden = 0.0 if mask is None else float((mask > 0.5).float().mean())
    told = {"pictures": count, "channels": channels, "height": height, "width": width}
    told |= {"frames": frames[0]} if frames else {}
    told |= {"sha256": _digest(images), "hidden": round(hidden, 6)}
    versions = {"internal-methods": __version__, "torch": torch.__version__}
    return {
        "trained_on": told,
        "descriptor": _descriptor(images, mask),
        "versions": versions | {"python": platform.python_version()},
        "device": images.device.type,
        "threads": torch.get_num_threads(),
        **({} if cost is None else {"cost": cost.as_dict()}),
        **more,
    }


def _descriptor(images: Tensor, mask: Tensor | None) -> list[float] | None:
    try:
        if images.dim() == 5:  # its frames as pictures
            images = images[0].movedim(1, 0)
            mask = None if mask is None else mask[0].movedim(1, 0)
        return descriptor(images, mask)
    except ValueError:  # too small to be compared with others
        return None


def _digest(images: Tensor) -> str:
    """SHA-256 of shape and values as float32."""
    values = images.detach().float().cpu().contiguous()
    return hashlib.sha256(str(list(values.shape)).encode() + values.numpy().tobytes()).hexdigest()


def model_words(model: "TrainedModel") -> str:
    """All that is known of a model, for reading: a line for each thing."""
    known = dict(model.provenance)
    known.pop("descriptor", None)
    count = sum(weight.numel() for weight in model.weights.values())
    lines = [
        f"trained on: {_pictures(known.pop('trained_on', {}))}",
        f"network: {count:,} parameters; {_listed(asdict(model.network))}",
        f"training: {_listed(asdict(model.training))}",
        f"loss: {loss_words(model.losses, 'loss')}",
    ]
    cost = known.pop("cost", None)
    if cost is not None:
        lines.append(f"cost of the training: {Cost.from_dict(cost).words()} ({STATED})")
    return "\n".join(
        [*lines, *(f"{_plain(name)}: {_listed(value)}" for name, value in known.items())]
    )


def _pictures(about: Mapping[str, Any]) -> str:
    if not about:
        return "not known"
    if "frames" in about:
        pictures = f"a clip of {about['frames']} frames"
    else:
        pictures = "1 picture" if about["pictures"] == 1 else f"{about['pictures']} pictures"
    hidden = f"{about['hidden']:.1%} hidden" if about["hidden"] else "nothing hidden"
    return (
        f"{pictures} of {about['width']}x{about['height']} pixels, {about['channels']} channels, "
        f"{hidden}, SHA-256 {about['sha256'][:DIGITS]}"
    )


def _listed(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{_plain(name)} {_listed(part)}" for name, part in value.items())
    if isinstance(value, (list, tuple)):
        return " ".join(map(_listed, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _plain(name: str) -> str:
    return name.replace("_", " ")
