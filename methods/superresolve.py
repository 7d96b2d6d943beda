"""Super-resolution out of the picture itself: what is fine here is seen coarse there."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from .attention import patch_attention
from .checks import by, check_image, check_patch_size, size_of
from .features import colour_channels, difference, luma
from .steps import Callback, Progress

LARGEST = 16  # factor
STRIDE = 1.6  # factor of a step that is aimed at; up to the root of it more or less is taken
TEMPERATURE = 0.3  # per pixel of the patch, in units of the local contrast squared
REACH = 2.0  # pixels, of the Gaussian window in which contrast is measured
BENDS = 0.7  # weight of the second differences beside the slopes
FLOOR = 0.8  # of the picture's contrast; below it differences count as noise
QUALITIES = ("fast", "best")
_SEAM = 9.0  # in the features, far from what the contrast allows; a patch across it is never near


def superresolve(
    image: Tensor,
    scale: float = 2.0,
    *,
    patch_size: int = 5,
    neighbours: int = 5,
    turned: bool = True,
    back_projection: int = 5,
    exact: bool = False,
    quality: str = "fast",
    iterations: int = 10,
    seed: int = 0,
    backend: str = "auto",
    callback: Callback | None = None,
) -> Tensor:
    """Enlarge an image with the fine detail that patches of its own have at another scale.

    In steps of a factor around 1.6, each on the result of the one before: the image is enlarged;
    its patches (queries) attend to those of the image reduced and enlarged again (keys), which is
    just as blurred; the values are what that blur took from the image. All patches over a pixel
    have their say. The sum is then corrected until reduced to the given size it is the given image.

    image: (B, C, H, W) floating. What C has beyond 3 colours or grey (alpha ...) is enlarged with
        them, and not matched on.
    scale: 1 to 16; sides are rounded. patch_size: odd. neighbours: keys for each query.
    turned: take the keys from the image turned and mirrored as well, eight ways.
    back_projection: corrections of every step; with 5 the reduced result differs from the image by
        a small part of 1/255, where the clamp below lets it. 0 = none, for images that were not
        made by an antialiased reduction, or are noisy.
    exact: compare all patches instead of searching; for tiny images. quality: "fast", or "best" to
        average two results that came about by fewer and by more steps.
    iterations: of the search; 10 leave it within 0.1 dB of exact attention, on the mean of a set.
    callback: called with a Step after every step, and during the search.
    Returns (B, C, round(H scale), round(W scale)) in the image's dtype. A channel that lies within
    [0, 1] stays there.
    Raises ValueError for an image smaller than the patch, and for settings out of range.
    Glasner et al. 2009, doi:10.1109/ICCV.2009.5459271; the transfer of high frequencies after
    Freedman and Fattal 2011, doi:10.1145/1944846.1944852; the search by attention after Cherel et
    al. 2022, arXiv:2202.03163.
    """
    _check(image, scale, patch_size, back_projection, quality)
    if scale == 1:
        return image.clone()
    given = image.float()
    low, high = _limits(given)
    wanted = math.log(scale) / math.log(STRIDE)
    both = {max(1, math.floor(wanted)), max(1, math.ceil(wanted))}
    ladders = sorted(both) if quality == "best" else [max(1, round(wanted))]
    progress = Progress(callback, sum(ladders), 1)
    progress.report(given, 0, 0)  # from here on a poll can interrupt
    results = []
    for steps in ladders:
        larger = given
        for step in range(1, steps + 1):
            size = scaled(size_of(given), scale ** (step / steps))
            larger = _step(
                larger,
                given,
                size,
                patch_size=patch_size,
                neighbours=neighbours,
                turned=turned,
                back_projection=back_projection,
                exact=exact,
                quality="best",
                iterations=iterations,
                seed=seed,
                backend=backend,
                callback=lambda _: progress.poll(),
            )
            done = 1 if progress.latest is None else progress.latest.done + 1
            progress.report(larger, 0, done)
        results.append(larger)
    mean = torch.stack(results).mean(0)
    return back_project(mean, given, back_projection).clamp(low, high).to(image.dtype)


def resized(image: Tensor, size: tuple[int, int]) -> Tensor:
    """(B, C, H, W) bicubic, a = -0.5; when reduced the kernel is widened by the factor, as in
    MATLAB's imresize and Pillow."""
    return F.interpolate(image, size, mode="bicubic", antialias=True, align_corners=False)


def back_project(larger: Tensor, image: Tensor, times: int) -> Tensor:
    """`larger` changed so that it is `image` when it is reduced to that size.

    What is lacking after the reduction is enlarged and added, `times` times; the difference shrinks
    geometrically. Irani and Peleg 1991, doi:10.1016/1049-9652(91)90045-L.
    """
    for _ in range(times):
        lacking = image - resized(larger, size_of(image))
        larger = larger + resized(lacking, size_of(larger))
    return larger


def scaled(size: tuple[int, int], factor: float) -> tuple[int, int]:
    """The size times the factor, rounded, each side at least 1."""
    height, width = size
    return max(1, round(height * factor)), max(1, round(width * factor))


