"""The nodes: they convert, call a method and convert back. Here is the list, in menu order."""

from .api import ComfyExtension, host
from .attention import PSALPatch, PSALReport
from .attention_probe import AttentionProbe, AttentionReport, AttentionTemperature
from .attention_uses import Reconstruct, SuperResolve
from .clip_files import LoadClip, SaveClip
from .colorization import GuidedColorization
from .diffusion import DiffusionInpaint, IntervalInpaint, TrainDiffusion
from .editing import Harmonise
from .folders import FidFolder
from .generation import Generate
from .inpainting import PatchInpaint
from .masks import BoxMask, BrushMask, LargeMask
from .metrics import Compare, ErrorMap, ScoreTable
from .models import LoadModel, ModelInfo, SaveModel
from .moving_masks import MovingMask
from .patches import ApplyField, FieldPreview, PatchField
from .pictures import LoadImage, SaveImage
from .sample_metrics import Diversity, SingleImageScore
from .sample_statistics import SampleStatistics
from .self_test import SelfTest
from .tiling import MakeTileable, Tileability
from .video import RemoveFromVideo, RemoveFromVideoFile
from .video_diffusion import DynamicTexture, IntervalTrainAndSampleVideo
from .video_metrics import VideoCompare
from .video_motion import FlowFill, Stabilize, Unstabilize
from .video_patches import PatchInpaintVideo

NODES = [
    PatchField,
    ApplyField,
    FieldPreview,
    Generate,
    PatchInpaint,
    PatchInpaintVideo,
    MakeTileable,
    Harmonise,
    Reconstruct,
    SuperResolve,
    GuidedColorization,
    BrushMask,
    LargeMask,
    BoxMask,
    MovingMask,
    Compare,
    SingleImageScore,
    Diversity,
    VideoCompare,
    ErrorMap,
    FidFolder,
    Tileability,
    SelfTest,
    ScoreTable,
    PSALPatch,
    PSALReport,
    AttentionProbe,
    AttentionReport,
    AttentionTemperature,
    TrainDiffusion,
    DiffusionInpaint,
    IntervalInpaint,
    SampleStatistics,
    IntervalTrainAndSampleVideo,
    DynamicTexture,
    SaveModel,
    LoadModel,
    ModelInfo,
    RemoveFromVideo,
    RemoveFromVideoFile,
    LoadImage,
    SaveImage,
    Stabilize,
    Unstabilize,
    FlowFill,
    LoadClip,
    SaveClip,
]


class InternalMethods(ComfyExtension):
    async def get_node_list(self):
        return list(NODES)


async def comfy_entrypoint() -> ComfyExtension:
    """Called by ComfyUI after it has imported the pack."""
    from .examples import copy_examples

    copy_examples(host.input_folder())
    return InternalMethods()
