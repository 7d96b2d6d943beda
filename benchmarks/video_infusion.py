"""Filling clips by Infusion, as Cherel 2024, tables VI.3 and VI.5 and figure VI.8, sized for a CPU.

    python benchmarks/video_infusion.py --shared SHARED [--scale ...] run [--methods ...]
    python benchmarks/video_infusion.py --shared SHARED [--scale ...] table
    python benchmarks/video_infusion.py --shared SHARED [--scale ...] picture
    python benchmarks/video_infusion.py --shared SHARED [--scale ...] synthesis
    python benchmarks/video_infusion.py --shared SHARED cost [--sizes window texture davis]

SHARED holds data/dynamic_textures and data/weights; the clip "pond" is the project's own. Clips: 12
frames with one closed shape that moves hidden, nothing of which is shown to any method. Two scales.
"full": 256 x 256, windows of 12 x 64 x 64, one in a step, the published network, half an hour of a
core without bfloat16 for each run. "small": the middle 96 x 96 of the halved frames, a hole of the
same share, windows of 12 x 32 x 32, a network of half the width; orders can be compared, values
cannot. Every (clip, method, seed) is one file in --runs, and trainings keep checkpoints there, so
that `run` can be stopped, split over processes (each on one thread) and gone on with (seconds are
then those of the last part). `table` puts them together in benchmarks/results/video_infusion.json,
or video_infusion_full.json, `picture` shows what became of the pond by each weighting in
docs/weightings.png. `synthesis`: new clips of the same size from noise, after so many steps, as the
network made them and with their patches matched; SVFID between them and their source, and PSNR, for
a high one is a copy; in benchmarks/results/video_synthesis.json. Metrics of frames are means over
them, in the hole; SVFID is that of the hole against all around it. `cost` measures steps of
training and of denoising side by side: with torch's own convolutions, and as the pack does them.
"""

import argparse
import json
import statistics
import time
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from measure import PeakMemory, load, report, save
from torch import Generator

from internal_methods.methods.contact_sheet import contact_sheet
from internal_methods.methods.convolution import ClipConvolution
from internal_methods.methods.diffusion.network import UNet
from internal_methods.methods.diffusion.precision import alone, half_precision, rounded
from internal_methods.methods.diffusion.settings import NetworkSettings
from internal_methods.methods.metrics.clips import compare_clips
from internal_methods.methods.moving_masks import Motion, moving_masks
from internal_methods.methods.video import dynamic_texture, inpaint_video, match_patches
from internal_methods.methods.video.dynamic_texture import source_psnr
from internal_methods.methods.video.infusion import CLIPS as NETWORK
from internal_methods.methods.video.infusion import LEARNING, infusion
from internal_methods.storage.checkpoints import Checkpoint, Checkpoints, InUse
from internal_methods.storage.clips import read
from internal_methods.storage.weights import WeightsFolder

ROOT = Path(__file__).resolve().parents[1]
OWN = "pond"
NAMES = ("water_3", "escalator", "fish", "flag_2", OWN)
SHOWN = (0, 4, 7, 11)  # frames on the sheet of a run
METRICS = ["psnr", "ssim", "lpips_alex", "warp_error", "svfid_inside_outside"]
INSIDE = ("psnr", "ssim", "lpips_alex")


@dataclass(frozen=True)
class Scale:
    """halved: times. side: of the middle part of the frames that is taken."""

    halved: int
    side: int
    hole: tuple[float, float]
    network: NetworkSettings
    window: int


SCALES = {
    "full": Scale(0, 256, (56.0, 80.0), NETWORK, 64),
    "small": Scale(1, 96, (21.0, 30.0), replace(NETWORK, width=16), 32),
}
PLAIN = {"intervals": 1, "common": 0.0, "asked": 100}
METHODS: dict[str, dict | None] = {
    "patch": None,
    "interval": {},
    "interval 20 after half": {"intervals": 20, "common": 0.5, "asked": 5},
    "interval 5 after 3/4": {"intervals": 5, "common": 0.75, "asked": 20},
    "uniform": PLAIN,
    "elbo": PLAIN | {"weighting": "elbo"},
    "min_snr": PLAIN | {"weighting": "min_snr"},
    "visible": {"loss": "visible"},
}
OF_TRAINING = ("weighting", "loss")
SIZES = {"window": (12, 64, 64), "texture": (12, 256, 256), "davis": (24, 240, 432)}


