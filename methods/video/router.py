"""Removing things from clips: every pixel is filled by the engine that suits it.

What other frames show is taken along the motion, wherever that can be relied on; the rest is filled
with patches of space and time, which see what the motion has brought; and if it is wanted, a small
diffusion network that is trained on the clip makes these anew. So a still background comes out as
it was, and water, fire and leaves as something that moves as they do.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from ..checks import check_clip, check_clip_mask
from ..diffusion.settings import TrainingSettings, check_choice
from ..features import LUMA
from ..inpaint import inpaint
from ..steps import Callback, Step
from .flow_fill import flow_fill
from .infusion import LEARNING, infusion
from .patch_inpaint import inpaint_video
from .registration import SMALLEST_SIDE
from .scenes import scene_cuts

log = logging.getLogger(__name__)

ENGINES = ("flow", "patch", "diffusion")
WAYS = ("auto", "flow", "patch", "diffusion")
KNOWN = -1  # in the map: not filled
TRUST = 0.1  # confidence from which the motion is taken
FEW = 1 / 3  # share of the hole under which the motion is not taken at all: a texture that moves
ALIKE = (1, 5, 5)  # frames and pixels of the neighbourhood whose majority decides
START_LEVEL = 300  # noise of the patch fill that diffusion begins with: its layout stays
INTERVALS = 5  # that the levels from there on are trained in
MOVED, PATCHED = 0.25, 1.0  # share of the progress at which the motion and the patches are done
DIFFUSED = 5.0  # times as long as both takes the diffusion
COLOURS = {"flow": (0.1, 0.75, 0.3), "patch": (0.15, 0.45, 1.0), "diffusion": (1.0, 0.55, 0.1)}
TINT = 0.6  # of the colours in the map
STEPS = 1000  # of a progress


@dataclass(frozen=True)
class Removal:
    """clip: (1, C, T, H, W), filled. engines: (1, 1, T, H, W) int8, the number in ENGINES of what
    filled a pixel, KNOWN elsewhere. cuts: frames with which scenes begin, but for the first.
    """

    clip: Tensor
    engines: Tensor
    cuts: list[int]

    def words(self) -> str:
        """In a line: the scenes, and which engine filled how much."""
        filled = int((self.engines != KNOWN).sum())
        if not filled:
            return "the mask is empty: nothing was filled"
        shares = [
            f"{name} {int((self.engines == number).sum()) / filled:.0%}"
            for number, name in enumerate(ENGINES)
            if bool((self.engines == number).any())
        ]
        scenes = [f"{len(self.cuts) + 1} scenes, cut at {', '.join(map(str, self.cuts))}"]
        return "; ".join((scenes if self.cuts else []) + [f"filled by {', '.join(shares)}"])

    def map(self) -> Tensor:
        """(1, 3, T, H, W) in [0, 1]: what filled each pixel, as colours over the clip in grey: the
        motion green, patches blue, diffusion orange."""
        weights = torch.tensor(LUMA, device=self.clip.device).view(1, 3, 1, 1, 1)
        colours = self.clip[:, :3].float().expand(-1, 3, -1, -1, -1)
        grey = (weights * colours).sum(1, keepdim=True).clamp(0, 1).expand(-1, 3, -1, -1, -1)
        shown = grey
        for number, name in enumerate(ENGINES):
            colour = torch.tensor(COLOURS[name], device=grey.device).view(1, 3, 1, 1, 1)
            tinted = (1 - TINT) * grey + TINT * colour
            shown = torch.where(self.engines == number, tinted, shown)
        return shown


def remove(
    clip: Tensor,
    mask: Tensor,
    *,
    engine: str = "auto",
    trust: float = TRUST,
    patch_size: int = 5,
    diffusion_steps: int = 1000,
    scenes: bool = True,
    seed: int = 0,
    backend: str = "auto",
    callback: Callback | None = None,
) -> Removal:
    """Fill the hole of a clip: with what other frames show, with patches, or with diffusion.

    clip: (1, C, T, H, W) floating, nominally [0, 1]. mask: (1, 1, T or 1, H, W) in [0, 1]; where it
        is exactly 0 the clip comes back bit for bit, elsewhere fill and clip are mixed in its
        proportion.
    engine: "auto": the motion where its confidence is at least `trust`, the rest by patches.
        "flow": the motion wherever it finds anything. "patch": patches alone. "diffusion": as auto,
        and what the patches have filled is made anew by a network that is trained on the clip, of
        one scene, for `diffusion_steps`.
    patch_size: of the patches, in pixels and frames, odd.
    scenes: look for cuts, and fill what lies between two of them by itself.
    callback: called with a Step now and then, its image a frame; may raise.
    Raises ValueError for sizes that do not fit, and for a hole that leaves nothing to copy from.
    """
    check_clip(clip, "the clip")
    check_clip_mask(mask, "mask", clip)
    check_choice("engine", engine, WAYS)
    if len(clip) != 1:
        raise ValueError(f"the clip is a batch of {len(clip)}, expected 1")
    share = mask.expand(1, 1, *clip.shape[2:])
    hole = share > 0
    engines = torch.full(hole.shape, KNOWN, dtype=torch.int8, device=clip.device)
    if not hole.any():
        log.warning("the mask is empty: the clip comes back unchanged")
        return Removal(clip.clone(), engines, [])
    cuts = scene_cuts(clip) if scenes else []
    ends = [*cuts, clip.shape[2]]
    filled = clip.detach().clone()
    for number, (first, end) in enumerate(zip([0, *cuts], ends, strict=True)):
        part = (slice(None), slice(None), slice(first, end))
        if not hole[part].any():
            continue
        length = PATCHED + (DIFFUSED if engine == "diffusion" else 0)
        told = _Told(callback, number / len(ends), 1 / len(ends) / length)
        way = _Way(engine, trust, patch_size, diffusion_steps, seed, backend)
        made, chosen = way.fill(clip[part].detach(), hole[part], told)
        inside = share[part].to(made.dtype)
        mixed = torch.where(inside >= 1, made, filled[part] + inside * (made - filled[part]))
        filled[part] = torch.where(hole[part], mixed, filled[part])
        engines[part] = chosen
    return Removal(filled, engines, cuts)


@dataclass(frozen=True)
class _Way:
    """How one scene is filled."""

    engine: str
    trust: float
    patch_size: int
    diffusion_steps: int
    seed: int
    backend: str

    def fill(self, clip: Tensor, hole: Tensor, told: "_Told") -> tuple[Tensor, Tensor]:
        """The clip without hole, and the engines."""
        engines = torch.full(hole.shape, KNOWN, dtype=torch.int8, device=clip.device)
        made, rest = clip, hole
        if self._may_move(clip):
            moved, left, confidence = flow_fill(clip, hole.float(), callback=told.part(0, MOVED))
            taken = self._taken(hole, left > 0, confidence)
            made = torch.where(taken, moved, clip)
            engines[taken] = ENGINES.index("flow")
            rest = hole & ~taken
        if rest.any():
            made = self._patched(made, rest, told)
            engines[rest] = ENGINES.index("patch")
        if self.engine == "diffusion" and rest.any():
            made = self._diffused(made, rest, told)
            engines[rest] = ENGINES.index("diffusion")
        return made, engines

    def _may_move(self, clip: Tensor) -> bool:
        frames, *size = clip.shape[2:]
        return self.engine != "patch" and frames >= 2 and min(size) >= SMALLEST_SIDE

    def _taken(self, hole: Tensor, left: Tensor, confidence: Tensor) -> Tensor:
        """Where the motion fills."""
        if self.engine == "flow":
            return hole & ~left
        sure = hole & ~left & (confidence >= self.trust)
        half = [n // 2 for n in ALIKE]
        votes, voters = (
            F.avg_pool3d(each.float(), ALIKE, 1, half, count_include_pad=False)
            for each in (sure, hole)
        )
        sure = hole & ~left & (votes > 0.5 * voters)
        return sure if int(sure.sum()) >= FEW * int(hole.sum()) else torch.zeros_like(sure)

    def _patched(self, clip: Tensor, rest: Tensor, told: "_Told") -> Tensor:
        """The rest by patches; of a scene of a few frames frame by frame."""
        callback = told.part(MOVED, PATCHED)
        settings = {"seed": self.seed, "backend": self.backend, "callback": callback}
        if clip.shape[2] >= self.patch_size:
            return inpaint_video(clip, rest.float(), patch_size=self.patch_size, **settings)[0]
        frames, holes = (values[0].movedim(1, 0) for values in (clip, rest.float()))
        return inpaint(frames, holes, **settings)[0].movedim(0, 1)[None]

    def _diffused(self, clip: Tensor, rest: Tensor, told: "_Told") -> Tensor:
        training: TrainingSettings = replace(LEARNING, first=START_LEVEL, seed=self.seed)
        return infusion(
            clip,
            rest.float(),
            training=training,
            intervals=INTERVALS,
            steps=self.diffusion_steps,
            start=clip,
            seed=self.seed,
            callback=told.part(PATCHED, PATCHED + DIFFUSED),
        )[0]


class _Told:
    """Hears of the work on a scene, a part of the whole."""

    def __init__(self, callback: Callback | None, start: float, length: float):
        self.callback, self.start, self.length = callback, start, length

    def part(self, start: float, end: float) -> Callable[[Step], None] | None:
        """The callback of a method that does what lies between two places of the scene's work."""
        if self.callback is None:
            return None

        def hear(step: Step) -> None:
            share = start + (end - start) * step.done / max(1, step.total)
            done = int(STEPS * (self.start + self.length * share))
            assert self.callback is not None
            self.callback(Step(done, STEPS, 0, 1, step.image))

        return hear
