"""Speed, memory and quality of patch inpainting of clips, and the same frame by frame beside it.

    python benchmarks/video_patch.py [--data DATA --weights FOLDER] [--out FOLDER] [--threads N]

Speed: 60 frames of 432 x 240 of drifting smooth noise, with a hole of 72 x 72 (5 %) that moves
across; seconds by the clock and of the processor, and the most memory beyond clip and mask. A
minute on two cores.
Quality, where DATA is given: DATA/dynamic_textures/tesfaldet (fish, escalator, water_3, flag_2, 12
frames of 256 x 256) with the square of 96 x 96 in the middle hidden in every frame, compared with
what was there. FOLDER holds the weights of LPIPS and I3D. warp_error, inside the hole: how much
frames differ from the next along the motion of the clip as it was; flicker: 1 is best. Some ten
minutes, most of it for the metrics. --out: pictures of frames, clip fill above frame fill above
truth.
"""

import argparse
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from measure import PeakMemory, load, report, save

from internal_methods.methods import inpaint
from internal_methods.methods.metrics import compare_clips
from internal_methods.methods.video import inpaint_video
from internal_methods.storage.weights import WeightsFolder

TEXTURES = ("fish", "escalator", "water_3", "flag_2")
METRICS = ("psnr", "lpips_alex", "warp_error", "flicker", "svfid", "svfid_inside_outside")
SHOWN = (0, 4, 5, 6, 11)  # frames of the pictures


def drifting(frames: int, height: int, width: int) -> torch.Tensor:
    """(1, 3, T, H, W): layers of smooth noise, each with a grain and a direction of its own."""
    generator = torch.Generator().manual_seed(0)
    clip = torch.zeros(1, 3, frames, height, width)
    for grain, down, across in ((32, 0.5, 1.5), (12, -1.0, 0.5), (5, 0.25, -2.0)):
        size = [int(n / grain) + int(4 * frames / grain) + 4 for n in (height, width)]
        layer = torch.rand(1, 3, *size, generator=generator)
        layer = F.interpolate(layer, scale_factor=grain, mode="bicubic")
        for t in range(frames):
            top, left = (int(t * v) + 2 * frames for v in (down, across))
            clip[:, :, t] += layer[..., top : top + height, left : left + width] / 3
    return clip.clamp_(0, 1)


def moving_hole(frames: int, height: int, width: int, side: int) -> torch.Tensor:
    mask = torch.zeros(1, 1, frames, height, width)
    for t in range(frames):
        left = 20 + t * (width - 40 - side) // max(1, frames - 1)
        mask[..., t, (height - side) // 2 : (height + side) // 2, left : left + side] = 1
    return mask


def speed() -> dict:
    inpaint_video(drifting(6, 40, 48), moving_hole(6, 40, 48, 8), iterations=1)  # compiles
    clip, mask = drifting(60, 240, 432), moving_hole(60, 240, 432, 72)
    with PeakMemory() as memory:
        clock, processor = time.perf_counter(), time.process_time()
        inpaint_video(clip, mask)
        seconds = time.perf_counter() - clock
        processor = time.process_time() - processor
    share = float(mask.mean())
    return {"s": seconds, "cpu_s": processor, "peak_bytes": memory.bytes, "hole_share": share}


def texture(folder: Path) -> torch.Tensor:
    return torch.stack([load(path) for path in sorted(folder.glob("*.png"))], 2)


def quality(data: Path, weights: WeightsFolder, out: Path | None) -> dict:
    results = {}
    for name in TEXTURES:
        truth = texture(data / "dynamic_textures" / "tesfaldet" / name)
        mask = torch.zeros(1, 1, 1, *truth.shape[3:])
        mask[..., 80:176, 80:176] = 1
        broken = torch.where(mask > 0, 0.5, truth)
        frames = [inpaint(frame, mask[:, :, 0])[0] for frame in broken.unbind(2)]
        fills = {"clip": inpaint_video(broken, mask)[0], "frame by frame": torch.stack(frames, 2)}
        results[name] = {}
        for method, fill in fills.items():
            scores = compare_clips(fill, truth, mask=mask, metrics=METRICS, weights=weights)
            results[name][method] = {
                f"{score.metric} {score.region}": score.value
                for score in scores
                if score.region in ("all", "inside")
            }
        if out:
            rows = [torch.cat([f[:, :, t] for f in (*fills.values(), truth)], 2) for t in SHOWN]
            save(out / f"{name}.png", *rows)
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder with dynamic_textures")
    parser.add_argument("--weights", type=Path, help="folder with the weights of LPIPS and I3D")
    parser.add_argument("--out", type=Path, help="folder for the pictures")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    results = {"speed": speed()}
    if options.data:
        weights = WeightsFolder([options.weights] if options.weights else [])
        results["quality"] = quality(options.data, weights, options.out)
    report("video_patch", results)


if __name__ == "__main__":
    main()
