"""Methods for clips."""

from .chunks import in_chunks as in_chunks
from .patch_inpaint import inpaint_video as inpaint_video
from .scenes import is_cut as is_cut
