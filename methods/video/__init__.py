"""Methods for clips: holding them still, filling holes in them, and making new ones."""

from .chunks import in_chunks as in_chunks
from .dynamic_texture import dynamic_texture as dynamic_texture
from .dynamic_texture import dynamic_texture_again as dynamic_texture_again
from .dynamic_texture import source_psnr as source_psnr
from .flow_fill import flow_fill as flow_fill
from .infusion import infusion as infusion
from .infusion import infusion_again as infusion_again
from .patch_distribution import match_patches as match_patches
from .patch_inpaint import inpaint_video as inpaint_video
from .router import Removal as Removal
from .router import remove as remove
from .scenes import SceneCuts as SceneCuts
from .scenes import is_cut as is_cut
from .scenes import scene_cuts as scene_cuts
from .stabilise import Stabilized as Stabilized
from .stabilise import stabilize as stabilize
from .stabilise import unstabilize as unstabilize
from .transforms import Transforms as Transforms
