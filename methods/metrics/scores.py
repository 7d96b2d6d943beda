"""What measuring gives: rows of a table."""

import math
from dataclasses import asdict, dataclass, fields

REGIONS = ("all", "inside", "ring", "outside")


@dataclass(frozen=True)
class Score:
    """One number.

    method: what was measured, in the user's words. image: which picture or clip. metric: an
    identifier (psnr, lpips_alex, ...). region: all, inside, ring or outside. value: NaN where it
    could not be had, and `note` says why. better: "higher", "lower", or "" where neither is.
    weights: file name and first digits of the SHA-256 of every weight file used. seconds: what it
    took. note: what to keep in mind about the number.
    """

    method: str
    image: str
    metric: str
    region: str
    value: float
    better: str
    weights: str = ""
    seconds: float = 0.0
    note: str = ""

    def as_row(self) -> dict:
        """A dict for JSON: infinities are "inf" and "-inf", NaN is None."""
        row = asdict(self)
        if math.isinf(self.value):
            row["value"] = "inf" if self.value > 0 else "-inf"
        elif math.isnan(self.value):
            row["value"] = None
        return row


COLUMNS = tuple(field.name for field in fields(Score))
