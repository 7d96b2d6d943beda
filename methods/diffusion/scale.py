"""Between the values of pictures and those that a network works with."""

from dataclasses import dataclass

from torch import Tensor

DEVIATIONS = 2.0  # of the known values, either side of their mean, that become -1 and 1
BEYOND = 0.5  # share of its range by which a picture may exceed it and still be of it


@dataclass(frozen=True)
class Scale:
    """Values become (value - centre) / unit; low, high: the least and greatest that there are.

    The noise levels are made for pictures whose values are spread over [-1, 1]. Of a texture with
    little contrast, most levels would drown everything, and too few be left for its detail.
    """

    centre: float = 0.5
    unit: float = 0.5
    low: float = 0.0
    high: float = 1.0

    @classmethod
    def of(cls, images: Tensor, holes: Tensor, weights: Tensor | None = None) -> "Scale":
        """After what is known of images (N, C, H, W): holes (N, 1, H, W) are 1 where it is not.

        weights: (N, 1, H, W), what places count where not all count alike: a texture that a
        training is about may be a small and pale part of its picture.
        """
        there = (holes == 0).expand_as(images)
        known = images[there].double()
        low, high = (float(value) for value in known.aminmax())
        if weights is None:
            return cls(float(known.mean()), DEVIATIONS * float(known.std()), low, high)
        counts = weights.expand_as(images)[there].double()
        counts = counts / counts.sum()
        mean = (counts * known).sum()
        deviation = (counts * (known - mean).square()).sum().sqrt()
        return cls(float(mean), DEVIATIONS * float(deviation), low, high)

    def suiting(self, known: Tensor) -> "Scale":
        """This one for known values (n,) of a picture; one of far other values is taken to be of
        the same range in another unit."""
        if not known.numel():
            return self
        low, high = (float(value) for value in known.aminmax())
        slack = BEYOND * (self.high - self.low)
        if self.low - slack <= low and high <= self.high + slack:
            return Scale(self.centre, self.unit, min(low, self.low), max(high, self.high))
        high = high if high > low else low + 1.0
        factor = (high - low) / (self.high - self.low)
        return Scale(low + (self.centre - self.low) * factor, self.unit * factor, low, high)

    @property
    def limits(self) -> tuple[float, float]:
        """What low and high become."""
        return (self.low - self.centre) / self.unit, (self.high - self.centre) / self.unit

    def scaled(self, values: Tensor) -> Tensor:
        return (values - self.centre) / self.unit

    def unscaled(self, values: Tensor) -> Tensor:
        return values * self.unit + self.centre
