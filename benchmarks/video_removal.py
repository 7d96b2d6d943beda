"""Removing objects from clips: flow, 3-D patches, Infusion and the router between them.

    python benchmarks/video_removal.py known --shared SHARED [--clips ...] [--seeds ...]
    python benchmarks/video_removal.py objects --shared SHARED
    python benchmarks/video_removal.py table --shared SHARED

and with --height 72 --methods flow patch router infusion for all four, Infusion being a network of
half the published width, trained for 2,000 steps of 12 x 32 x 32 on the clip.

SHARED holds data/video, data/dynamic_textures and data/weights. `known`: shapes that move over the
clip hide what is known, so that every metric can be had: PSNR, SSIM, LPIPS inside the hole, SVFID
inside against outside, warping error. `objects`: the masks of real objects; SVFID and frames side
by side. Every (clip, method, seed) is one file in --runs, so that it can be stopped and split over
processes; `table` puts them together in benchmarks/results/video_removal.json, or, of other
heights, in video_removal_72.json and so on.
"""

import argparse
import json
import statistics
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from measure import report, save

from internal_methods.methods.inpaint import inpaint
from internal_methods.methods.metrics.clips import compare_clips
from internal_methods.methods.moving_masks import Motion, moving_masks
from internal_methods.methods.video import inpaint_video, remove, stabilize, unstabilize
from internal_methods.methods.video.infusion import CLIPS, LEARNING, infusion
from internal_methods.storage import clips, pictures
from internal_methods.storage.weights import WeightsFolder

HEIGHT = 144  # of the frames that are worked on, if not told
FRAMES = 20
METRICS = ["psnr", "ssim", "lpips_alex", "svfid_inside_outside", "warp_error"]
SCENES = {
    "bmx": "video/bmx-trees/frames",
    "parkour": "video/parkour/frames",
    "tennis": "video/tennis/frames",
    "street": "video/fvi_example1/frames",
    "chatelet": "video/chatelet/video.mp4",
    "schoolgirls": "video/schoolgirls/video.mp4",
    "bikes": "video/misc/bikes.mp4",
    "carphone": "video/misc/carphone_pristine.mp4",
    "tornado": "dynamic_textures/tornado",
    "fire": "dynamic_textures/fire_pot_60f.avi",
    "boiling": "dynamic_textures/dyntex/boiling_water_100f.avi",
    "fountain": "dynamic_textures/dyntex/fountain_100f.avi",
    "escalator": "dynamic_textures/tesfaldet/escalator",
    "fish": "dynamic_textures/tesfaldet/fish",
    "flag": "dynamic_textures/tesfaldet/flag_2",
    "water": "dynamic_textures/tesfaldet/water_3",
}
OBJECTS = {"bmx": "masks", "parkour": "masks", "tennis": "masks", "schoolgirls": "masks"}
OBJECTS |= {"chatelet": "masks128"}


def scene(shared: Path, name: str, tall: int) -> torch.Tensor:
    """(1, 3, T, H, W) in [0, 1], H = tall, sides divisible by 8."""
    frames = torch.from_numpy(clips.read(shared / "data" / SCENES[name])[0][:FRAMES, ..., :3])
    frames = frames.movedim(-1, 1)
    height, width = frames.shape[2:]
    size = [tall, round(width * tall / height / 8) * 8]
    frames = F.interpolate(frames, size, mode="bilinear", antialias=True)
    return frames.movedim(0, 1)[None].contiguous()


def object_mask(shared: Path, name: str, size: tuple[int, int]) -> torch.Tensor:
    """(1, 1, T, H, W) of a real object."""
    folder = (shared / "data" / SCENES[name]).parent / OBJECTS[name]
    files = sorted(pictures.in_folder(folder))[:FRAMES]
    masks = torch.from_numpy(np.stack([pictures.read(file)[..., :1] for file in files]))
    masks = F.interpolate(masks.movedim(-1, 1).float(), size, mode="nearest")
    return (masks > 0).float().movedim(1, 0)[None]


def moving(clip: torch.Tensor, seed: int) -> torch.Tensor:
    """A shape of a quarter of the height that moves, (1, 1, T, H, W)."""
    side = clip.shape[3] / 3
    like = Motion((side, side), (side, side), speed=(1.0, 2.0))
    return moving_masks(clip.shape[3:], clip.shape[2], seed=seed, motion="moving", like=like)


def by_frame(clip: torch.Tensor, mask: torch.Tensor, seed: int) -> torch.Tensor:
    frames, holes = (values[0].movedim(1, 0) for values in (clip, mask))
    return inpaint(frames, holes, seed=seed)[0].movedim(0, 1)[None]


