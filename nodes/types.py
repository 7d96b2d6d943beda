"""The pack's own sockets."""

from .api import io

FieldSocket = io.Custom("INTERNAL_FIELD")  # carries a methods.Field whose tensors are on the CPU
ModelSocket = io.Custom("INTERNAL_MODEL")  # carries a methods.diffusion.TrainedModel, on the CPU
ScoresSocket = io.Custom("INTERNAL_SCORES")  # carries a list of methods.metrics.Score
TransformsSocket = io.Custom("INTERNAL_TRANSFORMS")  # carries a methods.video.Transforms
