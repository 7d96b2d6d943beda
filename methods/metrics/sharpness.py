"""How sharp a result is, next to what should be there."""

import torch
from torch import Tensor

FLOOR = 1 / 255  # a gradient that no 8 bit picture could show


def sharpness(result: Tensor, reference: Tensor, *, region: Tensor | None = None) -> Tensor:
    """|ln(gradient of the result / gradient of the reference)|, (B,) float64; 0 = equally sharp.

    Images (B, C, H, W), nominally [0, 1]; region (B, 1, H, W) weights. The gradient is the weighted
    mean of the absolute differences between neighbours, along x and along y, over all pairs with
    both pixels in the region (their weights multiplied), plus 1 / 255. Blur raises it and so does
    noise: 0.69 is half or twice the gradient. Where nothing can be compared pixel by pixel (many
    fills are right, one was there), it is a plain sign of a fill that is too smooth.
    Our own definition; the ratio is a usual figure of texture synthesis. Raises ValueError if the
    region holds no pair.
    """
    gradients = [_gradient(image.double(), region) for image in (result, reference)]
    return ((gradients[0] + FLOOR) / (gradients[1] + FLOOR)).log().abs()


def _gradient(image: Tensor, region: Tensor | None) -> Tensor:
    total, pairs = image.new_zeros(len(image)), image.new_zeros(len(image))
    weights = torch.ones_like(image[:, :1]) if region is None else region.double()
    for dim in (2, 3):
        both = weights.narrow(dim, 1, image.shape[dim] - 1) * weights.narrow(
            dim, 0, image.shape[dim] - 1
        )
        step = image.diff(dim=dim).abs().mean(1, keepdim=True)
        total = total + (step * both).flatten(1).sum(1)
        pairs = pairs + both.flatten(1).sum(1)
    if not (pairs > 0).all():
        raise ValueError("the region holds no two neighbouring pixels to take a gradient of")
    return total / pairs