def clip_of(shared: Path, name: str, scale: Scale) -> torch.Tensor:
    """(1, 3, 12, H, W) in [0, 1]."""
    if name == OWN:
        frames, _ = read(ROOT / "workflows" / "inputs" / f"{name}.mp4")
        frames = torch.from_numpy(frames[:12]).movedim(-1, 1)
    else:
        folder = shared / "data" / "dynamic_textures" / "tesfaldet" / name
        files = sorted(path for path in folder.iterdir() if path.suffix in (".png", ".jpg"))
        frames = torch.cat([load(path) for path in files[:12]])
    if min(frames.shape[2:]) >= scale.side * 2**scale.halved:
        frames = F.avg_pool2d(frames, 2**scale.halved)
    top, left = ((side - scale.side) // 2 for side in frames.shape[2:])
    frames = frames[:, :, top : top + scale.side, left : left + scale.side]
    return frames.movedim(0, 1)[None].contiguous()


def hole_of(name: str, scale: Scale) -> torch.Tensor:
    like = Motion(height=scale.hole, width=scale.hole)
    size = (scale.side, scale.side)
    return moving_masks(size, 12, seed=NAMES.index(name), motion="moving", like=like)


def scores(filled: torch.Tensor, clip: torch.Tensor, mask: torch.Tensor, shared: Path) -> dict:
    weights = WeightsFolder([shared / "data" / "weights"])
    rows = compare_clips(filled, clip, mask=mask, metrics=METRICS, weights=weights)
    return {
        f"{row.metric}": float(row.value)
        for row in rows
        if row.region == "inside" or (row.metric not in INSIDE and row.region == "all")
    }


def sheet(path: Path, *clips: torch.Tensor) -> None:
    """Four frames of each clip in a row, one clip below the other."""
    rows = [torch.cat(clip[:, :, list(SHOWN)].unbind(2), 3) for clip in clips]
    save(path, torch.cat(rows, 2))


def run(arguments: argparse.Namespace) -> None:
    scale = SCALES[arguments.scale]
    shelf = Checkpoints(arguments.runs / "checkpoints")
    for seed in arguments.seeds:
        for name in arguments.clips:
            clip = clip_of(arguments.shared, name, scale)
            mask = hole_of(name, scale)
            for method in arguments.methods:
                stem = f"{arguments.scale}-{name}-{method}-{seed}-{arguments.steps}"
                file = arguments.runs / f"{stem.replace('/', '_')}.json"
                if file.exists():
                    continue
                start, used = time.perf_counter(), time.process_time()
                task = clip * (1 - mask), mask, method, scale, seed, arguments.steps
                try:
                    with shelf.of({"clip": clip, "mask": mask}, stem) as checkpoint:
                        filled, told = fill(*task, checkpoint)
                except InUse:  # another process is at it
                    continue
                told |= {"seconds": time.perf_counter() - start}
                told |= {"cpu_s": time.process_time() - used}
                told |= scores(filled, clip, mask, arguments.shared)
                file.write_text(json.dumps(told))
                sheet(file.with_suffix(".png"), clip * (1 - mask), filled, clip)
                print(name, method, seed, {k: round(v, 4) for k, v in told.items()}, flush=True)


def fill(
    clip: torch.Tensor,
    mask: torch.Tensor,
    method: str,
    scale: Scale,
    seed: int,
    steps: int,
    checkpoint: Checkpoint | None,
) -> tuple[torch.Tensor, dict]:
    """The filled clip, and the loss at the end of the training."""
    given = METHODS[method]
    if given is None:
        return inpaint_video(clip, mask, seed=seed)[0], {}
    training = {name: value for name, value in given.items() if name in OF_TRAINING}
    course = {name: value for name, value in given.items() if name not in OF_TRAINING}
    training = replace(LEARNING, seed=seed, window=scale.window, **training)
    course |= {"network": scale.network, "training": training, "steps": steps, "seed": seed}
    filled, model = infusion(clip, mask, checkpoint=checkpoint, **course)
    return filled, {"loss": model.losses[-1]}


def spread(values: list[float]) -> dict:
    told = {"mean": statistics.mean(values), "n": len(values)}
    return told | ({"sd": statistics.stdev(values)} if len(values) > 1 else {})


def table(arguments: argparse.Namespace) -> None:
    found: dict[str, dict[str, list[dict]]] = {}
    names = {name.replace("/", "_"): name for name in METHODS}  # as files have them
    for file in sorted(arguments.runs.glob(f"{arguments.scale}-*-{arguments.steps}.json")):
        values = json.loads(file.read_text())
        _, name, method, *_ = file.stem.split("-")
        if values:
            found.setdefault(names[method], {}).setdefault(name, []).append(values)
    told = {
        method: {
            name: {metric: spread([run[metric] for run in runs]) for metric in runs[0]}
            for name, runs in clips.items()
        }
        for method, clips in found.items()
    }
    name = "video_infusion" + "_full" * (arguments.scale == "full")
    report(name, {"scale": arguments.scale, "steps": arguments.steps, "methods": told})


def picture(arguments: argparse.Namespace) -> None:
    """Two frames of what each way of weighting made of the own clip, side by side."""
    columns, captions = ["hidden"], ["what is known"]
    frames: list[list[torch.Tensor]] = [[], []]
    for method in ("interval", "uniform", "min_snr", "elbo"):
        stem = arguments.runs / f"{arguments.scale}-{OWN}-{method}-0-{arguments.steps}"
        told = json.loads(stem.with_suffix(".json").read_text())
        rows = load(stem.with_suffix(".png")).chunk(3, 2)
        hidden, filled, truth = (row.chunk(len(SHOWN), 3) for row in rows)
        for row, frame in zip(frames, (1, 2), strict=True):
            row += [filled[frame]] if row else [hidden[frame], filled[frame]]
        columns.append(method)
        captions.append(f"LPIPS {told['lpips_alex']:.3f}")
    for row, frame in zip(frames, (1, 2), strict=True):
        row.append(truth[frame])
    sheet = contact_sheet(frames, [*columns, "original"], [[*captions, ""]] * 2)
    save(ROOT / "docs" / "weightings.png", sheet)


def synthesis(arguments: argparse.Namespace) -> None:
    scale, told = SCALES[arguments.scale], {}
    weights = WeightsFolder([arguments.shared / "data" / "weights"])
    network = replace(scale.network, conditional=False)
    for name in arguments.clips:
        clip, runs = clip_of(arguments.shared, name, scale), []
        for seed in arguments.seeds:
            stem = f"synthesis-{arguments.scale}-{name}-{seed}-{arguments.steps}"
            file = arguments.runs / f"{stem}.pt"
            if not file.exists():
                training = replace(LEARNING, masks="brush", window=scale.window, seed=seed)
                settings = {"network": network, "training": training, "steps": arguments.steps}
                torch.save(dynamic_texture(clip, frames=12, seed=seed, **settings)[0], file)
            made = torch.load(file)
            matched, found = match_patches(made, clip, seed=seed), {}
            for kind, one in {"network": made, "matched": matched}.items():
                rows = compare_clips(one, clip, metrics=["svfid"], weights=weights)
                found[f"{kind}, svfid"] = float(rows[0].value)
                found[f"{kind}, psnr"] = float(source_psnr(one, clip)[0])
            runs.append(found)
            sheet(file.with_suffix(".png"), made, matched, clip)
            print(name, seed, found, flush=True)
        told[name] = {metric: spread([run[metric] for run in runs]) for metric in runs[0]}
    report("video_synthesis", {"scale": arguments.scale, "steps": arguments.steps, "clips": told})


def cost(arguments: argparse.Namespace) -> None:
    half, told = half_precision(torch.device("cpu"), "auto"), {}
    ours = f"ours, {'bfloat16' if half else 'float32'}, channels last"
    for size in map(SIZES.get, arguments.sizes):
        for name in ("torch's, float32, default layout", ours):
            net = UNet(NETWORK, Generator().manual_seed(0))
            if name != ours:
                net.layout = torch.contiguous_format
                net.to(memory_format=net.layout)
                for part in net.modules():
                    if isinstance(part, ClipConvolution):
                        part.__class__ = torch.nn.Conv3d
            name = f"{'x'.join(map(str, size))}, {name}"
            with alone(3, torch.device("cpu"), half) if ours in name else nullcontext():
                told[name] = _steps(net, size, half and ours in name, arguments.repeats)
            print(name, told[name], flush=True)
    threads = torch.get_num_threads()
    report("video_infusion_cost", {"repeats": arguments.repeats, "threads": threads, "steps": told})


def _steps(net: UNet, size: tuple[int, ...], half: bool, repeats: int) -> dict:
    """Seconds of a training step with one window and of a denoising step, medians, and memory.

    cpu: processor seconds of all threads, which other work on the machine changes less.
    """
    x, known = (torch.randn(1, 3, *size) for _ in range(2))
    mask, level = (torch.rand(1, 1, *size) > 0.5).float(), torch.tensor([500])
    optimizer = torch.optim.Adam(net.parameters(), 1e-4, fused=True)

    def train():
        with rounded(torch.device("cpu"), half):
            output = net(x, known, mask, None, level).float()
        optimizer.zero_grad(set_to_none=True)
        ((output - known) ** 2).mean().backward()
        optimizer.step()

    @torch.no_grad()
    def denoise():
        with rounded(torch.device("cpu"), half):
            net(x, known, mask, None, level)

    told = {}
    for name, job in (("denoise", denoise), ("train", train)):
        seconds, cpu = [], []
        with PeakMemory() as memory:
            for _ in range(repeats):
                start, used = time.perf_counter(), time.process_time()
                job()
                seconds.append(time.perf_counter() - start)
                cpu.append(time.process_time() - used)
        told |= {f"{name}_s": statistics.median(seconds), f"{name}_bytes": memory.bytes}
        told[f"{name}_cpu_s"] = statistics.median(cpu)
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, required=True)
    parser.add_argument("--runs", type=Path, default=Path("output/video_infusion"))
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--scale", choices=SCALES, default="full")
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("run")
    one.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    one.set_defaults(do=run)
    commands.add_parser("table").set_defaults(do=table)
    commands.add_parser("picture").set_defaults(do=picture)
    new = commands.add_parser("synthesis")
    new.set_defaults(do=synthesis)
    for command in (one, new):
        command.add_argument("--clips", nargs="+", choices=NAMES, default=list(NAMES))
        command.add_argument("--seeds", nargs="+", type=int, default=[0])
    costs = commands.add_parser("cost")
    costs.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES))
    costs.add_argument("--repeats", type=int, default=5)
    costs.set_defaults(do=cost)
    arguments = parser.parse_args()
    arguments.runs.mkdir(parents=True, exist_ok=True)
    arguments.do(arguments)


if __name__ == "__main__":
    main()
