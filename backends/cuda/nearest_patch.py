"""Nearest patches as Triton kernels: PatchMatch by jump flooding, on a GPU."""

from collections.abc import Callable, Iterator

import torch
import triton
from torch import Tensor

from .. import patches
from ..eager.nearest_patch import MEMORY, SPARE
from ..random import bits
from .device import linear, refusal, shape_constants, tile, volume
from .nearest_patch_kernels import draw, evaluate, propagate

WORK = 1 << 34  # numbers that one launch compares at most, so that the next poll is near


def why_not(
    target: Tensor,
    source: Tensor,
    *,
    patch_size: int,
    neighbours: int = 1,
    exact: bool = False,
    **_,
) -> str | None:
    if exact:
        return "exact search is matrix products, which eager does on any device"
    pixels = [
        torch.Size(n + patch_size for n in image.shape[2:]).numel() for image in (target, source)
    ]
    numbers = len(target) * max(pixels) * max(target.shape[1], neighbours, SPARE)
    return refusal(target, source, most=numbers)


def nearest_patch(
    target: Tensor,
    source: Tensor,
    *,
    patch_size: int,
    neighbours: int = 1,
    iterations: int = 5,
    similarity: str = "l2",
    exact: bool = False,
    target_mask: Tensor | None = None,
    source_mask: Tensor | None = None,
    bias: Tensor | None = None,
    wrap: tuple[bool, ...] = (False, False),
    source_wrap: tuple[bool, ...] = (False, False),
    positions: Tensor | None = None,
    radius: int | None = None,
    quality: str = "fast",
    seed: int = 0,
    memory: int = MEMORY,
    poll: Callable[[], None] | None = None,
) -> tuple[Tensor, Tensor]:
    """The contract of `eager.nearest_patch`. `memory` bounds nothing here: the scratch is the
    padded images and two copies of the field."""
    axes = target.ndim - 2
    wrap = patches.flags(wrap, axes)
    source_wrap = patches.flags(source_wrap, axes, "source_wrap")
    patches.check(
        target,
        source,
        patch_size=patch_size,
        neighbours=neighbours,
        iterations=iterations,
        similarity=similarity,
        quality=quality,
        radius=radius,
        target_mask=target_mask,
        source_mask=source_mask,
        bias=bias,
        wrap=wrap,
        source_wrap=source_wrap,
        positions=positions,
    )
    usable = patches.source_centres(source, source_mask, patch_size, source_wrap)
    kept = max(neighbours, SPARE) if quality == "best" else neighbours
    search = _Search(
        target.detach(),
        source.detach(),
        patch_size=patch_size,
        similarity=similarity,
        wrap=wrap,
        source_wrap=source_wrap,
        usable=usable,
        bias=bias,
        wanted=target_mask,
        poll=poll,
    )
    search.begin(_start(search, positions, target_mask, neighbours, kept, seed))
    radius = max(source.shape[2:]) if radius is None else radius
    for i in range(1, iterations + 1):
        for jump in patches.JUMPS:
            search.propagate(jump)
        if radius:
            search.draw(radius, kept if quality == "best" else 1, seed, i)
    return search.result(neighbours)


def _start(
    search: "_Search",
    positions: Tensor | None,
    target_mask: Tensor | None,
    neighbours: int,
    kept: int,
    seed: int,
) -> Tensor:
    """(B, pixels, kept) first matches, -1 where none is wanted."""
    batch, pixels = len(search.usable), search.size.numel()
    matches = torch.full((batch, pixels, kept), -1, dtype=torch.int32, device=search.usable.device)
    for b in range(batch):
        wanted = search.usable.new_ones(pixels) if target_mask is None else target_mask[b].flatten()
        queries = wanted.nonzero().squeeze(1)
        given = None
        if positions is not None:
            given = positions.new_full((len(queries), kept, positions.shape[2]), -1)
            given[:, :neighbours] = positions[b].flatten(2)[:, :, queries].permute(2, 0, 1)
        matches[b, queries] = patches.start(queries, search.usable[b], given, kept, seed).int()
    return matches


