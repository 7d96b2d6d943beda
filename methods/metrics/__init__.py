"""Measuring pictures and clips: against a reference, against themselves, inside a mask."""

from .clip_metrics import CLIP_METRICS
from .clips import compare_clips
from .compare import compare
from .registry import METRICS
from .scores import Score

__all__ = ["CLIP_METRICS", "METRICS", "Score", "compare", "compare_clips"]
