"""What happens between the frames of a clip: warping error, flicker, and grain that moves.

Clips are (B, C, T, H, W), nominally [0, 1]; regions (B or 1, 1, T or 1, H, W), a pixel belongs to
one where it is > 0.5. poll is called before every frame and may raise to interrupt.
"""

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ..checks import check_clip
from ..motion import Motion, motions, moved, positions
from ..steps import Poll

BLOCK = 8  # pixels; over such squares grain averages out and flicker stays
GAUSSIAN_MEDIAN = 0.6744897501960817  # median of |x| for a normal x of deviation 1
OPERATOR_GAIN = 6.0  # deviation that white noise of deviation 1 has after `_second_differences`
FEWEST_PIXELS = 16  # for a median that is worth something


def warp_error(
    result: Tensor,
    *regions: Tensor | None,
    reference: Tensor | None = None,
    poll: Poll | None = None,
) -> Tensor:
    """(B, len(regions)) float64: how much frames differ from the next ones brought back along the
    motion; lower is steadier.

    For every pair of frames the mean, over the pixels p of frame t in the region that frame t + 1
    shows, and over channels, of (V_t(p) - V_t+1(p + f(p)))^2 with the flow f of the reference, or
    of the result itself where no reference is given; then the mean over pairs.
    Lai et al. 2018 (arXiv:1808.00449), with DIS flow and without their check of motion boundaries;
    theirs is the sum over channels. Raises ValueError if no pixel of a region is seen twice.
    """
    check_clip(result, "the result", frames=2)
    values = []
    for index, frames in enumerate(_clips(result)):
        source = frames if reference is None else _frames(reference, index)
        places = _places(regions, index, frames)
        found: list[list[Tensor]] = [[] for _ in places]
        for t, motion in enumerate(motions(source, poll)):
            apart = frames[t : t + 1] - moved(frames[t + 1 : t + 2], motion.forward)
            for errors, place in zip(found, places, strict=True):
                where = (place[t : t + 1] & motion.seen).expand_as(apart)
                if where.any():
                    errors.append(apart[where].square().mean())
        name = "seen in two frames one after another"
        values.append(torch.stack([_mean(errors, name) for errors in found]))
    return torch.stack(values)


def flicker(clip: Tensor, *regions: Tensor | None, poll: Poll | None = None) -> Tensor:
    """(B, len(regions)) float64: brightness that comes and goes in places larger than grain.

    With r_t = V_t - (V_t-1 + V_t+1) / 2, both neighbours brought to frame t along the clip's own
    motion, it is the mean of |mean of r_t over a square of 8x8 pixels|, over squares, channels
    and frames. In a square only pixels of the region count that both neighbours show, and it
    counts only if these are at least half of it. On a still clip r_t is half the second
    difference in time, so steady fades and motion do not count.
    Raises ValueError for fewer than 3 frames, and where a region has no such square.
    """
    check_clip(clip, "the clip", frames=3)
    values = []
    for index, frames in enumerate(_clips(clip)):
        places = _places(regions, index, frames)
        found: list[list[Tensor]] = [[] for _ in places]
        before: Motion | None = None
        for t, after in enumerate(motions(frames, poll)):
            if before is not None:
                residual, seen = _residual(frames, t, before, after)
                for levels, place in zip(found, places, strict=True):
                    levels.append(_squares(residual, seen & place[t : t + 1]))
            before = after
        name = f"with squares of {BLOCK}x{BLOCK} pixels seen in three frames"
        values.append(torch.stack([_mean(torch.cat(levels), name) for levels in found]))
    return torch.stack(values)


def _residual(frames: Tensor, t: int, before: Motion, after: Motion) -> tuple[Tensor, Tensor]:
    """r_t of `flicker` and where it is known. before: the motion from t - 1 to t."""
    earlier = moved(frames[t - 1 : t], before.backward)
    later = moved(frames[t + 1 : t + 2], after.forward)
    return frames[t : t + 1] - (earlier + later) / 2, before.seen_back & after.seen


def _squares(residual: Tensor, where: Tensor) -> Tensor:
    """|Mean| of (1, C, H, W) residuals over every square of which `where` holds half or more."""
    weights = where.to(residual.dtype)
    share = F.avg_pool2d(weights, BLOCK)
    means = F.avg_pool2d(residual * weights, BLOCK) / share.clamp(min=1e-6)
    return means.abs()[(share >= 0.5).expand_as(means)]


def noise(clip: Tensor, *regions: Tensor | None, poll: Poll | None = None) -> Tensor:
    """(B, len(regions)) float64: the standard deviation of white noise, a clip's grain.

    In every frame the median, over pixels and channels, of |N * V| / (6 x 0.6745), where N is the
    second difference along y of the second difference along x; then the mean over frames. Only
    pixels count whose 3x3 surroundings lie in the region. N is Immerkaer's operator (1996,
    doi:10.1006/cviu.1996.0060), blind to planes and straight edges along the axes; the median is
    Donoho's (1995, doi:10.1109/18.382009), little moved by the edges that remain. Fine texture
    counts as noise.
    Raises ValueError where a region has too few such pixels.
    """
    check_clip(clip, "the clip", side=3)
    values = []
    for index, frames in enumerate(_clips(clip)):
        places = [_whole_surroundings(place) for place in _places(regions, index, frames)]
        found: list[list[Tensor]] = [[] for _ in places]
        for t, frame in enumerate(frames.split(1)):
            if poll is not None:
                poll()
            sharp = _second_differences(frame).abs()
            for levels, place in zip(found, places, strict=True):
                levels += _deviation(sharp, place[t : t + 1])
        values.append(torch.stack([_mean(levels, "of 3x3 pixels") for levels in found]))
    return torch.stack(values)


