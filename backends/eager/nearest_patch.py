"""Nearest patches in plain torch, on any device: PatchMatch by jump flooding, or exhaustively."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from .. import patches
from ..random import below

MEMORY = 256 << 20  # bytes of scratch, unless the caller states a budget
WORK = 1 << 22  # numbers compared, one pair after the other, between two polls: well under 0.25 s
PRODUCTS = 1 << 28  # the same for matrix products, which are faster
SPARE = 4  # candidates that quality="best" keeps for each query


def why_not(target: Tensor, source: Tensor, **_) -> str | None:
    return None


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
    """For each patch of `target`, the `neighbours` most similar patches of `source`.

    target: (B, C, H, W) or (B, C, T, H, W), floating, finite. source: (B, C, H2, W2) or clip.
    patch_size: odd side of the square (cube) patch. neighbours: 1 to 31, any number if `exact`.
    similarity: "l2" (distance = sum of squared differences over the patch and channels), "dot"
        (distance = minus the inner product), "cosine" (minus the normalised inner product).
    exact: compare with every source patch, in chunks that keep to `memory` bytes of scratch.
    target_mask: (B, 1, H, W) bool, True where a match is wanted; elsewhere the answer is -1, inf.
    source_mask: (B, 1, H2, W2) bool, True = may be used; only patches all of whose pixels may be
        used are candidates.
    bias: (B, 1, H2, W2) float32 added to the distance of the source patch centred there while
        searching; the returned distances are without it, the order is by the biased ones.
    wrap: per axis, target patches that leave the image come in at the other side; without it they
        are completed by reflection, so border queries are real queries.
    source_wrap: per axis, source patches may also cross the border and come in at the other side;
        without it only patches that lie whole in the source are candidates.
    positions: (B, k, 2, H, W) int32 warm start, -1 = none; invalid or repeated ones are replaced by
        random ones.
    radius: of the first random-search window in pixels; None = the whole source, 0 = no random
        search.
    iterations: passes of propagation and random search; 0 only evaluates the start.
    quality: "best" keeps at least 4 candidates for each query, spreads them all and searches at
        random around each of them: some 6 times the work.
    poll: called in the calling thread at least every 0.25 s of work; may raise to interrupt.
    Returns positions (B, k, 2, H, W) int32 (y, x) of source patch centres, best first, and
        distances (B, k, H, W) float32, recomputed from the given data; -1 and inf where fewer than
        k exist. Clips likewise: (B, k, 3, T, H, W), (t, y, x) and (B, k, T, H, W).
    Raises ValueError with the rule, the values and a remedy for arguments that do not fit together.
    Barnes et al. 2009, doi:10.1145/1531326.1531330; k neighbours: Barnes et al. 2010.
    """
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
        exact=exact,
    )
    usable = patches.source_centres(source, source_mask, patch_size, source_wrap)
    size = target.shape[2:]
    found = target.new_full((len(target), neighbours, axes, *size), -1, dtype=torch.int32)
    distances = target.new_full((len(target), neighbours, *size), torch.inf, dtype=torch.float32)
    for b in range(len(target)):
        wanted = usable.new_ones(size) if target_mask is None else target_mask[b, 0]
        queries = wanted.flatten().nonzero().squeeze(1)
        pair = _Pair(
            target[b].detach(),
            source[b].detach(),
            patch_size,
            similarity,
            wrap,
            source_wrap,
            usable[b],
            None if bias is None else bias[b].detach().flatten(),
            memory,
            poll or (lambda: None),
        )
        if exact:
            matches = _exhaustive(pair, queries, neighbours)
        else:
            kept = max(neighbours, SPARE) if quality == "best" else neighbours
            given = None
            if positions is not None:
                given = positions.new_full((len(queries), kept, axes), -1)
                given[:, :neighbours] = positions[b].flatten(2)[:, :, queries].permute(2, 0, 1)
            matches = patches.start(queries, pair.usable, given, kept, seed)
            around = kept if quality == "best" else 1
            matches = _patchmatch(pair, queries, matches, iterations, radius, around, seed)
            matches = matches[:, :neighbours]
        places = torch.stack(patches.unravel(matches, pair.source_size), 1)
        places = places.where(matches[:, None] >= 0, -1)
        found[b].flatten(2)[:, :, queries] = places.permute(2, 1, 0).int()
        for part in pair.slices(len(queries), neighbours):
            direct = pair.distance(queries[part], matches[part])
            distances[b].flatten(1)[:, queries[part]] = direct.T.float()
    return found, distances


class _Pair:
    """One target and one source, laid out so that patches are compared by linear index.

    Both are padded and channels-last, so that a patch is p^(axes - 1) rows of p * C numbers side by
    side.
    """

    def __init__(
        self,
        target: Tensor,
        source: Tensor,
        patch_size: int,
        similarity: str,
        wrap: patches.Flags,
        source_wrap: patches.Flags,
        usable: Tensor,
        bias: Tensor | None,
        memory: int,
        poll: Callable[[], None],
    ):
        self.size, self.source_size = target.shape[1:], source.shape[1:]
        self.patch_size, self.similarity = patch_size, similarity
        self.wrap, self.source_wrap = wrap, source_wrap
        self.usable, self.bias, self.memory, self.poll = usable, bias, memory, poll
        self.target_rows = _rows(target, patch_size, wrap)
        self.source_rows = _rows(source, patch_size, source_wrap)
        self.target_steps, self.source_steps = (
            [step for _, step in patches.steps(patch_size, size)[::patch_size]]
            for size in (self.size, self.source_size)
        )
        self.numel = len(target) * patch_size ** len(self.size)

    def slices(self, count: int, candidates: int) -> Iterator[slice]:
        """Parts of `count` queries with so many candidates each, for the memory and the poll."""
        row = self.target_rows.shape[1] * self.target_rows.element_size()
        need = row + candidates * (2 * row + 2 * candidates + 128)
        length = max(1, min(self.memory // need, WORK // (candidates * self.numel)))
        for begin in range(0, count, length):
            yield slice(begin, min(begin + length, count))
            self.poll()

    def distance(self, queries: Tensor, centres: Tensor) -> Tensor:
        """(n, m) distances between the n queries and their m source patches each; inf for -1."""
        a = patches.corners(queries, self.size, self.patch_size)
        b = patches.corners(centres.clamp(min=0), self.source_size, self.patch_size)
        total = self.target_rows.new_zeros(b.shape)
        lengths = [torch.zeros_like(total[:, :1]), torch.zeros_like(total)]
        for step, source_step in zip(self.target_steps, self.source_steps, strict=True):
            left = self.target_rows[a + step][:, None]
            right = self.source_rows[b + source_step]
            if self.similarity == "l2":
                total += (right - left).square_().sum(-1)
                continue
            total -= (right * left).sum(-1)
            if self.similarity == "cosine":
                lengths[0] += left.square().sum(-1)
                lengths[1] += right.square_().sum(-1)
        if self.similarity == "cosine":
            total /= (lengths[0].sqrt() * lengths[1].sqrt()).clamp(
                min=torch.finfo(total.dtype).tiny
            )
        return total.masked_fill(centres < 0, torch.inf)

    def cost(self, queries: Tensor, centres: Tensor) -> Tensor:
        """What the search minimises: the distance plus the bias."""
        distance = self.distance(queries, centres)
        return distance if self.bias is None else distance + self.bias[centres.clamp(min=0)]

    def target_patches(self, queries: Tensor) -> Tensor:
        """(n, numel) whole patches of the target."""
        corners = patches.corners(queries, self.size, self.patch_size)
        return torch.cat([self.target_rows[corners + step] for step in self.target_steps], 1)

    def source_patches(self, centres: Tensor) -> Tensor:
        """(n, numel) whole patches of the source."""
        corners = patches.corners(centres, self.source_size, self.patch_size)
        return torch.cat([self.source_rows[corners + step] for step in self.source_steps], 1)


def _rows(image: Tensor, patch_size: int, wrap: patches.Flags) -> Tensor:
    """(pixels, patch_size * C) view: the row of patch_size pixels from each padded pixel on."""
    if image.dtype != torch.float64:
        image = image.float()
    image = patches.pad(image, patch_size // 2, wrap).movedim(0, -1).contiguous()
    *size, channels = image.shape
    count = torch.Size(size).numel() - patch_size + 1
    return image.as_strided((count, patch_size * channels), (channels, 1))


def _patchmatch(
    pair: _Pair,
    queries: Tensor,
    matches: Tensor,
    iterations: int,
    radius: int | None,
    around: int,
    seed: int,
) -> Tensor:
    """(n, k) matches, best first, improved from `matches` by propagation and random search.

    Every step reads the matches of the step before it, so the order of the queries does not matter.
    """
    costs = torch.cat(
        [pair.cost(queries[s], matches[s]) for s in pair.slices(*matches.shape)]
        or [pair.cost(queries, matches)]
    )
    costs, order = costs.sort(dim=1, stable=True)
    matches = matches.gather(1, order)
    slot = torch.full((pair.size.numel(),), -1, device=queries.device)  # row of each target pixel
    slot[queries] = torch.arange(len(queries), device=queries.device)
    radii = []
    window = max(pair.source_size) if radius is None else radius
    while window >= 1:
        radii.append(window)
        window //= 2

    def improve(propose: Callable[[slice], Tensor], candidates: int) -> None:
        nonlocal matches, costs
        new, new_costs = matches.clone(), costs.clone()
        for part in pair.slices(len(queries), candidates):
            centres = propose(part)
            found = pair.cost(queries[part], centres)
            new[part], new_costs[part] = _merge(matches[part], costs[part], centres, found)
        matches, costs = new, new_costs

    for i in range(1, iterations + 1):
        for jump in patches.JUMPS:
            improve(
                lambda part, jump=jump: _spread(pair, queries[part], slot, matches, jump),
                2 * len(pair.size) * matches.shape[1],
            )
        if radii:
            improve(
                lambda part, i=i: _draw(
                    pair, queries[part], matches[part, :around], radii, seed, i
                ),
                len(radii) * around,
            )
    return matches


def _spread(pair: _Pair, queries: Tensor, slot: Tensor, matches: Tensor, jump: int) -> Tensor:
    """(n, m) candidates: the matches of the queries `jump` away along each axis, moved back."""
    candidates = []
    here = patches.unravel(queries, pair.size)
    for axis, n in enumerate(pair.size):
        for ahead in (here[axis] - jump, here[axis] + jump):
            ahead = ahead if pair.wrap[axis] else ahead.clamp(0, n - 1)
            moved, ahead = ahead - here[axis], ahead % n
            row = slot[patches.ravel([*here[:axis], ahead, *here[axis + 1 :]], pair.size)]
            theirs = matches[row.clamp(min=0)].masked_fill(row[:, None] < 0, -1)
            places = patches.unravel(theirs, pair.source_size)
            places[axis] = places[axis] - moved[:, None]
            candidates.append(_usable(pair, places).masked_fill(theirs < 0, -1))
    return torch.cat(candidates, 1)


def _draw(
    pair: _Pair, queries: Tensor, matches: Tensor, radii: list[int], seed: int, iteration: int
) -> Tensor:
    """(n, m) candidates: one from the window of each radius around each match."""
    half, axes, columns = pair.patch_size // 2, len(pair.source_size), matches.shape[1]
    middle = patches.unravel(matches, pair.source_size)
    column = torch.arange(columns, device=queries.device)
    candidates = []
    for step, radius in enumerate(radii):
        places = []
        for axis, n in enumerate(pair.source_size):
            if pair.source_wrap[axis]:
                low = middle[axis] - min(radius, (n - 1) // 2)
                count = 2 * min(radius, (n - 1) // 2) + 1
            else:
                low = (middle[axis] - radius).clamp(min=half)
                count = (middle[axis] + radius).clamp(max=n - 1 - half) - low + 1
            trial = (step * columns + column) * axes + axis
            places.append(low + below(count, seed, queries[:, None], iteration, trial))
        candidates.append(_usable(pair, places).masked_fill(matches < 0, -1))
    return torch.cat(candidates, 1)


def _usable(pair: _Pair, places: list[Tensor]) -> Tensor:
    """Linear indices of coordinates brought into the source, -1 where no match is allowed."""
    half, inside = pair.patch_size // 2, []
    for place, n, around in zip(places, pair.source_size, pair.source_wrap, strict=True):
        inside.append(place % n if around else place.clamp(half, n - 1 - half))
    index = patches.ravel(inside, pair.source_size)
    return index.where(pair.usable.flatten()[index], -1)


def _merge(matches: Tensor, costs: Tensor, new: Tensor, new_costs: Tensor) -> tuple[Tensor, Tensor]:
    """The k cheapest of the k `matches` and of the `new` ones; on ties the earlier stays."""
    k = matches.shape[1]
    if k > 1:
        repeated = (new[:, :, None] == matches[:, None, :]).any(-1)
        repeated |= (new[:, :, None] == new[:, None, :]).tril(-1).any(-1)
        new_costs = new_costs.masked_fill(repeated, torch.inf)
    matches, costs = torch.cat((matches, new), 1), torch.cat((costs, new_costs), 1)
    if k == 1:
        order = costs.argmin(1, keepdim=True)
        return matches.gather(1, order), costs.gather(1, order)
    costs, order = costs.sort(dim=1, stable=True)
    return matches.gather(1, order[:, :k]), costs[:, :k]


def _exhaustive(pair: _Pair, queries: Tensor, neighbours: int) -> Tensor:
    """(n, k) matches, best first, by comparing every query with every usable source patch.

    The distances are taken apart into inner products. In float64 (where there is any) their
    rounding is far below the differences between patches of float32 data, so the ranks are those
    of the distances themselves.
    """
    precise = torch.float32 if queries.device.type == "mps" else torch.float64
    centres = pair.usable.flatten().nonzero().squeeze(1)
    middle = pair.source_rows.mean(0, dtype=precise).repeat(len(pair.source_steps))
    side = _side(pair)
    best = []
    for some in queries.split(side):
        left = pair.target_patches(some).to(precise)
        matches = torch.full((len(some), neighbours), -1, device=queries.device)
        costs = left.new_full(matches.shape, torch.inf)
        for those in centres.split(side):
            right = pair.source_patches(those).to(precise)
            found = _products(left, right, middle, pair.similarity)
            if pair.bias is not None:
                found += pair.bias[those]
            found, order = found.topk(min(neighbours, len(those)), largest=False)
            costs, kept = torch.cat((costs, found), 1).sort(dim=1, stable=True)
            costs = costs[:, :neighbours]
            matches = torch.cat((matches, those[order]), 1).gather(1, kept[:, :neighbours])
            pair.poll()
        best.append(matches)
    matches = torch.cat(best) if best else queries.new_empty(0, neighbours)
    for part in pair.slices(*matches.shape):
        order = pair.cost(queries[part], matches[part]).argsort(dim=1, stable=True)
        matches[part] = matches[part].gather(1, order)
    return matches


def _side(pair: _Pair) -> int:
    """How many queries meet how many source patches at once, for the memory and the next poll."""
    numbers = pair.memory // 8
    in_memory = ((16 * pair.numel**2 + 3 * numbers) ** 0.5 - 4 * pair.numel) / 3  # 3 s^2 + 8 s d
    return max(1, int(min(in_memory, (PRODUCTS / pair.numel) ** 0.5)))


def _products(left: Tensor, right: Tensor, middle: Tensor, similarity: str) -> Tensor:
    """(n, m) distances of n patches from m patches; for l2 less what depends on `left` alone."""
    if similarity == "dot":
        return -(left @ right.T)
    if similarity == "cosine":
        return -(_unit(left) @ _unit(right).T)
    right = right - middle
    return torch.addmm(right.square().sum(1), left - middle, right.T, alpha=-2)


def _unit(vectors: Tensor) -> Tensor:
    return vectors / vectors.norm(dim=1, keepdim=True).clamp(min=torch.finfo(vectors.dtype).tiny)
