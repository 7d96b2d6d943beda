"""The nearest-patch field: the data type that search, synthesis, filling and transfer share."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..backends import run
from .checks import by

METHODS = ("average", "best", "nearest")


@dataclass(frozen=True)
class Field:
    """Where in a source each patch of a target has its nearest patches.

    positions: (B, k, 2, H, W) int32, absolute (y, x) centres of source patches, best first; of
        clips (B, k, 3, T, H, W), (t, y, x). -1 = none.
    distances: (B, k, H, W) float32, inf where there is none.
    patch_size: odd. source_size: (H2, W2) or (T2, H2, W2).
    wrap, source_wrap: per axis, whether the target and the source are read as a torus.
    """

    positions: Tensor
    distances: Tensor
    patch_size: int
    source_size: tuple[int, ...]
    wrap: tuple[bool, ...] = (False, False)
    source_wrap: tuple[bool, ...] = (False, False)

    @property
    def size(self) -> tuple[int, ...]:
        """(H, W) or (T, H, W) of the target."""
        return tuple(self.positions.shape[3:])

    @property
    def neighbours(self) -> int:
        return self.positions.shape[1]

    @property
    def found(self) -> Tensor:
        """(B, k, H, W) bool: where there is a match."""
        return self.positions[:, :, 0] >= 0

    def validate(self) -> "Field":
        """The field itself, if its tensors fit together and every position is usable.

        Kernels do not check bounds, so whatever comes from a file or another node passes here
        first.
        Raises ValueError naming the rule; for positions, how many are wrong and the first of them.
        """
        _check_shapes(self)
        low, high = self._range()
        none = (self.positions == -1).all(dim=2)
        inside = ((self.positions >= low) & (self.positions <= high)).all(dim=2)
        wrong = ~(none | inside)
        if wrong.any():
            first = wrong.nonzero()[0].tolist()
            at = self.positions[(first[0], first[1], slice(None), *first[2:])].tolist()
            raise ValueError(
                f"{int(wrong.sum())} positions of the field are not centres of whole patches, "
                f"{low.flatten().tolist()} to {high.flatten().tolist()} in a source of "
                f"{by(self.source_size)} with patch {self.patch_size}; the first is {at} at "
                f"(batch, neighbour, pixel) {first}. Use -1 where there is no match."
            )
        if torch.isnan(self.distances).any():
            raise ValueError(
                f"{int(torch.isnan(self.distances).sum())} distances of the field are NaN"
            )
        return self

    def offsets(self) -> Tensor:
        """Match minus pixel, (B, k, 2, H, W) int32, (y, x) in pixels; 0 where there is no match."""
        return torch.where(self.found[:, :, None], self.positions - grid(self.positions), 0)

    def apply(
        self,
        values: Tensor,
        method: str = "average",
        *,
        mask: Tensor | None = None,
        backend: str = "auto",
    ) -> Tensor:
        """Rebuild the target out of any map of the source: one search serves a whole material.

        values: (B, C, H2, W2) floating, any C and range, B that of the field or 1.
        method: "average" (all patches that cover a pixel, the better ones weighing more), "best"
            (the covering patch of least distance: sharper, nothing is mixed) or "nearest" (the
            centre of the pixel's own match: sharpest).
        mask: (B, 1, H, W) bool, where a value is wanted.
        Returns (B, C, H, W) in the dtype of values; 0 where nothing is known.
        Raises ValueError for a field that does not validate or a map of another size.
        """
        self.validate()
        if method not in METHODS:
            raise ValueError(f"method {method!r} is not one of {', '.join(METHODS)}")
        if tuple(values.shape[2:]) != self.source_size:
            raise ValueError(
                f"the map is {by(values.shape[2:])}, the field's source {by(self.source_size)}; "
                "resize the map to the source, or upscale the field to the map"
            )
        batch = self.positions.shape[0]
        if values.shape[0] not in (1, batch):
            raise ValueError(f"{values.shape[0]} maps do not fit a field of batch {batch}")
        values = values.expand(batch, *values.shape[1:])
        if method == "nearest":
            return self._centres(values, mask)
        return run(
            "vote",
            values,
            self.positions[:, :1],
            self.distances[:, :1],
            patch_size=self.patch_size,
            wrap=self.wrap,
            source_wrap=self.source_wrap,
            scale=1.0 if method == "best" else self._spread(backend),
            best=method == "best",
            mask=mask,
            backend=backend,
        )

    def upscale(self, size: tuple[int, ...], source_size: tuple[int, ...]) -> "Field":
        """The same field between larger (or smaller) versions of its two images.

        size, source_size: of the new target and the new source, any factor per axis. With equal
        factors s a pixel p takes round(s phi(p*)) as its offset, p* = the coarse pixel it lies in;
        positions are moved into the range of whole patches. A side of n that is ceil(m / 2) of m is
        a halved one, factor 2, as in the pyramid. Distances are those of p*.
        Raises ValueError where no patch fits into source_size.
        """
        coarse, rank = self.size, len(self.source_size)
        where, shifts = [], []
        for axis in range(rank):
            factor = scale_factor(coarse[axis], size[axis])
            fine = torch.arange(size[axis], device=self.positions.device)
            near = ((fine + 0.5) / factor).floor().long().clamp_(max=coarse[axis] - 1)
            where.append(near)
            shifts.append(fine - factor * near)
        index = torch.meshgrid(*where, indexing="ij")
        positions = self.positions[(..., *index)].float()
        distances = self.distances[(..., *index)]
        for axis in range(rank):
            shape = [1] * rank
            shape[axis] = -1
            factor = scale_factor(self.source_size[axis], source_size[axis])
            moved = (positions[:, :, axis] * factor + shifts[axis].view(shape)).round()
            positions[:, :, axis] = moved
        new = replace(
            self,
            positions=positions.int(),
            distances=distances,
            source_size=tuple(source_size),
        )
        return new._moved_inside(self.found[(..., *index)])

    def _moved_inside(self, found: Tensor) -> "Field":
        """Positions clamped (on a torus: modulo) into the usable range, -1 where not `found`."""
        low, high = self._range()
        if (high < low).any():
            raise ValueError(
                f"no patch of {self.patch_size} fits into a source of {by(self.source_size)}"
            )
        positions = torch.maximum(torch.minimum(self.positions, high), low)
        for axis, wraps in enumerate(self.source_wrap):
            if wraps:
                positions[:, :, axis] = self.positions[:, :, axis] % self.source_size[axis]
        positions = torch.where(found[:, :, None], positions, -1)
        return replace(self, positions=positions)

    def _range(self) -> tuple[Tensor, Tensor]:
        """The least and the greatest centre per axis, (2, 1, 1) int32."""
        half = [0 if wraps else self.patch_size // 2 for wraps in self.source_wrap]
        high = [n - 1 - h for n, h in zip(self.source_size, half, strict=True)]
        shape = (-1, *[1] * len(half))
        device = self.positions.device
        return (
            torch.tensor(half, dtype=torch.int32, device=device).view(shape),
            torch.tensor(high, dtype=torch.int32, device=device).view(shape),
        )

    def _centres(self, values: Tensor, mask: Tensor | None) -> Tensor:
        """The values at the matches themselves."""
        known = self.found[:, :1]
        if mask is not None:
            known = known & mask
        index = torch.zeros(known.shape, dtype=torch.int64, device=values.device)[:, 0]
        for axis, side in enumerate(self.source_size):
            index = index * side + self.positions[:, 0, axis].clamp(min=0)
        flat = index.flatten(1)[:, None].expand(-1, values.shape[1], -1)
        taken = values.flatten(2).gather(2, flat).view(*values.shape[:2], *self.size)
        return torch.where(known, taken, torch.zeros((), dtype=taken.dtype, device=taken.device))

    def _spread(self, backend: str) -> Tensor:
        """The scale of the weights: a patch at twice the distance of the best one over a pixel
        weighs exp(-1/2), whatever the range of the data; beside an exact copy nothing counts."""
        least = run(
            "local_percentile",
            self.distances[:, :1],
            patch_size=self.patch_size,
            percentile=0.0,
            floor=1e-12,
            wrap=self.wrap,
            backend=backend,
        )
        return least.sqrt()


def grid(like: Tensor) -> Tensor:
    """The coordinates of the pixels of positions (..., D, *size), as (D, *size) of its dtype."""
    axes = [torch.arange(n, device=like.device, dtype=like.dtype) for n in like.shape[3:]]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"))


def scale_factor(coarse: int, fine: int) -> float:
    """fine / coarse; the whole number it stands for where coarse = ceil(fine / number)."""
    whole = max(1, round(fine / coarse))
    return float(whole) if -(-fine // whole) == coarse else fine / coarse


def offsets_picture(field: Field) -> Tensor:
    """The best neighbours' offsets as colours, (B, 3, H, W) in [0, 1].

    Direction is the hue (right red, down yellow-green, left cyan, up violet), length the
    saturation, full at the 99th percentile of lengths: regions copied in one piece have one colour,
    unmoved ones are white; black = no match.
    """
    offsets = field.offsets()[:, 0, -2:].float()
    found = field.found[:, :1]
    length = offsets.square().sum(dim=1, keepdim=True).sqrt()
    strength = (length / _high(length, found)).clamp_(max=1)
    turn = torch.atan2(offsets[:, :1], offsets[:, 1:]) / (2 * torch.pi) * 6
    corner = torch.tensor([0.0, 4.0, 2.0], device=length.device).view(1, 3, *[1] * (turn.dim() - 2))
    hue = ((turn + corner) % 6 - 3).abs().sub(1).clamp(0, 1)
    return torch.where(found, 1 - strength * (1 - hue), 0.0)


def distances_picture(field: Field) -> Tensor:
    """The best neighbours' distances as heat, (B, 3, H, W) in [0, 1].

    Black (zero) over red and yellow to white (99th percentile and more), by the root of the
    distance; blue = no match.
    """
    found = field.found[:, :1]
    root = torch.where(found, field.distances[:, :1], 0.0).clamp(min=0).sqrt()
    level = (root / _high(root, found)).clamp_(max=1) * 3
    heat = torch.cat([level, level - 1, level - 2], dim=1).clamp_(0, 1)
    blue = torch.tensor([0.0, 0.0, 1.0], device=heat.device).view(1, 3, *[1] * (heat.dim() - 2))
    return torch.where(found, heat, blue)


def _high(values: Tensor, found: Tensor) -> Tensor:
    """The 99th percentile of the values that were found, at least a tiny positive number."""
    known = values[found]
    if known.numel() == 0:
        return values.new_tensor(1.0)
    rank = max(1, round(0.99 * known.numel()))
    return known.kthvalue(rank).values.clamp(min=1e-12)


def _check_shapes(field: Field) -> None:
    positions, distances, rank = (
        field.positions,
        field.distances,
        len(field.source_size),
    )
    shape = tuple(positions.shape)
    if rank not in (2, 3) or positions.dim() != 3 + rank or shape[2] != rank:
        raise ValueError(
            f"positions of shape {shape} do not fit a source of {rank} axes; expected "
            f"(B, k, {rank}, {'T, ' * (rank == 3)}H, W)"
        )
    if positions.dtype != torch.int32:
        raise ValueError(f"positions are {positions.dtype}, expected torch.int32")
    if tuple(distances.shape) != (*shape[:2], *shape[3:]) or distances.dtype != torch.float32:
        raise ValueError(
            f"distances are {tuple(distances.shape)} {distances.dtype}, expected "
            f"{(*shape[:2], *shape[3:])} torch.float32, like the positions"
        )
    if field.patch_size < 1 or field.patch_size % 2 == 0:
        raise ValueError(f"patch_size {field.patch_size} is not a positive odd number")
    for name in ("wrap", "source_wrap"):
        if len(getattr(field, name)) != rank:
            raise ValueError(
                f"{name} {getattr(field, name)} needs one entry for each of {rank} axes"
            )
