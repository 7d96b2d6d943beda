"""Draws the pictures of the README: six samples a method, seeds 0 to 5, none picked; and a failure.

python benchmarks/readme_pictures.py
"""

from pathlib import Path

import torch
import torch.nn.functional as F
from measure import load, save
from PIL import Image

from internal_methods.methods import generate

ROOT = Path(__file__).resolve().parents[1]
SIDE = 160  # of the longer side of a sample in the sheet


def small(image: torch.Tensor) -> torch.Tensor:
    factor = SIDE / max(image.shape[2:])
    size = [round(n * factor) for n in image.shape[2:]]
    return F.interpolate(image, size, mode="bilinear", antialias=True)


def sheet(name: str, rows: list[list[torch.Tensor]]) -> None:
    """Rows of pictures of one size as docs/<name>.jpg."""
    path = ROOT / "docs" / f"{name}.png"
    gap = [
        F.pad(torch.cat([F.pad(small(i), (2, 2, 2, 2), value=1) for i in r], 3), (0, 0))
        for r in rows
    ]
    save(path, torch.cat(gap, 2))
    Image.open(path).save(path.with_suffix(".jpg"), quality=88)
    path.unlink()


def main() -> None:
    inputs = ROOT / "workflows" / "inputs"
    rows = []
    for name in ("balloons", "cobbles_albedo"):
        reference = load(inputs / f"{name}.png")
        reference = F.interpolate(reference, (192, 288), mode="bilinear", antialias=True)
        for method in ("psin", "psinot"):
            samples = generate(reference, method=method, count=6)
            rows.append([reference, *samples.split(1)])
    sheet("samples", rows)
    coffee = load(inputs / "coffee.png")
    sheet("failure", [[coffee, *generate(coffee, count=3).split(1)]])


if __name__ == "__main__":
    main()
