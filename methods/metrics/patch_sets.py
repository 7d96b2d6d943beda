"""The patches of two pictures as sets, and how far each is from the nearest of the other set."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ...backends import random
from ..checks import by, check_image, check_patch_size, size_of
from ..field import Field
from ..morphology import grown
from ..patchmatch import patchmatch
from ..steps import Poll
from ..transport import all_patches

EXACT = 1024  # patches whose search is checked against the exact one
WORK = 5e10  # multiplications of that check, at most: fewer patches where there are many to compare
CHUNK = 1 << 28  # bytes of its scratch
FORBIDDEN = 1e30  # added to the distance of a patch that is not in the set


@dataclass(frozen=True)
class PatchSets:
    """Whole patches of one picture (targets) and of another (sources).

    target, source: (1, C, H, W) of any two sizes. targets, sources: (1, 1, H, W) bool, the centres.
    poll: called now and then while there is work; may raise to interrupt.
    """

    target: Tensor
    source: Tensor
    targets: Tensor
    sources: Tensor
    patch_size: int
    seed: int = 0
    backend: str = "auto"
    poll: Poll | None = None

    @property
    def counts(self) -> tuple[int, int]:
        return int(self.targets.sum()), int(self.sources.sum())

    @property
    def nothing_new(self) -> bool:
        """Whether every target is itself among the sources."""
        same = torch.equal(self.target, self.source)
        return same and not (self.targets & ~self.sources).any()

    def swapped(self) -> "PatchSets":
        """The same sets with their parts exchanged."""
        return replace(
            self,
            target=self.source,
            source=self.target,
            targets=self.sources,
            sources=self.targets,
        )

    def against_all(self) -> "PatchSets":
        """The same targets against every whole patch of the source."""
        return replace(self, sources=_whole(self.source, self.patch_size))

    def target_patches(self) -> Tensor:
        """(N, C p p), a row for every target."""
        return _rows(self.target, self.targets, self.patch_size)

    def source_patches(self) -> Tensor:
        """(M, C p p), a row for every source."""
        return _rows(self.source, self.sources, self.patch_size)

    def search(
        self,
        *,
        discounts: Tensor | None = None,
        field: Field | None = None,
        passes: int = 10,
        turn: int = 0,
        exact: Tensor | None = None,
    ) -> Field:
        """For every target the source of least distance minus discount, about; from `field` on.

        discounts: (1, 1, H2, W2). exact: (1, 1, H, W) bool, find it exactly for these targets.
        """
        bias = None if discounts is None else -discounts
        allowed = None
        if not torch.equal(self.sources, _whole(self.source, self.patch_size)):
            # the search takes patches that lie whole in a mask: this one holds all that are in
            # the set and some others, which are made too dear
            allowed = grown(self.sources, self.patch_size // 2).float()
            bias = torch.zeros_like(allowed) if bias is None else bias
            bias = bias.where(self.sources, FORBIDDEN)
        return patchmatch(
            self.target,
            self.source,
            patch_size=self.patch_size,
            iterations=passes,
            exact=exact is not None,
            target_mask=(self.targets if exact is None else exact).float(),
            source_mask=allowed,
            bias=bias,
            field=field,
            quality="best" if field is None else "fast",
            seed=int(random.bits(self.seed, turn)),
            memory=CHUNK,
            backend="auto" if exact is not None else self.backend,  # kernels do not do exact
            callback=lambda _: self.poll() if self.poll is not None else None,
        )

    def chosen(self, field: Field) -> Tensor:
        """(N,) linear indices into the source's pixels, of the targets' matches."""
        positions = field.positions[0, 0][:, self.targets[0, 0]].long()
        return positions[0] * self.source.shape[3] + positions[1]

    def least(self, field: Field, discounts: Tensor | None = None) -> Tensor:
        """(N,) float64 on the CPU: distance minus discount of the targets' matches."""
        least = field.distances[0, 0][self.targets[0, 0]].cpu().double()
        if discounts is not None:
            least = least - discounts.flatten()[self.chosen(field)].cpu().double()
        return least

    def mean_least(self, field: Field, discounts: Tensor | None = None) -> float:
        """The mean over all targets of the least distance minus discount over all sources.

        The search comes close for all targets; by how much it falls short is measured on some of
        them, drawn at random, against the exact search, and taken off. Few targets are all exact.
        """
        least = self.least(field, discounts)
        work = int(self.sources.sum()) * self.source.shape[1] * self.patch_size**2
        checked = drawn(self.targets, min(EXACT, max(64, int(WORK / work))), self.seed)
        exact = self.least(self.search(discounts=discounts, exact=checked), discounts)
        some = checked[0, 0][self.targets[0, 0]].cpu()
        return float(least.mean() - (least[some] - exact[some]).mean())


