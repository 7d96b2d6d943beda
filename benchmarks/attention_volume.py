"""Attention over a clip of 1280x720x120 tokens: memory, time, and how close it is to exact search.

    python benchmarks/attention_volume.py --data DATA [--size 160 96 24] [--iterations 2]

Keys and values are the luma, in 8 bits, of the 60 frames of DATA/video/bmx-trees/frames, forwards
and then backwards until there are enough, resized to the size. Queries are the same clip one frame
later, moved by 5 rows and 9 columns (mirrored at the border), with grain of 2/255. Patches are
3x3x3, one neighbour, similarity l2.

Time and the peak of resident memory, queries, keys, values and interpreter included, are those of
a process that makes the clips and calls patch_attention once (kernels compiled before). Accuracy is
measured on crops, on which exhaustive search is possible: "crops" searches and compares within the
crop alone; "whole" compares what the search of the whole clip found for the inner queries of the
crop with the exact best within the crop, which a search of everything should beat. Recall is the
share of queries whose match is as good as the exact one.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import torch
import torch.nn.functional as F
from measure import report
from PIL import Image

from internal_methods.methods import patch_attention, patchmatch

SETTINGS = dict(patch_size=3, neighbours=1)
CROP = (8, 40, 48)


def luma(folder: Path, size: tuple[int, int, int]) -> torch.Tensor:
    """(1, 1, T, H, W) float32, multiples of 1/255."""
    frames, height, width = size
    files = sorted(folder.iterdir())
    order = [*range(len(files)), *range(len(files) - 2, 0, -1)]
    clip = torch.empty(1, 1, *size)
    for t in range(frames):
        image = Image.open(files[order[t % len(order)]]).convert("L").resize((width, height))
        clip[0, 0, t] = torch.from_numpy(np.asarray(image).copy()) / 255
    return clip


def moved(clip: torch.Tensor) -> torch.Tensor:
    """The next frames, moved and under grain, again multiples of 1/255."""
    out = torch.empty_like(clip)
    frames, height, width = clip.shape[2:]
    generator = torch.Generator().manual_seed(0)
    for t in range(frames):
        frame = F.pad(clip[:, 0, (t + 1) % frames][None], (0, 9, 0, 5), mode="reflect")[..., 5:, 9:]
        grain = torch.randn(height, width, generator=generator) * 2
        out[0, 0, t] = (frame[0, 0] * 255 + grain).round().clamp_(0, 255) / 255
    return out


def crops(size: tuple[int, ...]) -> list[tuple[slice, ...]]:
    """Three crops: in the first, the middle and the last part of every axis."""
    found = []
    for part in (0.1, 0.5, 0.9):
        begins = [int(part * (n - min(n, c))) for n, c in zip(size, CROP, strict=True)]
        found.append(
            tuple(slice(b, b + min(n, c)) for b, n, c in zip(begins, size, CROP, strict=True))
        )
    return found


def closeness(found: torch.Tensor, exact: torch.Tensor) -> dict:
    """Of distances: the ratio of the means, and the share that is as good as exact."""
    return {
        "mean_distance_over_exact": float(found.mean() / exact.mean()),
        "recall": float((found <= exact * (1 + 1e-5) + 1e-7).float().mean()),
    }


def run(folder: Path, size: tuple[int, int, int], iterations: int, quality: str) -> dict:
    """One call over everything, in this process."""
    settings = dict(**SETTINGS, iterations=iterations, quality=quality)
    small = luma(folder, (20, 32, 48))  # enough for the search to plant a tree
    patch_attention(moved(small), small, small, **settings)  # compiles the kernels
    k = luma(folder, size)
    q = moved(k)
    inputs = psutil.Process().memory_info().rss
    start, used = time.perf_counter(), time.process_time()
    output, field = patch_attention(q, k, k.clone(), **settings)
    row = {
        "seconds": time.perf_counter() - start,
        "processor_seconds": time.process_time() - used,
        "resident_with_queries_and_keys_bytes": inputs,
        "peak_resident_bytes": psutil.Process().memory_info().rss,
    }
    try:
        import resource

        row["peak_resident_bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    except ImportError:  # not on Windows
        row["peak_resident_bytes"] = psutil.Process().memory_info().peak_wset
    row["ns_per_token"] = row["processor_seconds"] / k.numel() * 1e9
    row["mean_distance"] = float(field.distances.mean())
    row["output_error"] = float((output - q).abs().mean())
    within = {"crops": [], "whole": []}
    for crop in crops(size):
        some = [clip[(slice(None), slice(None), *crop)] for clip in (q, k)]
        exact = patchmatch(*some, **SETTINGS, exact=True).distances
        found = patchmatch(*some, **settings).distances
        within["crops"].append(closeness(found, exact))
        inner = (slice(None), slice(None), *[slice(1, -1)] * 3)
        whole = field.distances[(slice(None), slice(None), *crop)]
        within["whole"].append(closeness(whole[inner], exact[inner]))
    for name, rows in within.items():
        row[name] = {key: sum(r[key] for r in rows) / len(rows) for key in rows[0]}
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--size", type=int, nargs=3, default=(1280, 720, 120), help="W H T")
    parser.add_argument("--iterations", type=int, default=2)
    parser.add_argument("--quality", default="fast")
    parser.add_argument("--name", default="attention_volume", help="of the result")
    parser.add_argument("--here", action="store_true", help="run in this process")
    options = parser.parse_args()
    width, height, frames = options.size
    if options.here:
        folder = options.data / "video" / "bmx-trees" / "frames"
        row = run(folder, (frames, height, width), options.iterations, options.quality)
        sys.stdout.write(json.dumps(row) + "\n")
        return
    done = subprocess.run(
        [sys.executable, __file__, *sys.argv[1:], "--here"],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    settings = dict(iterations=options.iterations, quality=options.quality, channels=1)
    tokens = width * height * frames
    results = {"size": f"{width}x{height}x{frames}", "tokens": tokens, **SETTINGS, **settings}
    # then "seconds" are those of waiting; "processor_seconds" count the work of all threads
    results["machine_was_busy"] = os.getloadavg()[0] > (os.cpu_count() or 1) + 1
    report(options.name, {**results, **json.loads(done.stdout.splitlines()[-1])})


if __name__ == "__main__":
    main()
