"""Speed, accuracy, memory and scaling of the patch search.

    python benchmarks/patchmatch.py --data DATA [--sides 512 1024 2048 4096]

DATA/attention holds the frame pair img2_512.png (target) and img1_512.png (source). Accuracy is the
mean distance over whole target patches, divided by the exact mean (0.42964, by exhaustive search of
all 506 x 506 patches of 7 x 7 x 3).
"""

import argparse
import statistics
import subprocess
import sys
from pathlib import Path

import torch
from measure import PeakMemory, load, report, timed

from internal_methods.methods import patchmatch

EXACT = 0.42964


def accuracy(target, source, **settings) -> float:
    """The mean over three seeds of the ratio to the exact mean distance."""
    ratios = []
    for seed in range(3):
        field = patchmatch(target, source, seed=seed, **settings)
        ratios.append(float(field.distances[..., 3:-3, 3:-3].mean()) / EXACT)
    return statistics.mean(ratios)


def enlarged(images: list[torch.Tensor], side: int) -> list[torch.Tensor]:
    """The pair repeated to side x side, under noise, so that no two tiles are alike."""
    repeats = -(-side // 512)
    large = [i.repeat(1, 1, repeats, repeats)[..., :side, :side] for i in images]
    grain = torch.rand(large[0].shape, generator=torch.Generator().manual_seed(0)) * 0.05
    return [large[0] + grain, large[1] + grain.flip(3)]


def peak(images: list[torch.Tensor], quality: str) -> float:
    """Bytes per pixel of both images, beyond these and the field, in a process that did no more."""
    patchmatch(*images, quality=quality)
    large = enlarged(images, 2048)
    with PeakMemory() as memory:
        field = patchmatch(*large, quality=quality)
    kept = field.positions.nbytes + field.distances.nbytes
    return (memory.bytes - kept) / (2 * 2048**2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sides", type=int, nargs="*", default=[512, 1024, 2048, 4096])
    parser.add_argument("--peak", help="only measure memory at this quality")
    options = parser.parse_args()
    folder = options.data / "attention"
    target, source = load(folder / "img2_512.png"), load(folder / "img1_512.png")
    if options.peak:
        sys.stdout.write(f"{peak([target, source], options.peak)}\n")
        return
    results = {"pair_512": {}, "scaling": {}}
    for quality, iterations in (("fast", 1), ("fast", 2), ("fast", 5), ("best", 5)):
        settings = dict(quality=quality, iterations=iterations)
        row = timed(lambda settings=settings: patchmatch(target, source, **settings))
        row["ratio_to_exact"] = accuracy(target, source, **settings)
        results["pair_512"][f"{quality}, {iterations} iterations"] = row
    soft = 0.1 + 0.8 * target, 0.1 + 0.8 * source  # not multiples of 1/255: the float kernels
    row = timed(lambda: patchmatch(*soft, iterations=2))
    row["ratio_to_exact"] = accuracy(*soft, iterations=2) / 0.64
    results["pair_512"]["fast, 2 iterations, float data"] = row
    results["peak_bytes_per_pixel_2048"] = {}
    for quality in ("fast", "best"):
        command = [sys.executable, __file__, "--data", str(options.data), "--peak", quality]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        results["peak_bytes_per_pixel_2048"][quality] = float(done.stdout)
    for side in options.sides:
        large = enlarged([target, source], side)
        row = timed(lambda large=large: patchmatch(*large), repeats=3 if side < 2048 else 1)
        row["ns_per_pixel"] = row["median_s"] / side**2 * 1e9
        results["scaling"][str(side)] = row
    report("patchmatch", results)


if __name__ == "__main__":
    main()
