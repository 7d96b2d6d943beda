"""The methods: what the nodes offer, as functions of tensors."""

from .field import Field, distances_picture, offsets_picture
from .generate import generate
from .patchmatch import patchmatch
from .steps import Step

__all__ = ["Field", "Step", "distances_picture", "generate", "offsets_picture", "patchmatch"]