def patch_sets(
    result: Tensor,
    reference: Tensor,
    patch_size: int,
    region: Tensor | None,
    seed: int = 0,
    backend: str = "auto",
    poll: Poll | None = None,
) -> list[PatchSets]:
    """The sets of every picture of a batch: patches centred in the region, whole ones only.

    result: (B, C, H, W). reference: (B or 1, C, H2, W2), of the result's size if there is a region.
    region: (B or 1, 1, H, W), where it is not 0; elsewhere the result counts as equal to the
        reference, so that outside of a fill nothing differs.
    Raises ValueError for what does not fit together and where there is no patch.
    """
    check_patch_size(patch_size)
    check_image(result, "result")
    check_image(reference, "reference", batch=(1, len(result)))
    if result.shape[1] != reference.shape[1]:
        raise ValueError(
            f"the result has {result.shape[1]} channels, the reference {reference.shape[1]}; "
            "bring both to one number"
        )
    for name, picture in (("result", result), ("reference", reference)):
        if min(size_of(picture)) < patch_size:
            raise ValueError(
                f"no patch of {patch_size} fits into the {name} of {by(size_of(picture))}; use a "
                f"patch of at most {min(size_of(picture))}"
            )
    if region is not None and size_of(result) != size_of(reference):
        raise ValueError(
            f"a region of the result of {by(size_of(result))} says nothing about a reference of "
            f"{by(size_of(reference))}; resize one of them, or leave the region out"
        )
    sets = []
    for index in range(len(result)):
        one = result[index : index + 1].float()
        other = reference[index % len(reference)][None].float()
        inside = None
        if region is not None:
            inside = region[index % len(region)][None] > 0
            one = torch.where(inside, one, other)
        targets, sources = (_centres(p, patch_size, inside) for p in (one, other))
        sets.append(PatchSets(one, other, targets, sources, patch_size, seed, backend, poll))
    return sets


def drawn(places: Tensor, count: int, seed: int, number: int = 0) -> Tensor:
    """So many of the True places of (1, 1, H, W) bool at random, or all if there are no more."""
    index = places.flatten().nonzero()[:, 0]
    keys = torch.as_tensor(random.bits(seed, index.cpu(), number))
    kept = index[keys.argsort()[:count].to(index.device)]
    some = torch.zeros_like(places)
    some.view(-1)[kept] = True
    return some


def _rows(image: Tensor, centres: Tensor, patch_size: int) -> Tensor:
    half, (height, width) = patch_size // 2, size_of(image)
    inner = centres[0, 0, half : height - half, half : width - half]
    return all_patches(image, patch_size)[inner.flatten()]


def _centres(image: Tensor, patch_size: int, region: Tensor | None) -> Tensor:
    centres = _whole(image, patch_size)
    if region is not None:
        centres &= region
        if not centres.any():
            raise ValueError(
                f"the region holds no centre of a whole patch of {patch_size}; use a smaller patch "
                "or a larger region"
            )
    return centres


def _whole(image: Tensor, patch_size: int) -> Tensor:
    """(1, 1, H, W) bool: where the whole patches of an image are centred."""
    half, (height, width) = patch_size // 2, size_of(image)
    centres = torch.zeros((1, 1, height, width), dtype=torch.bool, device=image.device)
    centres[..., half : height - half, half : width - half] = True
    return centres
