"""Methods for clips."""

from .chunks import in_chunks as in_chunks
from .scenes import is_cut as is_cut
