"""A diffusion network with attention blocks (PSAL) against the plain one.

    python benchmarks/diffusion_attention.py --shared SHARED [--levels 1 2] [--steps 400]

For every picture and seed four trainings or more: the plain network; one with a block at each of
--levels; and the plain one again, as long as the slowest of those took. Scored are 2 samples in the
hidden hole. About 8 minutes on two cores; see diffusion_small.py for the protocol. Of the first
picture also what the blocks look at, a column for every noise level, as field_*.png among the runs.
"""

import time
from argparse import Namespace
from functools import partial

import torch
from diffusion_small import Fills, Runs, centred, filled, options, over, picture
from measure import report, save

from internal_methods.methods.diffusion.attention_block import FieldStrip
from internal_methods.methods.diffusion.model import SCHEDULE, TrainedModel, denoiser
from internal_methods.methods.diffusion.sampling import sample
from internal_methods.methods.diffusion.settings import NetworkSettings, TrainingSettings
from internal_methods.methods.diffusion.training import train

FILLS = Fills(2, {"steps": 50, "sampler": "dpm2"})
SHOWN = 6  # noise levels


def run(runs: Runs, name: str, seed: int, levels: tuple[int, ...], steps: int, key: str) -> dict:
    """Train and fill."""
    truth, mask = picture(runs.shared, name), centred()
    network, training = NetworkSettings(attention=levels), TrainingSettings(seed=seed)
    broken, began = torch.where(mask > 0, 0.5, truth), time.process_time()
    model = train(broken, mask, network=network, training=training, steps=steps)
    spent = time.process_time() - began
    if levels and not list(runs.folder.glob(f"field_{levels[0]}*.png")):
        save(runs.folder / f"field_{levels[0]}.png", fields(model, broken, mask, seed))
    parameters = sum(values.numel() for values in model.weights.values())
    found = runs.score(key, filled(model, truth, mask, seed, FILLS), truth, mask)
    return found | {"parameters": parameters, "seconds": spent, "steps": steps}


def fields(model: TrainedModel, image: torch.Tensor, mask: torch.Tensor, seed: int) -> torch.Tensor:
    """Where the blocks look, by noise level."""
    levels, known = SCHEDULE.levels(50), model.scale.scaled(image) * (1 - mask)
    network, draw = model.build(), torch.Generator().manual_seed(seed)
    noise = torch.randn(known.shape, generator=draw)
    strip = FieldStrip(network, levels[:: len(levels) // SHOWN])
    ask = denoiser(network, model.training, known, mask)
    settings = {"levels": levels, "sampler": "dpm2", "known": (known, mask)}
    sample(ask, noise, SCHEDULE, noise=lambda t: noise, callback=strip, **settings)
    return strip.picture()


def table(runs: Runs, given: Namespace) -> dict:
    rows: dict[str, list[dict]] = {}
    for name in given.pictures:
        for seed in given.seeds:
            longest, plain = 1.0, None
            for levels in ((), *((level,) for level in given.levels)):
                words = f"attention at level {levels[0]}" if levels else "plain"
                key = f"{name}_{seed}_{'_'.join(words.split())}"
                job = partial(run, runs, name, seed, levels, given.steps, key)
                found = runs.get(key, job)
                plain = plain or found
                longest = max(longest, found["seconds"] / plain["seconds"])
                rows.setdefault(words, []).append(found)
            key = f"{name}_{seed}_plain_longer"
            job = partial(run, runs, name, seed, (), round(longest * given.steps), key)
            rows.setdefault("plain, equal time", []).append(runs.get(key, job))
    return {words: over(found) for words, found in rows.items()}


def main() -> None:
    parser = options(__doc__ or "", steps=400)
    parser.add_argument("--levels", type=int, nargs="*", default=[1])
    given = parser.parse_args()
    runs = Runs(given, "attention")
    settings = {name: getattr(given, name) for name in ("pictures", "seeds", "steps")}
    report("diffusion_attention", {"settings": settings, **table(runs, given)})


if __name__ == "__main__":
    main()
