"""Clips: filling what an object hid, and motion without end, from nothing but the clip itself."""

from .dynamic_texture import dynamic_texture as dynamic_texture
from .dynamic_texture import dynamic_texture_again as dynamic_texture_again
from .dynamic_texture import source_psnr as source_psnr
from .infusion import infusion as infusion
from .infusion import infusion_again as infusion_again
