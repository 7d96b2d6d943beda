"""Networks that are told of the hole against those that are not, with equal trainings.

    python benchmarks/diffusion_unconditional.py --shared SHARED [--steps 400] [--resamples 1 5 10]

For every picture and seed two trainings: of a network that sees what is known, and the mask, and of
one that learns whole windows alone and is told by what is known at sampling time, as noisy as the
rest; with --resamples above 1 it goes up and down the noise levels as often (RePaint). All sample
with the ancestral sampler; the first also with the one of second order, its usual one. Scored are 2
samples in the hidden hole. About 8 minutes on two cores; see diffusion_small.py for the protocol.
"""

import time
from argparse import Namespace
from functools import partial

import torch
from diffusion_small import Fills, Runs, centred, filled, options, over, picture
from measure import report

from internal_methods.methods.diffusion.settings import NetworkSettings, TrainingSettings
from internal_methods.methods.diffusion.training import train

COUNT, STEPS = 2, 100


def ways(conditional: bool, resamples: list[int]) -> dict[str, Fills]:
    """How each network is asked: a name, and the settings."""
    ancestral = {"steps": STEPS, "sampler": "ancestral"}
    if conditional:
        usual = {"steps": 50, "sampler": "dpm2"}
        return {"conditional": Fills(COUNT, ancestral), "conditional, dpm2": Fills(COUNT, usual)}
    return {
        f"unconditional, resamples {times}": Fills(COUNT, ancestral | {"resamples": times})
        for times in resamples
    }


def run(
    runs: Runs, name: str, seed: int, conditional: bool, steps: int, resamples: list[int]
) -> dict:
    """Train, and fill in every way."""
    truth, mask = picture(runs.shared, name), centred()
    broken, began = torch.where(mask > 0, 0.5, truth), time.process_time()
    network = NetworkSettings(conditional=conditional)
    settings = {"network": network, "training": TrainingSettings(seed=seed)}
    model = train(broken, mask, steps=steps, **settings)
    spent, found = time.process_time() - began, {}
    for way, fills in ways(conditional, resamples).items():
        key = f"{name}_{seed}_{''.join(c if c.isalnum() else '_' for c in way)}"
        made = filled(model, truth, mask, seed, fills)
        found[way] = runs.score(key, made, truth, mask) | {"training_seconds": spent}
    return found


def table(runs: Runs, given: Namespace) -> dict:
    rows: dict[str, list[dict]] = {}
    for name in given.pictures:
        for seed in given.seeds:
            for conditional in (True, False):
                words = "conditional" if conditional else "unconditional"
                asked = [runs, name, seed, conditional, given.steps, given.resamples]
                found = runs.get(f"{name}_{seed}_{words}", partial(run, *asked))
                for way, row in found.items():
                    rows.setdefault(way, []).append(row)
    return {way: over(found) for way, found in rows.items()}


def main() -> None:
    parser = options(__doc__ or "", steps=400)
    parser.add_argument("--resamples", type=int, nargs="*", default=[1, 5])
    given = parser.parse_args()
    runs = Runs(given, "unconditional")
    settings = {n: getattr(given, n) for n in ("pictures", "seeds", "steps", "resamples")}
    report("diffusion_unconditional", {"settings": settings, **table(runs, given)})


if __name__ == "__main__":
    main()
