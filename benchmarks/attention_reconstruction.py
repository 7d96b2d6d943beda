"""Rebuilding a frame out of another by patch attention, beside dense attention with fewer keys.

    python benchmarks/attention_reconstruction.py --data DATA [--exact] [--out FOLDER]

Two minutes; with --exact, which compares all 262,144 queries with all keys, some 10 minutes more
on one core. DATA/attention holds the frame pair: img2_512.png is rebuilt from img1_512.png. Queries
and keys are patches of 7 x 7 pixels, similarity "l2", temperature 1, values the pixels. Errors are
mean squares over inner pixels (half a patch from the border), as the published search leaves the
rest undefined: it reaches 0.00223 at 512 x 512 where exact search gives 0.00168.

The second table is that of the thesis's table IV.3: at 512, 256, 128 and 64 pixels, dense attention
whose keys are every 10th, 5th, 2nd and 1st patch; and its figures, means over 30 pairs of its own.
It is made at temperature 1, where dense attention mixes many patches of small pictures, and at
0.05, where both are close to the nearest patch.
"""

import argparse
import statistics
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from measure import load, report, save

from internal_methods.methods import patch_attention

PATCH = 7
HALF = PATCH // 2
STRIDES = {512: 10, 256: 5, 128: 2, 64: 1}
TEMPERATURES = (1.0, 0.05)
THESIS = {
    "dense with key stride": {512: 0.0022, 256: 0.0031, 128: 0.0038, 64: 0.0048},
    "PSAL 3": {512: 0.0011, 256: 0.0017, 128: 0.0029, 64: 0.0048},
}


def error(output: torch.Tensor, target: torch.Tensor) -> float:
    return float((output - target)[..., HALF:-HALF, HALF:-HALF].square().mean())


def dense(
    target: torch.Tensor, source: torch.Tensor, stride: int, temperature: float
) -> torch.Tensor:
    """Attention of all patches to every stride-th patch along both axes, some rows at a time."""
    keys = F.unfold(source, PATCH, stride=stride)[0].T.double()
    centres = source[..., HALF:-HALF, HALF:-HALF][..., ::stride, ::stride]
    values = centres.flatten(2)[0].T.double()
    padded = F.pad(target, [HALF] * 4, mode="reflect")
    rows = []
    for y in range(target.shape[2]):
        queries = F.unfold(padded[:, :, y : y + PATCH], PATCH)[0].T.double()
        logits = -torch.cdist(queries, keys).square() / temperature
        rows.append((logits.softmax(1) @ values).T)
    return torch.stack(rows, 1)[None].float()


def psal(target: torch.Tensor, source: torch.Tensor, **settings) -> tuple[torch.Tensor, float]:
    """What it gives, and in how many seconds."""
    start = time.perf_counter()
    output, _ = patch_attention(target, source, source, patch_size=PATCH, **settings)
    return output, time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--exact", action="store_true")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    folder = options.data / "attention"
    target, source = load(folder / "img2_512.png"), load(folder / "img1_512.png")
    psal(target[..., :64, :64], source[..., :64, :64], aggregate=True)
    variants = {
        f"{name}, {quality}": dict(quality=quality, **settings)
        for quality in ("fast", "best")
        for name, settings in {
            "PSAL 1": dict(neighbours=1),
            "PSAL 3": dict(),
            "PSAL 1 + aggregation": dict(neighbours=1, aggregate=True),
            "PSAL 3 + aggregation": dict(aggregate=True),
        }.items()
    }
    if options.exact:
        variants["exact 3"] = dict(exact=True)
    pair = {}
    for name, settings in variants.items():
        errors, seconds = [], []
        for seed in range(1 if "exact" in name else 3):
            output, took = psal(target, source, seed=seed, **settings)
            errors.append(error(output, target))
            seconds.append(took)
        pair[name] = {"error": statistics.mean(errors), "median_s": statistics.median(seconds)}
        if options.out:
            save(options.out / f"{name}.png", target, output)
    scales = {}
    for side, stride in STRIDES.items():
        small = [F.interpolate(i, (side, side), mode="area") for i in (target, source)]
        row = {"stride": stride, "thesis": {name: row[side] for name, row in THESIS.items()}}
        for temperature in TEMPERATURES:
            settings = dict(quality="best", temperature=temperature)
            single = psal(*small, neighbours=1, aggregate=True, **settings)[0]
            row[f"temperature {temperature}"] = {
                "dense with key stride": error(dense(*small, stride, temperature), small[0]),
                "PSAL 3": error(psal(*small, **settings)[0], small[0]),
                "PSAL 1 + aggregation": error(single, small[0]),
            }
        scales[str(side)] = row
    report("attention_reconstruction", {"pair_512": pair, "scales": scales})


if __name__ == "__main__":
    main()
