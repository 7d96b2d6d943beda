"""Tiny diffusion models that learn from the user's own pictures (Cherel 2024, chapter V)."""

from .inpaint import diffusion_inpaint as diffusion_inpaint
from .intervals import interval_inpaint as interval_inpaint
from .model import TrainedModel as TrainedModel
from .settings import NetworkSettings as NetworkSettings
from .settings import TrainingSettings as TrainingSettings
from .statistics import sample_statistics as sample_statistics
from .statistics import variance_words as variance_words
from .training import train as train
