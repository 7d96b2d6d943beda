"""Softmax over the keys found for each query, and the weighted sum of their values, in torch."""

import torch
from torch import Tensor

from .. import pairs, patches

NUMBERS = 1 << 21  # handled at once


def why_not(logits: Tensor, values: Tensor, positions: Tensor, **_) -> str | None:
    return None


def gather_attention(
    logits: Tensor, values: Tensor, positions: Tensor, *, window: int = 1
) -> tuple[Tensor, Tensor]:
    """The attention of each query to the keys in its list.

    logits: (B, n, *size) floating, -inf where there is no key. values: (B, Cv, *key size).
    positions: (B, n, axes, *size) int32, where in values each key lies, -1 = none.
    window: 1, and the list of a query holds the n keys found for it; or odd, and it holds those of
        all queries in the window of that side around it, each moved by what leads from that query
        back to it and dropped where that leaves the map of values.
    Returns the output (B, Cv, *size), 0 where a list is empty, and the logarithm (B, *size) of the
    sum of the exponentials of the list, -inf where it is empty; both float64 if logits or values
    are, else float32.
    """
    pairs.check_lists(logits, values, positions, window)
    dtype, size, key_size = pairs.precise(logits, values), logits.shape[2:], values.shape[2:]
    half, here = window // 2, torch.arange(logits[0, 0].numel(), device=logits.device)
    corners = patches.corners(here, size, window)
    steps = patches.steps(window, size)
    limits = torch.tensor(key_size, device=logits.device)[:, None, None]
    none = (False,) * len(size)
    outputs, sums = [], []
    for b in range(len(logits)):
        table = patches.pad(logits[b].to(dtype), half, none, fill=-torch.inf).flatten(1)
        places = patches.pad(positions[b], half, none, fill=-1).transpose(0, 1).flatten(2)
        flat = values[b].to(dtype).flatten(1)
        found, totals = [], []
        for part in here.split(max(1, NUMBERS // (len(table) * len(steps) * (len(flat) + 8)))):
            listed, indices = [], []
            for offset, step in steps:
                at = corners[part] + step
                back = torch.tensor(offset, device=logits.device)[:, None, None]
                place = places[:, :, at].long() - back
                inside = ((place >= 0) & (place < limits)).all(0) & (places[0, :, at] >= 0)
                index = patches.ravel((place * inside).unbind(0), key_size)
                listed.append(table[:, at].masked_fill(~inside, -torch.inf))
                indices.append(index)
            listed, indices = torch.cat(listed), torch.cat(indices)  # (list, pixels)
            most = listed.detach().amax(0)
            weights = (listed - most.masked_fill(most.isinf(), 0.0)).exp()
            total = weights.sum(0)
            some = total > 0
            weights = weights / total.where(some, 1.0)
            found.append((flat[:, indices] * weights).sum(1))
            totals.append(torch.where(some, total.where(some, 1.0).log() + most, -torch.inf))
        outputs.append(torch.cat(found, 1).view(-1, *size))
        sums.append(torch.cat(totals).view(size))
    return torch.stack(outputs), torch.stack(sums)
