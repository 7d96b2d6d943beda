"""Removing things from clips: every pixel is filled by the engine that suits it.

Patches of space and time fill everything first, and how badly they fit says what the motion has to
compete with. What other frames show is taken along the motion, wherever that can be relied on more,
or, by a trial on what is known around the hole, misses less; the rest is filled with patches again,
which now see what the motion has brought; and if it is wanted, a small diffusion network that is
trained on the clip makes these anew. What no frame shows, but lies still or moves as its
surroundings do, is carried from one frame to all the others. So a still background comes out as it
was, and water, fire and leaves as something that moves as they do.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..checks import check_clip, check_clip_mask, largest_odd
from ..diffusion.settings import TrainingSettings, check_choice
from ..features import LUMA
from ..hole import whole_patches
from ..inpaint import inpaint
from ..steps import Callback, Progress, Step
from .flow_fill import flow_fill
from .infusion import LEARNING, infusion
from .patch_inpaint import inpaint_video
from .registration import SMALLEST_SIDE
from .scenes import scene_cuts
from .trial import box_mean, missed, rim_of

log = logging.getLogger(__name__)

ENGINES = ("flow", "patch", "diffusion")
WAYS = ("auto", "flow", "patch", "diffusion")
KNOWN = -1  # in the map: not filled
TRUST = 0.1  # confidence from which the motion is taken where patches fit as badly as POOR, or
# where it misses less than these around the hole: (1 - trust) / (1 - TRUST) times as much at most
POOR = 0.1  # root mean square by which a patch misses what it fills, colours and texture together
FINE = 0.01  # of grain: what patches miss by less fits no better
FEW = 1 / 16  # share of the hole under which the motion is not taken at all
STILL = 0.75  # confidence from which what no frame shows is carried from one frame to the others,
MOST = 0.5  # if so much of it can be,
LIVELY = 1.25  # and the fill wanders by so many times as much as a rim, carried likewise, misses
ALIKE = (1, 5, 5)  # frames and pixels of the neighbourhood whose majority decides
AROUND = (5, 5, 5)  # frames and pixels over which the misfit of patches is averaged
START_LEVEL = 300  # noise of the patch fill that diffusion begins with: its layout stays
INTERVALS = 5  # that the levels from there on are trained in
MOVED, JUDGED, TRIED, PATCHED = 0.15, 0.4, 0.75, 1.0  # progress: motion, patches, trial, the rest
DIFFUSED = 5.0  # times as long as both takes the diffusion
CARRIED, MENDED = 0.25, 0.4  # and this much longer the carrying, and the patches after it
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
        colours = self.clip[:, :3] if self.clip.shape[1] >= 3 else self.clip[:, :1]
        colours = colours.float().expand(-1, 3, -1, -1, -1)
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
    engine: "auto": the motion where its confidence is at least `trust`, or less where patches fit
        badly, or more where they fit well, and where it misses less than patches of what is known
        around the hole; the rest by patches, and what no frame shows moves as what is around it, if
        that moves evenly. "flow": the motion wherever it finds anything.
        "patch": patches alone. "diffusion": as auto, and what the patches have filled is made anew
        by a network that is trained on the clip, of one scene, for `diffusion_steps`.
    patch_size: of the patches, in pixels and frames, odd.
    scenes: look for cuts, and fill what lies between two of them by itself.
    callback: called with a Step now and then, its image a frame; may raise.
    Raises ValueError for sizes that do not fit, and for a scene of which nothing is known.
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
        return Removal(clip.detach().clone(), engines, [])
    began = Progress(callback, STEPS, 1)
    began.report(clip[:, :3, 0].detach(), 0, 0)
    cuts = scene_cuts(clip, poll=began.poll) if scenes else []
    ends = [*cuts, clip.shape[2]]
    filled = clip.detach().clone()
    for number, (first, end) in enumerate(zip([0, *cuts], ends, strict=True)):
        part = (slice(None), slice(None), slice(first, end))
        if not hole[part].any():
            continue
        if hole[part].all():
            raise ValueError(
                f"the mask covers all of frames {first} to {end - 1}"
                + (", a scene by themselves" if cuts else "")
                + ": nothing is left to copy from"
            )
        length = PATCHED + MENDED + (DIFFUSED if engine == "diffusion" else 0)
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
        made, rest, never, before = clip, hole, torch.zeros_like(hole), 0.0
        if self._may_move(clip):
            moved, left, confidence = flow_fill(clip, hole.float(), callback=told.part(0, MOVED))
            found, before = hole & (left == 0), MOVED
            if self.engine != "flow":
                never = hole & (left > 0)
                made, apart = self._patched(clip, hole, told.part(MOVED, JUDGED))
                asked = _asked(self.trust, _misfit(apart, hole))
                sure = _mostly(confidence >= asked, found, hole)
                if _is_much(found & ~sure, hole):
                    sure = sure | _mostly(sure | self._better(clip, hole, told), found, hole)
                found, before = sure, TRIED
                engines[hole] = ENGINES.index("patch")
            if self.engine == "flow" or found.any():  # else the patches that there are will do
                made, rest = torch.where(found, moved, clip), hole & ~found
            else:
                rest = torch.zeros_like(hole)
            engines[found] = ENGINES.index("flow")
        if rest.any():
            made, _ = self._patched(made, rest, told.part(before, PATCHED))
            engines[rest] = ENGINES.index("patch")
        rest, before = engines == ENGINES.index("patch"), PATCHED
        if self.engine == "diffusion" and rest.any():
            made = self._diffused(made, rest, told)
            engines[rest], before = ENGINES.index("diffusion"), PATCHED + DIFFUSED
        if _is_much(never, hole):
            made = self._carried(made, hole, never, told, before)
        return made, engines

    def _may_move(self, clip: Tensor) -> bool:
        frames, *size = clip.shape[2:]
        return self.engine != "patch" and frames >= 2 and min(size) >= SMALLEST_SIDE

    def _better(self, clip: Tensor, hole: Tensor, told: "_Told") -> Tensor:
        """(1, 1, T, H, W) bool: where the motion misses less than patches do, on the whole and
        nearby, of what is known around the hole, if both have to fill that as well."""
        rim, nowhere = rim_of(hole), torch.zeros_like(hole)
        wide, patch_size = hole | rim, self._patch_size(clip)
        if patch_size < 3 or not whole_patches(~wide, patch_size // 2).any():
            return nowhere
        middle = (JUDGED + TRIED) / 2
        moved, left, _ = flow_fill(clip, wide.float(), callback=told.part(JUDGED, middle))
        seen = rim & (left == 0)
        if not seen.any():
            return nowhere
        patched, _ = self._patched(clip, wide, told.part(middle, TRIED))
        most = (1 - self.trust) / (1 - TRUST)
        by_motion, by_patches = (
            ((made - clip).float().square() * seen).sum() for made in (moved, patched)
        )
        if by_motion > most * by_patches:
            return nowhere
        return missed(clip, moved, seen) <= most * missed(clip, patched, seen)

    def _patch_size(self, clip: Tensor) -> int:
        """The one wanted, or the largest that so few frames have room for."""
        return min(self.patch_size, largest_odd(clip.shape[2]))

    def _patched(
        self, clip: Tensor, rest: Tensor, callback: Callback | None
    ) -> tuple[Tensor, Tensor]:
        """The rest by patches, and by how much these miss what they fill, (1, 1, T, H, W): mean
        squares over patches, infinite where nothing is known of it.

        Of a scene of a few frames the patches last as long as fits; single frames and pairs are
        filled frame by frame, and a frame that is hidden altogether repeats the one beside it.
        """
        settings = {"seed": self.seed, "backend": self.backend, "callback": callback}
        patch_size = self._patch_size(clip)
        if patch_size >= 3:
            filled, field = inpaint_video(clip, rest.float(), patch_size=patch_size, **settings)
            return filled, field.distances / patch_size**3
        filled, hidden = clip.clone(), rest.all(dim=(1, 3, 4))[0]
        partly = rest.any(dim=(1, 3, 4))[0] & ~hidden
        if partly.any():
            pictures, holes = (each[0, :, partly].movedim(1, 0) for each in (clip, rest.float()))
            filled[0, :, partly] = inpaint(pictures, holes, **settings)[0].movedim(0, 1)
        if not hidden.all():
            filled[:, :, hidden] = filled[:, :, ~hidden][:, :, :1]
        return filled, torch.full_like(rest, torch.inf, dtype=torch.float32)

    def _carried(
        self, clip: Tensor, hole: Tensor, never: Tensor, told: "_Told", before: float
    ) -> Tensor:
        """The clip, filled, in which what no frame shows stays as it was made in one of them.

        From there it is carried to the others along the motion, if this can be relied on for most
        of it, by what is around, and if the fill wanders farther from it than its surroundings,
        carried likewise, are from what is there: where these live, the fill may. Patches that know
        what was carried fill anew what is left. hole, never: (1, 1, T, H, W) bool.
        """
        counts = never.sum(dim=(0, 1, 3, 4))
        most = (counts == counts.max()).nonzero()[:, 0]
        key = most[len(most) // 2]
        others, around = never.clone(), rim_of(never) & ~hole
        others[:, :, key] = around[:, :, key] = False
        if not others.any():
            return clip
        hear = told.part(before, before + CARRIED)
        moved, left, confidence = flow_fill(clip, (others | around).float(), callback=hear)
        found = left == 0
        sure = others & found & _majority(others & found & (confidence >= STILL), others)
        if int(sure.sum()) < MOST * int(others.sum()):
            return clip
        apart = (moved - clip).abs().mean(1, keepdim=True)
        if _most_in_a_frame(apart, sure) <= LIVELY * _most_in_a_frame(apart, around & found):
            return clip
        clip, rest = torch.where(sure, moved, clip), others & ~sure
        if self.engine == "diffusion" or not rest.any():
            return clip
        return self._patched(clip, rest, told.part(before + CARRIED, before + MENDED))[0]

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


def _asked(trust: float, misfit: Tensor) -> Tensor:
    """The confidence from which the motion is taken by itself. misfit: of the patches there."""
    return trust ** (misfit.clamp(min=FINE) / POOR)


def _misfit(missed: Tensor, hole: Tensor) -> Tensor:
    """The root of what patches miss around each pixel of the hole; POOR where that is not known."""
    known = torch.isfinite(missed) & hole
    total, counted = (
        box_mean(each.float(), AROUND) for each in (torch.where(known, missed, 0.0), known)
    )
    return torch.where(counted > 0, (total / counted.clamp(min=1e-6)).sqrt(), POOR)


def _most_in_a_frame(values: Tensor, where: Tensor) -> float:
    """The greatest of the frames' means of values (1, 1, T, H, W) where it is wanted."""
    total, count = ((each * where).sum(dim=(0, 1, 3, 4)) for each in (values, where.float()))
    return float((total / count.clamp(min=1)).max())


def _is_much(part: Tensor, hole: Tensor) -> bool:
    return int(part.sum()) >= FEW * int(hole.sum())


def _mostly(wanted: Tensor, of: Tensor, hole: Tensor) -> Tensor:
    """Of what there is that around which most of the hole is wanted; nothing if that is little."""
    chosen = of & _majority(of & wanted, hole)
    return chosen & _is_much(chosen, hole)


def _majority(chosen: Tensor, of: Tensor) -> Tensor:
    """Where more than half of `of` around is chosen, bool."""
    votes, voters = (box_mean(each.float(), ALIKE) for each in (chosen, of))
    return votes > 0.5 * voters


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