class _Search:
    """The images and the field of one call as the kernels take them, and the launches."""

    def __init__(
        self,
        target: Tensor,
        source: Tensor,
        *,
        patch_size: int,
        similarity: str,
        wrap: patches.Flags,
        source_wrap: patches.Flags,
        usable: Tensor,
        bias: Tensor | None,
        wanted: Tensor | None,
        poll: Callable[[], None] | None,
    ):
        self.size, self.source_size = target.shape[2:], source.shape[2:]
        self.usable, self.bias = usable, bias
        self.poll = poll
        self.queries = linear(wanted, len(target), self.size, target.device)
        self.numbers = patch_size ** len(self.size) * target.shape[1]
        self.block, chunk = tile(self.numbers, len(self.queries))
        self.images = [_packed(target, patch_size, wrap), _packed(source, patch_size, source_wrap)]
        self.constants = dict(
            **shape_constants(len(wrap), patch_size, wrap=wrap, source_wrap=source_wrap),
            CHANNELS=target.shape[1],
            SIMILARITY=similarity,
            BLOCK=self.block,
            CHUNK=chunk,
        )

    def begin(self, matches: Tensor) -> None:
        """Start from these matches (B, pixels, kept)."""
        self.matches = matches
        self.costs = matches.new_full(matches.shape, torch.inf, dtype=self.images[0].dtype)
        self.constants |= dict(
            KEPT=matches.shape[2], COLUMNS=triton.next_power_of_2(matches.shape[2])
        )
        self.evaluate(self.bias)
        self.other = self.matches.clone(), self.costs.clone()

    def evaluate(self, bias: Tensor | None) -> None:
        kept = self.matches.shape[2]
        for some in self._parts(kept):
            self._launch(evaluate, some, kept, self.matches, self.costs, *self.images, bias)

    def propagate(self, jump: int) -> None:
        """One step of propagation from the matches `jump` pixels away."""
        self._improve(propagate, 2 * len(self.size) * self.matches.shape[2], jump)

    def draw(self, radius: int, around: int, seed: int, iteration: int) -> None:
        """One random candidate from the window of each radius around the best `around` matches."""
        state = int(bits(seed))
        state -= (state >> 31) << 32  # as the signed argument that it is passed as
        trials = radius.bit_length()
        self._improve(draw, trials * around, radius, trials, state, iteration, AROUND=around)

    def result(self, neighbours: int) -> tuple[Tensor, Tensor]:
        """Positions and distances as the contract has them."""
        order = self.costs.argsort(dim=2, stable=True)[..., :neighbours]
        self.matches = self.matches.gather(2, order)
        self.costs = self.costs.gather(2, order)
        self.constants |= dict(KEPT=neighbours, COLUMNS=triton.next_power_of_2(neighbours))
        self.evaluate(None)
        matches, costs = (
            t.movedim(1, 2).unflatten(2, self.size) for t in (self.matches, self.costs)
        )
        places = torch.stack(patches.unravel(matches, self.source_size), 2)
        return places.where(matches[:, :, None] >= 0, -1).int(), costs.float().contiguous()

    def _improve(self, kernel, candidates: int, *args, **constants) -> None:
        """Every query reads the matches before this step, so their order does not matter."""
        for some in self._parts(candidates):
            fields = self.matches, self.costs, *self.other
            images = *self.images, self.usable, self.bias
            self._launch(kernel, some, 1, *fields, *images, *args, **constants)
        (self.matches, self.costs), self.other = self.other, (self.matches, self.costs)

    def _parts(self, candidates: int) -> Iterator[Tensor]:
        for some in self.queries.split(max(self.block, WORK // (candidates * self.numbers))):
            yield some
            if self.poll:
                if some.is_cuda:
                    torch.cuda.current_stream(some.device).synchronize()
                self.poll()

    def _launch(self, kernel, queries: Tensor, columns: int, *args, **constants) -> None:
        grid = (triton.cdiv(len(queries), self.block), columns)
        if len(queries):
            kernel[grid](
                queries,
                len(queries),
                *args,
                *volume(self.size),
                *volume(self.source_size),
                **self.constants,
                **constants,
            )


def _packed(image: Tensor, patch_size: int, wrap: patches.Flags) -> Tensor:
    """(B, (padded T,) padded H, padded W, C), so that each row of a patch lies side by side."""
    if image.dtype != torch.float64:
        image = image.float()
    return patches.pad(image, patch_size // 2, wrap).movedim(1, -1).contiguous()
