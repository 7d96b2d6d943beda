"""Softmax over the keys found for each query, and the weighted sum of their values, in torch."""

from collections.abc import Iterator, Sequence

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
    dtype, size = pairs.precise(logits, values), logits.shape[2:]
    outputs, sums = [], []
    for b in range(len(logits)):
        lists = Lists(logits[b].to(dtype), positions[b], window, values.shape[2:])
        flat = values[b].to(dtype).flatten(1)
        found, totals = [], []
        for part in lists.chunks(len(flat)):
            listed, indices, _ = lists.of(part)
            most = listed.amax((0, 1))
            weights = (listed - most.masked_fill(most.isinf(), 0.0)).exp()
            total = weights.sum((0, 1))
            weights = weights / total.where(total > 0, 1.0)
            found.append((flat[:, indices] * weights).sum((1, 2)))
            totals.append(total.log() + most)
        outputs.append(torch.cat(found, 1).view(-1, *size))
        sums.append(torch.cat(totals).view(size))
    return torch.stack(outputs), torch.stack(sums)


class Lists:
    """The lists of the pixels of one picture: logits (n, *size), positions (n, axes, *size)."""

    def __init__(self, logits: Tensor, positions: Tensor, window: int, key_size: Sequence[int]):
        self.size, self.key_size = logits.shape[1:], key_size
        half, none = window // 2, (False,) * (logits.ndim - 1)
        padded = patches.pad(logits, half, none, fill=-torch.inf)
        self.padded_shape, self.logits = padded.shape, padded.flatten(1)
        self.places = patches.pad(positions, half, none, fill=-1).transpose(0, 1).flatten(2)
        self.window, self.steps = window, patches.steps(window, self.size)

    def of(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """For each of some pixels, what its list holds, each (n, window pixels, pixels): the logits
        (-inf for what is dropped), linear indices of the values, and linear indices of where the
        logits lie in their padded map."""
        corners = patches.corners(pixels, self.size, self.window)
        limits = torch.tensor(self.key_size, device=pixels.device)[:, None, None]
        listed, indices, sources = [], [], []
        for offset, step in self.steps:
            at = corners + step
            back = torch.tensor(offset, device=pixels.device)[:, None, None]
            place = self.places[:, :, at].long() - back
            inside = ((place >= 0) & (place < limits)).all(0) & (self.places[0, :, at] >= 0)
            listed.append(self.logits[:, at].masked_fill(~inside, -torch.inf))
            indices.append(patches.ravel((place * inside).unbind(0), self.key_size))
            sources.append(at.expand(len(self.logits), -1))
        return torch.stack(listed, 1), torch.stack(indices, 1), torch.stack(sources, 1)

    def chunks(self, channels: int) -> Iterator[Tensor]:
        """The pixels, as many at a time as are handled at once for values of so many channels."""
        device = self.logits.device
        numbers = len(self.logits) * len(self.steps) * (channels + 8)
        yield from torch.arange(self.size.numel(), device=device).split(max(1, NUMBERS // numbers))
