"""Methods for clips."""

from .patch_inpaint import inpaint_video as inpaint_video
