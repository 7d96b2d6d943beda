"""How much several samples differ from each other, pixel by pixel.

Shaham, Dekel and Michaeli 2019, "SinGAN", 4.1, and Cherel 2024, III.4.2, equation III.8.
"""

import math

from torch import Tensor

from ..checks import check_image
from .scores import Score


def diversity(samples: Tensor, reference: Tensor | None = None) -> float:
    """Pixel diversity: the samples' standard deviation, mean of all pixels and channels.

    samples: (n, C, H, W), n at least 2, of one reference. reference: (1, C, H2, W2): divided by the
    standard deviation of its intensity over the pixels (mean of the channels'), as SinGAN does;
    without it, in the units of the values.
    Deviations are roots of the mean square over the n samples (n, not n - 1): of two samples they
    are half the difference. The formula printed in the thesis has 1/n outside the root, and its
    figures imply the division. A reference of one colour has no deviation to divide by: 0 if the
    samples are all alike, else infinity.
    Raises ValueError for a single sample.
    """
    deviation = float(deviation_picture(samples).cpu().double().mean())
    if reference is None:
        return deviation
    check_image(reference, "reference", batch=1)
    if reference.shape[1] != samples.shape[1]:
        raise ValueError(
            f"the samples have {samples.shape[1]} channels, the reference {reference.shape[1]}; "
            "bring both to one number"
        )
    spread = float(reference.cpu().double().std(dim=(0, 2, 3), correction=0).mean())
    if spread == 0:
        return math.inf if deviation else 0.0
    return deviation / spread


def diversity_scores(
    samples: Tensor, reference: Tensor | None = None, method: str = "result"
) -> list[Score]:
    """Rows: pixel_deviation in the units of the values, and with a reference diversity."""
    image = f"{len(samples)} samples"
    value = diversity(samples)
    rows = [Score(method, image, "pixel_deviation", "all", value, "higher")]
    if reference is not None:
        value = diversity(samples, reference)
        note = "standard deviation of the samples divided by that of the reference's intensity"
        rows.append(Score(method, image, "diversity", "all", value, "higher", note=note))
    return rows


def deviation_picture(samples: Tensor) -> Tensor:
    """The standard deviation of every pixel and channel over (n, C, H, W) samples, (1, C, H, W).

    Of values in [0, 1] it is at most 0.5. Raises ValueError for a single sample.
    """
    check_image(samples, "samples")
    if len(samples) < 2:
        raise ValueError(
            "diversity is that of several samples, and this is one; make at least 2 (count of the "
            "generator, or a batch of pictures of one size)"
        )
    return samples.cpu().double().std(dim=0, correction=0, keepdim=True).to(samples)
