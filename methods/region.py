"""Remaking a region of a picture out of patches so that it fits what is around it."""

from dataclasses import dataclass

from torch import Tensor

from ..backends import random
from ..backends.threads import kernels_only
from .alternation import FIRST_PASSES, Alternation, upscaled, whole_patches
from .checks import check_image, check_scales, size_of
from .features import MatchingSpace, colour_channels
from .field import Field
from .morphology import grown
from .pyramid import enlarge, halved, pyramid
from .steps import Callback, Progress

FIRST = -1  # the turn of the search that begins a scale
TOUCHED = 1e-3  # share of the region in a coarse pixel above which it belongs to it


@dataclass(frozen=True)
class Remake:
    """A picture, the reference that gives the patches, and the region, at every scale.

    Lists run from the coarsest scale to the finest. wrap: per axis, whether the picture is a torus.
    bands: so many of the coarsest bands of the picture's Laplacian pyramid are kept in the region.
    """

    reference: Tensor
    given: list[Tensor]  # features of the picture
    sources: list[Tensor]  # features of the reference
    regions: list[Tensor]  # bool
    allowed: list[Tensor] | None  # bool, what of the reference may be used
    patch_size: int
    wrap: tuple[bool, bool]
    bands: int

    @classmethod
    def of(
        cls,
        image: Tensor,
        region: Tensor,
        reference: Tensor | None,
        *,
        scales: int,
        patch_size: int,
        texture: float,
        wrap: tuple[bool, bool] = (False, False),
        bands: int = 0,
    ) -> "Remake":
        """Build the pyramids.

        image: (1, C, H, W) floating. region: (1, 1, H, W) bool. reference: (1, C, H2, W2), default
        the image outside the region.
        Raises ValueError where a patch does not fit, and where nothing is left to take patches
        from.
        """
        check_scales("image", size_of(image), scales, patch_size)
        allowed = None
        if reference is None:
            free = pyramid((~region).float(), scales)[::-1]
            allowed = [level > 1 - TOUCHED for level in free]
            if bool(region.all()):
                raise ValueError(
                    "the mask covers the whole image: nothing is left to take patches from"
                )
            reference = image
        check_image(reference, "reference", batch=1)
        check_scales("reference", size_of(reference), scales, patch_size)
        if reference.shape[1] != image.shape[1]:
            raise ValueError(
                f"the reference has {reference.shape[1]} channels, the image {image.shape[1]}"
            )
        colours = colour_channels(image.shape[1])
        space = MatchingSpace.of(reference[:, :colours], texture)
        given = pyramid(space.features(image[:, :colours], wrap), scales, wrap)
        regions = pyramid(region.float(), scales, wrap)
        return cls(
            reference=reference,
            given=given[::-1],
            sources=pyramid(space.features(reference[:, :colours]), scales)[::-1],
            regions=[level > TOUCHED for level in regions[::-1]],
            allowed=allowed,
            patch_size=patch_size,
            wrap=wrap,
            bands=bands,
        )

    def run(
        self,
        image: Tensor,
        *,
        start_scale: int,
        iterations: int,
        seed: int,
        backend: str,
        callback: Callback | None,
    ) -> tuple[Tensor, Field]:
        """The remade picture, meaningful in the region only, and its field to the reference."""
        levels = len(self.given) - start_scale
        progress = Progress(callback, levels * iterations, levels)
        with kernels_only():
            scale = self._alternation(start_scale, seed, backend, progress)
            target = self.given[start_scale]
            progress.report(target[:, :-2], 0, 0)  # the first search can be interrupted as well
            field = scale.search(target, None, FIRST, FIRST_PASSES)
            for index in range(levels):
                level = start_scale + index
                given = self.given[level]
                if index:
                    scale = self._alternation(level, seed, backend, progress)
                    field = upscaled(field, size_of(given), size_of(scale.source), scale.queries)
                    target = scale.pin(scale.rebuild(field))
                    target = self._with_low_bands(target, given, level)
                for turn, new, found, last in scale.alternate(target, field, iterations):
                    done = index * iterations + (iterations if last else turn + 1)
                    shown = self._with_low_bands(new, given, level)
                    progress.report(shown[:, :-2], index, done, last)
                    if last:
                        field = found
            made = scale.rebuild(field, self.reference)
            made = self._with_low_bands(made.float(), image.float(), len(self.given) - 1)
        return made.to(image.dtype), field

    def _alternation(self, level: int, seed: int, backend: str, progress: Progress) -> Alternation:
        given, region = self.given[level], self.regions[level]
        whole = whole_patches(size_of(given), self.patch_size, self.wrap, given.device)
        return Alternation(
            source=self.sources[level],
            queries=whole & grown(region, self.patch_size // 2, self.wrap),
            patch_size=self.patch_size,
            wrap=self.wrap,
            seed=int(random.bits(seed, level)),
            backend=backend,
            pinned=(given, (~region).expand_as(given)),
            source_mask=None if self.allowed is None else self.allowed[level],
            sharp=True,
            poll=progress.poll,
        )

    def _with_low_bands(self, made: Tensor, given: Tensor, level: int) -> Tensor:
        """`made` at some scale with its coarsest bands replaced by those of `given`."""
        if self.bands == 0:
            return made
        difference, sizes = given - made, []
        for _ in range(level + 1 - self.bands):
            sizes.append(size_of(difference))
            difference = halved(difference, self.wrap)
        for size in reversed(sizes):
            difference = enlarge(difference, size)
        return made + difference
