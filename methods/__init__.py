"""The methods: what the nodes offer, as functions of tensors."""

from .attention import patch_attention
from .attention_module import PatchAttention
from .field import Field, distances_picture, offsets_picture
from .generate import generate
from .harmonise import harmonise
from .inpaint import inpaint
from .patchmatch import patchmatch
from .steps import Step
from .superresolve import superresolve
from .tileable import make_tileable

__all__ = [
    "Field",
    "PatchAttention",
    "Step",
    "distances_picture",
    "generate",
    "harmonise",
    "inpaint",
    "make_tileable",
    "offsets_picture",
    "patch_attention",
    "patchmatch",
    "superresolve",
]
