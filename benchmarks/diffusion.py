"""Filling with internal diffusion, as Cherel 2024, tables V.1 and V.2, by the protocol for a CPU in
benchmarks/README.md: 256 x 256 pictures, a hole of 96 x 96 in the middle, nothing of which is shown
to any method.

    python benchmarks/diffusion.py --shared SHARED run [--methods ...] [--seeds ...]
    python benchmarks/diffusion.py --shared SHARED table

SHARED holds data/textures and data/weights. Every (picture, method, seed) is one file in --runs, so
that `run` can be stopped, split over processes (each on one thread) and gone on with. `table` puts
them together in benchmarks/results/diffusion.json and a picture. Metrics are those in the hole.
"""

import argparse
import json
import statistics
import time
from dataclasses import replace
from pathlib import Path

import torch
from measure import load, report, save

from internal_methods.methods.diffusion import (
    NetworkSettings,
    TrainingSettings,
    diffusion_inpaint,
    train,
)
from internal_methods.methods.diffusion.intervals import interval_inpaint
from internal_methods.methods.diffusion.statistics import sample_statistics
from internal_methods.methods.inpaint import inpaint
from internal_methods.methods.metrics.compare import compare
from internal_methods.storage.weights import WeightsFolder

PICTURES = {
    "grass": "skimage/grass.png",
    "plaster": "photo512/49.png",
    "tiles": "dcor/regular_12.png",
}
SIDE, HOLE = 256, 96
METRICS = ["psnr", "ssim", "lpips_alex", "flip", "dists", "sharpness"]
PLAIN = TrainingSettings(window=64, batch=8)
TRAININGS = {
    "diffusion": (NetworkSettings(), PLAIN),
    "regression": (NetworkSettings(noisy=False), PLAIN),
    "noise": (NetworkSettings(), replace(PLAIN, prediction="noise")),
    "code": (NetworkSettings(noise_input="code"), PLAIN),
    "interval": (NetworkSettings(), PLAIN),
    "refined": (NetworkSettings(), replace(PLAIN, first=300)),
}
METHODS = ("patch", *TRAININGS)
AVERAGED, AVERAGED_STEPS = 100, 10  # samples of the average, and how often the network is asked
FEW = 50


def hole() -> torch.Tensor:
    mask, start = torch.zeros(1, 1, SIDE, SIDE), (SIDE - HOLE) // 2
    mask[..., start : start + HOLE, start : start + HOLE] = 1
    return mask


def fills(method: str, image: torch.Tensor, seed: int, steps: int) -> dict:
    """name -> (fill, seconds of it), and the seconds of the training under "training"."""
    mask, given = hole(), image * (1 - hole())
    start = time.perf_counter()
    if method == "patch":
        filled = inpaint(given, mask, seed=seed)[0]
        return {"patch": (filled, time.perf_counter() - start), "training": 0.0}
    network, training = TRAININGS[method]
    training = replace(training, seed=seed)
    if method == "interval":
        filled, model = interval_inpaint(
            given, mask, network=network, training=training, steps=steps, asked=200, seed=seed
        )
        whole = time.perf_counter() - start
        return {"interval": (filled, 0.0), "training": whole}
    begin = inpaint(given, mask, seed=seed)[0] if method == "refined" else None
    steps = steps // 2 if method == "refined" else steps
    model = train(given, mask, network=network, training=training, steps=steps)
    made = {"training": time.perf_counter() - start}

    def sampled(name: str, **settings) -> None:
        start = time.perf_counter()
        filled = diffusion_inpaint(model, given, mask, seed=seed, start=begin, **settings)
        made[name] = (filled, time.perf_counter() - start)

    sampled(method, steps=1 if method == "regression" else FEW)
    if method == "diffusion":
        sampled("20 steps", steps=20)
        if seed == 0:
            sampled("1000 steps", steps=1000, sampler="ancestral")
            sampled("averaged", steps=AVERAGED_STEPS, count=AVERAGED)
            many, seconds = made["averaged"]
            made["averaged"] = (sample_statistics(many)[0], seconds)
    return made


def scores(filled: torch.Tensor, image: torch.Tensor, weights: WeightsFolder) -> dict:
    rows = compare(filled, image, mask=hole(), metrics=METRICS, only=["inside"], weights=weights)
    return {row.metric: float(row.value) for row in rows}


def run(arguments: argparse.Namespace) -> None:
    weights = WeightsFolder([arguments.shared / "data" / "weights"])
    for seed in arguments.seeds:
        for picture in arguments.pictures:
            image = load(arguments.shared / "data" / "textures" / PICTURES[picture])
            image = image[..., :SIDE, :SIDE].contiguous()
            for method in arguments.methods:
                file = arguments.runs / f"{picture}-{method}-{seed}-{arguments.steps}.json"
                if file.exists():
                    continue
                file.write_text("{}")  # taken
                made = fills(method, image, seed, arguments.steps)
                training = made.pop("training")
                told = {}
                for name, (filled, seconds) in made.items():
                    told[name] = scores(filled, image, weights)
                    told[name] |= {"training_s": training, "fill_s": seconds}
                    save(arguments.runs / f"{picture}-{name}-{seed}.png", filled)
                file.write_text(json.dumps(told))


def spread(values: list[float]) -> dict:
    told = {"mean": statistics.mean(values), "n": len(values)}
    return told | ({"sd": statistics.stdev(values)} if len(values) > 1 else {})


def table(arguments: argparse.Namespace) -> None:
    found: dict[str, dict[str, list[dict]]] = {}
    for file in sorted(arguments.runs.glob(f"*-{arguments.steps}.json")):
        for name, values in json.loads(file.read_text()).items():
            found.setdefault(name, {}).setdefault(file.name.split("-")[0], []).append(values)
    told = {}
    for name, pictures in found.items():
        told[name] = {picture: _columns(runs) for picture, runs in pictures.items()}
    for picture in PICTURES:
        rows = [arguments.runs / f"{picture}-{name}-0.png" for name in found]
        there = [load(row) for row in rows if row.exists()]
        if there:
            save(arguments.runs / f"{picture}.png", *there)
    report("diffusion", {"steps": arguments.steps, "hole": HOLE, "methods": told})


def _columns(runs: list[dict]) -> dict:
    return {name: spread([run[name] for run in runs]) for name in runs[0]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, required=True)
    parser.add_argument("--runs", type=Path, default=Path("output/diffusion"))
    parser.add_argument("--steps", type=int, default=1000)
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("run")
    one.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    one.add_argument("--pictures", nargs="+", choices=PICTURES, default=list(PICTURES))
    one.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    one.set_defaults(do=run)
    commands.add_parser("table").set_defaults(do=table)
    arguments = parser.parse_args()
    arguments.runs.mkdir(parents=True, exist_ok=True)
    arguments.do(arguments)


if __name__ == "__main__":
    main()