def stabilised(clip: torch.Tensor, mask: torch.Tensor, seed: int) -> torch.Tensor:
    """Patches on the canvas on which the background stands still."""
    held = stabilize(clip, mask)
    hole = torch.maximum(held.mask, held.outside)  # else its black would be known
    filled, _ = inpaint_video(held.clip, hole, source_mask=1 - held.outside, seed=seed)
    return unstabilize(filled, held.transforms, clip, mask)


def learnt(
    clip: torch.Tensor, mask: torch.Tensor, seed: int, avoid: torch.Tensor | None = None
) -> torch.Tensor:
    """By Infusion; of what is to be avoided nothing is shown."""
    training, chosen = replace(LEARNING, window=32, seed=seed), {"steps": 2000, "seed": seed}
    network = replace(CLIPS, width=16)
    return infusion(clip, mask, avoid_mask=avoid, network=network, training=training, **chosen)[0]


def learnt_stabilised(clip: torch.Tensor, mask: torch.Tensor, seed: int) -> torch.Tensor:
    """The same on the canvas, as Cherel 2024, VI.3.4."""
    held = stabilize(clip, mask)
    filled = learnt(held.clip, held.mask, seed, held.outside)
    return unstabilize(filled, held.transforms, clip, mask)


METHODS = {
    "frames": by_frame,
    "stabilised": stabilised,
    "infusion": learnt,
    "infusion stabilised": learnt_stabilised,
    "flow": lambda clip, mask, seed: remove(clip, mask, engine="flow", seed=seed).clip,
    "patch": lambda clip, mask, seed: inpaint_video(clip, mask, seed=seed)[0],
    "router": lambda clip, mask, seed: remove(clip, mask, seed=seed).clip,
}


def known(arguments: argparse.Namespace) -> None:
    weights = WeightsFolder([arguments.shared / "data" / "weights"])
    for name in arguments.clips:
        clip = scene(arguments.shared, name, arguments.height)
        for seed in arguments.seeds:
            mask = moving(clip, seed)
            work(arguments, "known", name, seed, clip * (1 - mask), mask, weights, clip)


def objects(arguments: argparse.Namespace) -> None:
    weights = WeightsFolder([arguments.shared / "data" / "weights"])
    for name in arguments.clips:
        if name in OBJECTS:
            clip = scene(arguments.shared, name, arguments.height)
            mask = object_mask(arguments.shared, name, clip.shape[3:])
            for seed in arguments.seeds[:1]:
                work(arguments, "objects", name, seed, clip, mask, weights, None)


def work(arguments, kind: str, name: str, seed: int, clip, mask, weights, truth) -> None:
    """Every method that has not been run: its scores and a picture of its frames."""
    for method in arguments.methods:
        stem = arguments.runs / f"{kind}-{arguments.height}-{name}-{method}-{seed}"
        if stem.with_suffix(".json").exists():
            continue
        start, spent = time.perf_counter(), time.process_time()
        filled = METHODS[method](clip, mask, seed)
        told = {"seconds": time.perf_counter() - start, "cpu_s": time.process_time() - spent}
        names = METRICS if truth is not None else METRICS[3:]
        rows = compare_clips(filled, truth, mask=mask, metrics=names, weights=weights)
        told |= {row.metric: float(row.value) for row in rows if row.region == "inside"}
        shown = range(0, clip.shape[2], max(1, clip.shape[2] // 4))
        save(stem.with_suffix(".png"), *(filled[:, :, t] for t in shown))
        stem.with_suffix(".json").write_text(json.dumps(told))


def table(arguments: argparse.Namespace) -> None:
    found: dict[str, dict] = {}
    for file in sorted(arguments.runs.glob(f"*-{arguments.height}-*.json")):
        kind, _, name, method, _ = file.stem.split("-")
        found.setdefault(f"{kind}, {name}", {}).setdefault(method, []).append(
            json.loads(file.read_text())
        )
    told = {
        case: {
            method: {key: statistics.mean(run[key] for run in runs) for key in runs[0]}
            for method, runs in methods.items()
        }
        for case, methods in found.items()
    }
    name = "video_removal" if arguments.height == HEIGHT else f"video_removal_{arguments.height}"
    report(name, {"height": arguments.height, "frames": FRAMES, "cases": told})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("job", choices=["known", "objects", "table"])
    parser.add_argument("--shared", type=Path, required=True)
    parser.add_argument("--runs", type=Path, default=Path("output/video_removal"))
    parser.add_argument("--clips", nargs="+", choices=SCENES, default=list(SCENES))
    parser.add_argument(
        "--methods", nargs="+", choices=METHODS, default=["flow", "patch", "router"]
    )
    parser.add_argument("--height", type=int, default=HEIGHT)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    arguments = parser.parse_args()
    arguments.runs.mkdir(parents=True, exist_ok=True)
    {"known": known, "objects": objects, "table": table}[arguments.job](arguments)


if __name__ == "__main__":
    main()
