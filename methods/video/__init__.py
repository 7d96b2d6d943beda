"""Methods for clips: holding them still, filling along the motion, cutting at scenes."""

from .flow_fill import flow_fill as flow_fill
from .stabilise import Stabilized as Stabilized
from .stabilise import stabilize as stabilize
from .stabilise import unstabilize as unstabilize
from .transforms import Transforms as Transforms
