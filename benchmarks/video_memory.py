"""Memory of filling a video window by window: it does not grow with the length of the clip.

    python benchmarks/video_memory.py [--frames 100 500 2000]

Some 3 minutes. Videos of 432x240 with a hole that moves are made first, then each is filled in a
process of its own by a cheap method (every hole gets the mean of its frame), in windows of 40
frames, H.264 in and out, with checkpoints. Reported is the most resident memory of the process, all
in all and beyond what it held with everything imported, and how far the longest is above the
shortest. A clip held as a whole takes its frames as float32, once for each tensor that exists of
it; that is printed beside. MB = 10^6 bytes.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import psutil
import torch
from measure import PeakMemory, report

from internal_methods.headless import host
from internal_methods.nodes import videos
from internal_methods.nodes.api import InputImpl
from internal_methods.storage.clip_writer import writing

WIDTH, HEIGHT, LENGTH, OVERLAP = 432, 240, 40, 8


def make(folder: Path, frames: int) -> None:
    """A drifting texture, and the mask of a box that crosses it."""
    noise = np.random.default_rng(0).uniform(size=(HEIGHT // 8, WIDTH // 8, 3))
    texture = noise.repeat(8, 0).repeat(8, 1).astype(np.float32)
    rate = Fraction(25)
    with (
        writing(folder / f"{frames}.mp4", "h264", rate=rate) as clip,
        writing(folder / f"{frames}_mask.mkv", "ffv1", rate=rate) as mask,
    ):
        for number in range(frames):
            clip.add(np.roll(texture, 2 * number, 1))
            hole = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
            left = 3 * number % (WIDTH - 60)
            hole[90:170, left : left + 60] = 255
            mask.add(hole)


def mean(clip, mask, carried, callback):
    return torch.where(mask > 0, clip.mean((-1, -2), keepdim=True), clip), None


def fill(folder: Path, frames: int) -> dict:
    """Run in a process of its own: what filling takes."""
    host._user_data = lambda: folder / "data"
    video = InputImpl.VideoFromFile(str(folder / f"{frames}.mp4"))
    mask = InputImpl.VideoFromFile(str(folder / f"{frames}_mask.mkv"))
    options = {"length": LENGTH, "overlap": OVERLAP, "device": torch.device("cpu")}
    started = time.perf_counter()
    with host.hosting(host.Host(output=folder / "out")), PeakMemory() as memory:
        videos.filled(video, mask, mean, settings=frames, **options)
    return {
        "frames": frames,
        "peak_mb": memory.most / 1e6,
        "beyond_mb": memory.bytes / 1e6,
        "whole_clip_mb": frames * HEIGHT * WIDTH * 3 * 4 / 1e6,
        "seconds": time.perf_counter() - started,
        "threads": psutil.Process().num_threads(),
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--frames", type=int, nargs="+", default=[100, 500, 2000])
    parser.add_argument("--fill", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.fill:
        print(json.dumps(fill(asked.folder, asked.fill)))
        return
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for frames in asked.frames:
            make(Path(folder), frames)
            command = [sys.executable, __file__, "--fill", str(frames), "--folder", folder]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            rows.append(json.loads(done.stdout))
            print(
                "{frames:5} frames: peak {peak_mb:.0f} MB, {beyond_mb:.0f} beyond the imports; a "
                "whole clip is {whole_clip_mb:.0f} MB; {seconds:.0f} s".format(**rows[-1])
            )
    growth = rows[-1]["peak_mb"] / rows[0]["peak_mb"]
    print(f"{rows[-1]['frames']} against {rows[0]['frames']} frames: x {growth:.3f}")
    settings = {"width": WIDTH, "height": HEIGHT, "length": LENGTH, "overlap": OVERLAP}
    report("video_memory", {"settings": settings, "clips": rows, "growth": growth})


if __name__ == "__main__":
    main()
