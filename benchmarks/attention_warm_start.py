"""What a field to start from saves: iterations of the search at equal error.

    python benchmarks/attention_warm_start.py --data DATA [--backends cpu eager]

Some 3 minutes on one core. Five cases, each with a first field (3 neighbours, 5 iterations) and a
later search that may start from it:

denoising: self-attention of a photograph under noise, as at a later step of a diffusion, from the
    field of the step before; tokens of 16 channels (3 x 3 patches of colours, projected at random),
    in patches of 3 x 3 with "l2" and one by one with "dot".
layers: self-attention of tokens from the field of other tokens of the same picture (another random
    projection, a ReLU), as from one layer of a network to the next.
frames: the frame pair of DATA/attention, the queries moved on by one pixel and dimmed.
coarser: the frame pair, from the field of the pair at half the size, upscaled.

Error = mean distance of the three neighbours over that of 16 iterations at quality "best", less 1.
On the CPU a search from scratch begins with a k-d tree, elsewhere at random ("eager"; on pictures
of half the side). For each number of iterations from the field: how many from scratch come as low.
"""

import argparse
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from measure import load, report

from internal_methods.methods import patch_attention

ITERATIONS = (0, 1, 2, 3, 5, 8)
SIDES = {"cpu": 128, "eager": 64}


def noise(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def tokens(image: torch.Tensor, seed: int, relu: bool = False) -> torch.Tensor:
    made = F.conv2d(image - 0.5, noise(16, 3, 3, 3, seed=seed) / 27**0.5, padding=1)
    return (F.relu(made) if relu else made).contiguous()


def cases(data: Path, side: int) -> dict:
    """name: (q, k and v of the first call, those of the later one, settings)."""
    picture = load(data / "natural" / "coffee.png")
    picture = F.interpolate(picture, (side, side), mode="area")
    before, after = (
        tokens((1 - s) * picture + s * noise(*picture.shape, seed=1), 2) for s in (0.3, 0.27)
    )
    target, source = (
        F.interpolate(
            load(data / "attention" / f"{name}_512.png"), (2 * side, 2 * side), mode="area"
        )
        for name in ("img2", "img1")
    )
    moved = 0.98 * target.roll(1, 3)
    small = [F.interpolate(i, (side, side), mode="area") for i in (target, source)]
    other = tokens(picture, 3, relu=True)
    layer = tokens(picture, 2)
    dot = dict(similarity="dot", patch_size=1)
    return {
        "denoising, patch 3": ((before,) * 3, (after,) * 3, dict(patch_size=3)),
        "denoising, patch 1, dot": ((before,) * 3, (after,) * 3, dot),
        "layers, patch 3": ((layer,) * 3, (other,) * 3, dict(patch_size=3)),
        "frames, patch 7": (
            (target, source, source), (moved, source, source), dict(patch_size=7)
        ),
        "coarser, patch 7": (
            (small[0], small[1], small[1]), (target, source, source), dict(patch_size=7)
        ),
    }  # fmt: skip


def run(inputs, settings, **more):
    start = time.process_time()
    _, field = patch_attention(*inputs, neighbours=3, **settings, **more)
    return field, time.process_time() - start


def compared(first, later, settings) -> dict:
    """Errors and seconds by the number of iterations, from scratch and from the field."""
    given, _ = run(first, settings)
    size, source_size = tuple(later[0].shape[2:]), tuple(later[1].shape[2:])
    if given.size != size:
        given = given.upscale(size, source_size)
    best, _ = run(later, {**settings, "quality": "best"}, iterations=16)
    least = float(best.distances.mean())
    rows = {}
    for iterations in ITERATIONS:
        row = rows[str(iterations)] = {}
        for start, field in (("scratch", None), ("field", given)):
            found, seconds = run(later, settings, iterations=iterations, field=field)
            error = (float(found.distances.mean()) - least) / abs(least)
            row[start] = {"error": error, "process_s": seconds}
    for row in rows.values():
        reached = [i for i in rows if rows[i]["scratch"]["error"] <= row["field"]["error"]]
        row["scratch_iterations_for_it"] = int(reached[0]) if reached else "over 8"
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--backends", nargs="*", default=list(SIDES))
    options = parser.parse_args()
    torch.set_num_threads(1)
    results = {}
    for backend in options.backends:
        for name, (first, later, settings) in cases(options.data, SIDES[backend]).items():
            settings = dict(backend=backend, **settings)
            results[f"{name}, {backend}"] = compared(first, later, settings)
    report("attention_warm_start", results)


if __name__ == "__main__":
    main()
