"""Tiny diffusion models that learn from the user's own pictures (Cherel 2024, chapter V)."""

from .model import TrainedModel as TrainedModel
from .settings import NetworkSettings as NetworkSettings
from .settings import TrainingSettings as TrainingSettings
from .training import train as train
