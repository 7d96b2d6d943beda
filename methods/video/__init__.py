"""Methods for clips."""

from .chunks import in_chunks as in_chunks
from .flow_fill import flow_fill as flow_fill
from .scenes import SceneCuts as SceneCuts
from .scenes import is_cut as is_cut
from .scenes import scene_cuts as scene_cuts
from .stabilise import Stabilized as Stabilized
from .stabilise import stabilize as stabilize
from .stabilise import unstabilize as unstabilize
from .transforms import Transforms as Transforms
