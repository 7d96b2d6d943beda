"""A 512 x 512 texture with a hole of about 5 %: what minutes of training on this machine give.

    python benchmarks/diffusion_texture.py --shared SHARED budget [--seconds 300] [--pictures ...]
    python benchmarks/diffusion_texture.py --shared SHARED near [--picture mosaic]
    python benchmarks/diffusion_texture.py --shared SHARED table

SHARED holds data/textures and data/weights. `budget` trains within a time budget, on the machine as
a user has it: plain diffusion, and refining the fill of patches (only the noise levels up to 300
are trained, and sampling begins from that fill). `near` trains with windows drawn evenly, and by
their likeness to what is around the hole, with fewer and fewer steps; in the "mosaic" a quarter
each is plaster, grass, bricks and earth, and the hole is in the plaster. Nothing in the hole is
shown to any method; LPIPS and the other metrics are taken inside the hole. Every result is one file
in --runs; `table` puts them together in benchmarks/results/diffusion_texture.json.
"""

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path

import torch
from diffusion import METRICS
from measure import load, report, save

from internal_methods.methods.diffusion import TrainingSettings, diffusion_inpaint, train
from internal_methods.methods.inpaint import inpaint
from internal_methods.methods.metrics.compare import compare
from internal_methods.storage.weights import WeightsFolder

PICTURES = {
    "plaster": "photo512/49.png",
    "grass": "skimage/grass.png",
    "bricks": "photo512/31.png",
    "earth": "photo512/8.png",
}
SIDE = 512
HOLES = {"plaster": (206, 206), "grass": (206, 206), "bricks": (60, 330), "earth": (206, 206)}
HOLES |= {"mosaic": (71, 71)}
HOLE = {"budget": 100, "near": 114}
STEPS = {0.0: (125, 250, 500, 1000, 2000), 1.0: (125, 250, 500)}  # even, near the hole
SEEDS = (0, 1, 2)


def hole(picture: str, side: int) -> torch.Tensor:
    top, left = HOLES[picture]
    mask = torch.zeros(1, 1, SIDE, SIDE)
    mask[..., top : top + side, left : left + side] = 1
    return mask


def picture(textures: Path, name: str) -> torch.Tensor:
    """(1, 3, SIDE, SIDE)."""
    if name in PICTURES:
        return load(textures / PICTURES[name])[..., :SIDE, :SIDE].contiguous()
    parts = [picture(textures, part)[..., : SIDE // 2, : SIDE // 2] for part in PICTURES]
    return torch.cat([torch.cat(parts[:2], 3), torch.cat(parts[2:], 3)], 2)


class Case:
    """A picture and its hole: makes fills, scores them, keeps both."""

    def __init__(self, arguments: argparse.Namespace, name: str, kind: str):
        self.runs, self.name = arguments.runs, f"{kind}-{name}"
        folder = arguments.shared / "data"
        self.image = picture(folder / "textures", name)
        self.mask = hole(name, HOLE[kind])
        self.given = self.image * (1 - self.mask)
        self.weights = WeightsFolder([folder / "weights"])
        save(self.runs / f"{self.name}-given.png", self.given)

    def patch(self) -> torch.Tensor:
        return inpaint(self.given, self.mask)[0]

    def keep(self, name: str, filled: torch.Tensor, **told) -> None:
        rows = compare(
            filled,
            self.image,
            mask=self.mask,
            metrics=METRICS,
            only=["inside"],
            weights=self.weights,
        )
        told |= {row.metric: float(row.value) for row in rows}
        save(self.runs / f"{self.name}-{name}.png", filled)
        (self.runs / f"{self.name}-{name}.json").write_text(json.dumps(told))

    def has(self, name: str) -> bool:
        return (self.runs / f"{self.name}-{name}.json").exists()


def budget(arguments: argparse.Namespace) -> None:
    for picture in arguments.pictures:
        case = Case(arguments, picture, "budget")
        start = time.perf_counter()
        begin = case.patch()
        case.keep("patch", begin, training_s=0.0, fill_s=time.perf_counter() - start)
        for name, fill in (("refined", begin), ("plain", None)):
            if case.has(name) or name not in arguments.methods:
                continue
            settings = TrainingSettings(first=999 if fill is None else 300)
            start = time.perf_counter()
            model = train(case.given, case.mask, training=settings, seconds=arguments.seconds)
            trained = time.perf_counter()
            filled = diffusion_inpaint(model, case.given, case.mask, start=fill)
            case.keep(
                name,
                filled,
                training_s=trained - start,
                fill_s=time.perf_counter() - trained,
                steps=len(model.losses),
            )


def near(arguments: argparse.Namespace) -> None:
    case = Case(arguments, arguments.picture, "near")
    for seed in arguments.seeds:
        for focus, lengths in STEPS.items():
            for steps in lengths:
                name = f"focus {focus:g}, {steps} steps, seed {seed}"
                if case.has(name):
                    continue
                settings = replace(TrainingSettings(), focus=focus, seed=seed)
                start = time.perf_counter()
                model = train(case.given, case.mask, training=settings, steps=steps)
                trained = time.perf_counter() - start
                filled = diffusion_inpaint(model, case.given, case.mask, count=4, seed=seed)
                for number, sample in enumerate(filled.split(1)):
                    case.keep(f"{name}, sample {number}", sample, training_s=trained)
                case.keep(name, filled[:1], training_s=trained)


def table(arguments: argparse.Namespace) -> None:
    files = sorted(arguments.runs.glob("*.json"))
    report("diffusion_texture", {file.stem: json.loads(file.read_text()) for file in files})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, required=True)
    parser.add_argument("--runs", type=Path, default=Path("output/diffusion_texture"))
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("budget")
    one.add_argument("--seconds", type=float, default=300)
    one.add_argument("--pictures", nargs="+", choices=PICTURES, default=["plaster", "grass"])
    one.add_argument("--methods", nargs="+", default=["refined", "plain"])
    one.set_defaults(do=budget)
    other = commands.add_parser("near")
    other.add_argument("--picture", choices=HOLES, default="mosaic")
    other.add_argument("--seeds", nargs="+", type=int, default=SEEDS)
    other.set_defaults(do=near)
    commands.add_parser("table").set_defaults(do=table)
    arguments = parser.parse_args()
    arguments.runs.mkdir(parents=True, exist_ok=True)
    arguments.do(arguments)


if __name__ == "__main__":
    main()
