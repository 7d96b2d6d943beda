"""Where a picture looks like what is around its hole: what a small hole needs to learn."""

import torch
import torch.nn.functional as F
from torch import Tensor

from ..morphology import grown
from .settings import TrainingSettings

AROUND = 64  # places around the hole that others are compared with
SHARP = 4.0  # how fast likeness falls with distance, in median distances


def likeness(images: Tensor, holes: Tensor, side: int) -> Tensor:
    """(N, 1, H, W) in (0, 1]: how alike each place is to the nearest of those around a hole.

    Compared are mean and deviation of the colours, and of their differences to the right and
    downwards, over half a window. images: (N, C, H, W), or a clip (1, C, T, H, W), whose frames are
    taken as pictures; holes: (N, 1, [T,] H, W), 1 = not known. side: of the windows, in pixels.
    Without holes all places are alike.
    """
    if images.dim() == 5:
        frames, hidden = (each[0].movedim(1, 0) for each in (images, holes))
        return likeness(frames, hidden, side).movedim(0, 1)[None]
    hole = holes > 0
    if not hole.any():
        return torch.ones_like(holes)
    features = _statistics(images * (1 - holes), 1 - holes, max(3, side // 4 * 2 + 1))
    ring = torch.stack([grown(each[None], side // 2)[0] for each in hole.cpu()]).to(hole) & ~hole
    spread = features.movedim(1, -1)[~hole[:, 0]].std(0).clamp(min=1e-6)
    features = features / spread[:, None, None]
    wanted = features.movedim(1, -1)[ring[:, 0]]
    wanted = wanted[torch.linspace(0, len(wanted) - 1, AROUND).round().long().unique()]
    distance = torch.stack(
        [(features - each[:, None, None]).square().sum(1, keepdim=True) for each in wanted]
    ).amin(0)
    scale = distance[~hole].median().clamp(min=1e-6)
    return torch.exp(-SHARP * distance / scale)


def drawn_shares(images: Tensor, holes: Tensor, settings: TrainingSettings) -> Tensor | None:
    """(N, 1, [T,] H, W): how often windows of a training show each place; None = evenly."""
    if not settings.focus:
        return None
    alike = likeness(images, holes, settings.window)
    return 1 - settings.focus + settings.focus * alike / alike.mean()


def _statistics(images: Tensor, known: Tensor, size: int) -> Tensor:
    """Local means and deviations (N, 6 C, H, W) over windows of `size`, of what is known."""
    right = F.pad(images.diff(dim=3), (0, 1)) * known
    down = F.pad(images.diff(dim=2), (0, 0, 0, 1)) * known
    values = torch.cat([images, right, down], 1)

    def average(each: Tensor) -> Tensor:
        return F.avg_pool2d(each, size, 1, size // 2, count_include_pad=False)

    share = average(known).clamp(min=1e-3)
    mean = average(values) / share
    variance = average(values.square()) / share - mean.square()
    return torch.cat([mean, variance.clamp(min=0).sqrt()], 1)
