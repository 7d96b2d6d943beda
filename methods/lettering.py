"""What pictures with words on them need: a font, and the way from Pillow to a tensor."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from PIL import Image


def font(size: int):
    """Pillow's own font; an old or bare Pillow has it in one size only."""
    from PIL import ImageFont

    try:
        return ImageFont.load_default(size)
    except (TypeError, OSError, ImportError):
        return ImageFont.load_default()


def as_tensor(picture: "Image.Image") -> Tensor:
    """(1, 3, H, W) in [0, 1] of an RGB picture."""
    pixels = torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8)
    return pixels.view(1, picture.height, picture.width, 3).movedim(-1, 1).float() / 255
