"""What internal diffusion cannot do: docs/diffusion_limits.jpg.

    python benchmarks/diffusion_limits.py [--steps 700]

A natural photograph with a hole where it repeats itself, and a face with a hole where it does not:
scikit-image's *coffee* and *chelsea*, both public domain (CC0). Columns: the picture and its hole,
the fill of patches, two samples of a model trained on the picture. About 3 minutes on two cores.
"""

import argparse
from pathlib import Path

import skimage.data
import torch
from measure import load
from PIL import Image

from internal_methods.methods.diffusion import diffusion_inpaint, train
from internal_methods.methods.inpaint import inpaint

ROOT = Path(__file__).resolve().parents[1]
SIDE = 256
# file, upper left corner of what is shown, and of the hole in it; height and width of the hole
CASES = [("coffee", (120, 0), (130, 20), (80, 70)), ("chelsea", (0, 110), (85, 170), (85, 80))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=700)
    rows = [row(*case, parser.parse_args().steps) for case in CASES]
    pixels = torch.cat(rows, 1).clamp(0, 1).mul(255).round().byte().movedim(0, -1)
    Image.fromarray(pixels.numpy()).save(ROOT / "docs" / "diffusion_limits.jpg", quality=88)


def row(name: str, corner: tuple, hole: tuple, size: tuple, steps: int) -> torch.Tensor:
    """(3, H, W): the four pictures of a case side by side."""
    image = load(Path(skimage.data.__file__).parent / f"{name}.png")
    image = image[..., corner[0] : corner[0] + SIDE, corner[1] : corner[1] + SIDE].contiguous()
    mask = torch.zeros(1, 1, SIDE, SIDE)
    mask[..., hole[0] : hole[0] + size[0], hole[1] : hole[1] + size[1]] = 1
    red = torch.tensor([0.9, 0.2, 0.2]).view(1, 3, 1, 1)
    given = torch.where(mask > 0, red, image)
    model = train(given, mask, steps=steps)
    samples = diffusion_inpaint(model, given, mask, count=2)
    return torch.cat([given, inpaint(given, mask)[0], *samples.split(1)], 3)[0]


if __name__ == "__main__":
    main()
