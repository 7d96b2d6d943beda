"""Methods for clips: holding them still, filling holes in them, and making new ones."""

from .flow_fill import flow_fill as flow_fill
from .patch_inpaint import inpaint_video as inpaint_video
from .stabilise import Stabilized as Stabilized
from .stabilise import stabilize as stabilize
from .stabilise import unstabilize as unstabilize
from .transforms import Transforms as Transforms