def noise_variation(clip: Tensor, *regions: Tensor | None, poll: Poll | None = None) -> Tensor:
    """(B, len(regions)) float64: the variance in time of a clip's grain along the motion.

    `noise` of what changes from frame to frame, squared and halved: for grain that is new in each
    frame it is the square of `noise`; for grain that is frozen, or copied along the motion, 0.
    Compared are N * V_t(p) and N * V_t+1(p + f(p)), f rounded to whole pixels, so that no
    interpolation smooths the grain; both ends lie in the region and are seen in both frames.
    Raises ValueError for fewer than 2 frames, and where a region has too few such pixels.
    """
    check_clip(clip, "the clip", frames=2)
    values = []
    for index, frames in enumerate(_clips(clip)):
        places = [_whole_surroundings(place) for place in _places(regions, index, frames)]
        found: list[list[Tensor]] = [[] for _ in places]
        for t, motion in enumerate(motions(frames, poll)):
            change, gather = _change(frames[t : t + 1], frames[t + 1 : t + 2], motion)
            for levels, place in zip(found, places, strict=True):
                where = place[t : t + 1] & gather(place[t + 1 : t + 2])
                levels += [level.square() / 2 for level in _deviation(change, where)]
        name = "of 3x3 pixels seen in two frames one after another"
        values.append(torch.stack([_mean(levels, name) for levels in found]))
    return torch.stack(values)


def _change(now: Tensor, then: Tensor, motion: Motion):
    """|N * then, brought back, - N * now|, and what brings a map back (False where unseen)."""
    inner = motion.forward[..., 1:-1, 1:-1]
    height, width = inner.shape[2:]
    y, x = positions(inner.round()).long().unbind(1)
    fits = (y >= 0) & (y < height) & (x >= 0) & (x < width)
    y, x = y.clamp(0, height - 1)[0], x.clamp(0, width - 1)[0]
    seen = motion.seen[..., 1:-1, 1:-1] & fits[:, None]
    sharp = _second_differences(then)[..., y, x]
    return (sharp - _second_differences(now)).abs(), lambda place: place[..., y, x] & seen


def _second_differences(frames: Tensor) -> Tensor:
    """N * V where all of the 3x3 operator lies inside: (..., H - 2, W - 2)."""
    rows = frames[..., 2:, :] - 2 * frames[..., 1:-1, :] + frames[..., :-2, :]
    return rows[..., 2:] - 2 * rows[..., 1:-1] + rows[..., :-2]


def _whole_surroundings(places: Tensor) -> Tensor:
    """Of (T, 1, H, W) bool, where all 3x3 are true: (T, 1, H - 2, W - 2)."""
    return F.max_pool2d((~places).float(), 3, 1) == 0


def _deviation(sharp: Tensor, place: Tensor) -> list[Tensor]:
    """The deviation of noise in one frame; nothing where its place has too few pixels."""
    if place.sum() < FEWEST_PIXELS:
        return []
    chosen = sharp[place.expand_as(sharp)]
    return [chosen.median() / (OPERATOR_GAIN * GAUSSIAN_MEDIAN)]


def ratio(levels: Tensor) -> Tensor:
    """(B,): the first of (B, 2) levels, inside, against the second; 1 where both are 0."""
    inside, around = levels.unbind(1)
    return torch.where((inside == 0) & (around == 0), torch.ones_like(inside), inside / around)


def _frames(clip: Tensor, index: int) -> Tensor:
    """One clip of a batch, or the one for all, as (T, C, H, W) float32."""
    return clip[index % len(clip)].movedim(1, 0).float()


def _clips(clip: Tensor) -> Iterator[Tensor]:
    return (_frames(clip, index) for index in range(len(clip)))


def _places(regions: Sequence[Tensor | None], index: int, frames: Tensor) -> list[Tensor]:
    """The regions of one clip, None being everywhere, as (T, 1, H, W) bool."""
    shape = (len(frames), 1, *frames.shape[2:])
    everywhere = torch.ones(shape, dtype=torch.bool, device=frames.device)
    return [
        everywhere if region is None else (_frames(region, index) > 0.5).expand(shape)
        for region in regions
    ]


def _mean(levels: list[Tensor] | Tensor, of: str) -> Tensor:
    if len(levels) == 0:
        raise ValueError(f"the region has no pixels {of}; use a larger region, or a longer clip")
    levels = torch.stack(levels) if isinstance(levels, list) else levels
    return levels.cpu().double().mean()  # not every device has float64