def _step(
    image: Tensor,
    given: Tensor,
    size: tuple[int, int],
    *,
    patch_size: int,
    turned: bool,
    back_projection: int,
    **search,
) -> Tensor:
    """`image`, made of `given` so far, enlarged to `size` with what the patches of its own say."""
    larger = back_project(
        back_project(resized(image, size), image, back_projection), given, back_projection
    )
    height, width = size_of(image)
    reduced = resized(
        image, (max(1, round(height**2 / size[0])), max(1, round(width**2 / size[1])))
    )
    blurred = back_project(resized(reduced, (height, width)), reduced, back_projection)
    floor = FLOOR * _rms(_slopes(_light(image)))
    queries, contrast = _features(larger, floor)
    pairs = [_key_and_value(*pair, floor) for pair in _views(blurred, image, turned)]
    values, _ = patch_attention(
        queries,
        _mosaic([key for key, _ in pairs], _SEAM),
        _mosaic([value for _, value in pairs], 0.0),
        patch_size=patch_size,
        temperature=TEMPERATURE * patch_size**2,
        aggregate=True,
        **search,
    )
    return back_project(larger + values * contrast, given, back_projection)


def _key_and_value(blurred: Tensor, image: Tensor, floor: Tensor) -> tuple[Tensor, Tensor]:
    """What a patch is recognised by, and what the blur took from it, in units of its contrast."""
    features, contrast = _features(blurred, floor)
    return features, (image - blurred) / contrast


def _features(image: Tensor, floor: Tensor) -> tuple[Tensor, Tensor]:
    """The first and second derivatives of light over the local contrast, (B, 4, H, W), and that
    contrast, (B, 1, H, W): patches are alike whatever light falls on them."""
    light = _light(image)
    slopes = _slopes(light)
    contrast = (_near(slopes.square().sum(1, keepdim=True)) + floor.square()).sqrt()
    return torch.cat((slopes, BENDS * _bends(light)), 1) / contrast, contrast


def _light(image: Tensor) -> Tensor:
    return luma(image[:, : colour_channels(image.shape[1])])


def _slopes(light: Tensor) -> Tensor:
    """(B, 2, H, W): how light changes down and across."""
    return torch.cat([difference(light, axis, False) for axis in (0, 1)], 1)


def _bends(light: Tensor) -> Tensor:
    """(B, 2, H, W): second differences down and across, of next neighbours: they see the finest
    detail, to which central differences are blind."""
    padded = F.pad(light, (1, 1, 1, 1), mode="replicate")
    down = padded[..., 2:, 1:-1] + padded[..., :-2, 1:-1] - 2 * light
    across = padded[..., 1:-1, 2:] + padded[..., 1:-1, :-2] - 2 * light
    return torch.cat((down, across), 1)


def _rms(values: Tensor) -> Tensor:
    """(B, 1, 1, 1), positive."""
    return values.square().mean(dim=(1, 2, 3), keepdim=True).sqrt().clamp(min=1e-12)


def _near(values: Tensor) -> Tensor:
    """(B, 1, H, W) averaged under a Gaussian window."""
    reach = round(3 * REACH)
    steps = torch.arange(-reach, reach + 1, device=values.device, dtype=values.dtype)
    taps = torch.exp(-0.5 * (steps / REACH) ** 2)
    taps = (taps / taps.sum()).view(1, 1, -1, 1)
    padded = F.pad(values, (reach,) * 4, mode="replicate")
    return F.conv2d(F.conv2d(padded, taps), taps.transpose(2, 3))


def _views(first: Tensor, second: Tensor, turned: bool) -> list[tuple[Tensor, Tensor]]:
    """The pair as it is, or in all eight positions of a square."""
    if not turned:
        return [(first, second)]
    flips = [(), (2,), (3,), (2, 3)]
    upright = [(first.flip(flip), second.flip(flip)) for flip in flips]
    return upright + [(a.transpose(2, 3), b.transpose(2, 3)) for a, b in upright]


def _mosaic(pictures: list[Tensor], between: float) -> Tensor:
    """Pictures side by side in one, with `between` around those that are lower than others and in a
    line between each two, so that no patch sees two of them."""
    height = max(picture.shape[2] for picture in pictures)
    padded = [F.pad(p, (0, 1, 0, height - p.shape[2]), value=between) for p in pictures]
    return torch.cat(padded, 3)[..., :-1].contiguous()


def _limits(image: Tensor) -> tuple[Tensor, Tensor]:
    """The least and the greatest value that each channel may have, (B, C, 1, 1)."""
    low, high = image.amin((2, 3), keepdim=True), image.amax((2, 3), keepdim=True)
    nominal = (low >= 0) & (high <= 1)
    return torch.where(nominal, 0.0, -torch.inf), torch.where(nominal, 1.0, torch.inf)


def _check(
    image: Tensor, scale: float, patch_size: int, back_projection: int, quality: str
) -> None:
    """Raise ValueError, with the rule, the values and a remedy, for what cannot be done."""
    check_image(image, "image")
    check_patch_size(patch_size)
    if min(size_of(image)) < patch_size:
        raise ValueError(
            f"the image of {by(size_of(image))} is smaller than a patch of {patch_size}; use a "
            "smaller patch_size or a larger image"
        )
    if not 1 <= scale <= LARGEST:
        raise ValueError(f"scale {scale} is not within 1 to {LARGEST}")
    if back_projection < 0:
        raise ValueError(f"back_projection {back_projection} is negative; use 0 for none")
    if quality not in QUALITIES:
        raise ValueError(f"quality {quality!r} is not one of {', '.join(QUALITIES)}")
