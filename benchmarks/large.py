"""Filling a 1024 x 1024 hole of an 8192 x 8192 picture within a budget of memory.

    python benchmarks/large.py --data DATA [--side 8192] [--hole 1024] [--memory-gib 2] [--out FILE]

The picture is the brick of DATA/textures/large/brick_base_gray_2048.jpg, repeated with mirrored
copies, under a slow change of light.
"""

import argparse
import time
from pathlib import Path

import torch
from measure import PeakMemory, load, report, save

from internal_methods.methods import inpaint


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--side", type=int, default=8192)
    parser.add_argument("--hole", type=int, default=1024)
    parser.add_argument("--memory-gib", type=float, default=2.0)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    side, hole = options.side, options.hole
    tile = load(options.data / "textures" / "large" / "brick_base_gray_2048.jpg")
    row = torch.cat((tile, tile.flip(3)), 3)
    image = torch.cat((row, row.flip(2)), 2)
    image = image.repeat(1, 1, -(-side // image.shape[2]), -(-side // image.shape[3]))
    image = image[..., :side, :side] * torch.linspace(0.7, 1, side)
    mask = torch.zeros(1, 1, side, side)
    first = (side - hole) // 2
    mask[..., first : first + hole, first : first + hole] = 1
    inpaint(image[..., :256, :256], mask[..., first - 64 : first + 192, first - 64 : first + 192])
    with PeakMemory() as peak:
        start = time.perf_counter()
        filled, field = inpaint(image, mask, memory=int(options.memory_gib * 2**30))
        seconds = time.perf_counter() - start
    kept = filled.nbytes + field.positions.nbytes + field.distances.nbytes
    if options.out:
        around = slice(first - hole // 2, first + hole + hole // 2)
        save(options.out, image[..., around, around], filled[..., around, around])
    report(
        "large",
        {
            "side": side,
            "hole": hole,
            "budget_bytes": int(options.memory_gib * 2**30),
            "peak_bytes_beyond_results": peak.bytes - kept,
            "seconds": seconds,
            "known_changed": float(((filled - image) * (1 - mask)).abs().max()),
        },
    )


if __name__ == "__main__":
    main()
