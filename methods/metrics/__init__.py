"""Measuring pictures and clips: against a reference, against themselves, inside a mask."""

from .compare import compare
from .registry import METRICS
from .scores import Score

__all__ = ["METRICS", "Score", "compare"]
