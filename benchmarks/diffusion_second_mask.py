"""A second hole in the same picture, filled by the model that was trained for the first.

    python benchmarks/diffusion_second_mask.py --shared SHARED [--steps 400] [--masks mixed]

A square hole and one of brush strokes lie side by side; both are hidden from all trainings, else a
model could have learnt what it is asked for. For every picture and seed a model is trained for
each: with pieces of that hole's shape as training masks, or brush strokes, or both (--masks). Each
model fills both holes with 2 samples. See diffusion_small.py for the protocol.
"""

import time
from argparse import Namespace
from functools import partial

import torch
from diffusion_small import Fills, Runs, filled, options, over, picture, square
from measure import report
from torch import Tensor

from internal_methods.methods.diffusion.likeness import likeness
from internal_methods.methods.diffusion.model import TrainedModel
from internal_methods.methods.diffusion.scale import Scale
from internal_methods.methods.diffusion.settings import NetworkSettings, TrainingSettings
from internal_methods.methods.diffusion.training import Run, Trainer, finished
from internal_methods.methods.diffusion.windows import Windows
from internal_methods.methods.masks import brush_masks

FILLS = Fills(2, {"steps": 50, "sampler": "dpm2"})
BOX = (80, 96)  # top and side of the part that each hole lies in
LEFT = {"square": 20, "strokes": 140}


def holes() -> dict[str, Tensor]:
    """Two masks (1, 1, SIDE, SIDE) that do not touch."""
    top, side = BOX
    strokes = torch.zeros_like(square(0, 0))
    drawn = brush_masks((side, side), count=1, seed=2, width=(10.0, 16.0))
    strokes[..., top : top + side, LEFT["strokes"] : LEFT["strokes"] + side] = drawn
    return {"square": square(top + 8, LEFT["square"], 80), "strokes": strokes}


def trained(image: Tensor, hidden: Tensor, mine: Tensor, steps: int, settings) -> TrainedModel:
    """For the hole `mine`, without what is hidden."""
    network = NetworkSettings()
    shell = TrainedModel(network, settings, {}, Scale.of(image, hidden))
    trainer = Trainer(shell, image, hidden)
    scaled = trainer.images
    size = trainer.windows.size
    alike = likeness(scaled * (1 - hidden), mine, size[0]) if settings.focus else None
    trainer.windows = Windows(scaled, hidden, settings, size, alike)
    trainer.windows.masks = Windows(scaled, mine, settings, size).masks
    run = Run(trainer, steps, None, None, None)
    while run.share < 1:
        run.step()
    return finished(shell, run, image, hidden)


def job(runs: Runs, name: str, seed: int, which: str, steps: int, masks: str) -> dict:
    """Train for one hole, fill both."""
    truth, all_holes = picture(runs.shared, name), holes()
    hidden = torch.clamp(sum(all_holes.values(), torch.zeros(())), max=1)
    broken, began = torch.where(hidden > 0, 0.5, truth), time.process_time()
    settings = TrainingSettings(seed=seed, masks=masks)
    model = trained(broken, hidden, all_holes[which], steps, settings)
    found = {"training_seconds": time.process_time() - began}
    for other, mask in all_holes.items():
        rest = torch.where(hidden > mask, broken, truth)  # the other hole is of no concern
        made = filled(model, rest, mask, seed, FILLS)
        key = f"{name}_{seed}_{masks}_for_{which}_in_{other}"
        found[other] = runs.score(key, made, truth, mask)
    return found


def table(runs: Runs, given: Namespace) -> dict:
    rows: dict[str, list[dict]] = {}
    for name in given.pictures:
        for seed in given.seeds:
            for which in holes():
                asked = [runs, name, seed, which, given.steps, given.masks]
                found = runs.get(f"{name}_{seed}_{given.masks}_for_{which}", partial(job, *asked))
                for other in holes():
                    rows.setdefault(f"for {which}, in {other}", []).append(found[other])
    means = {words: over(found) for words, found in rows.items()}
    ratios = {
        f"LPIPS in {mine}, model of the other hole / its own": means[f"for {other}, in {mine}"][
            "lpips_alex"
        ]
        / means[f"for {mine}, in {mine}"]["lpips_alex"]
        for mine, other in (("square", "strokes"), ("strokes", "square"))
    }
    return means | ratios


def main() -> None:
    parser = options(__doc__ or "", steps=400)
    parser.add_argument("--masks", choices=["hole", "brush", "mixed"], default="mixed")
    given = parser.parse_args()
    runs = Runs(given, "second_mask")
    settings = {n: getattr(given, n) for n in ("pictures", "seeds", "steps", "masks")}
    report("diffusion_second_mask", {"settings": settings, **table(runs, given)})


if __name__ == "__main__":
    main()
