"""What filling one hole costs by patches, by regression, by diffusion and by interval training.

    python benchmarks/costs.py [--steps 1000] [--device cuda] [--watts W] [--intensity G]

Tables V.3 and V.4 of Cherel 2024 for this machine: scikit-image's brick, 256 x 256, a hole of
96 x 96. Training and a single fill apart: seconds, energy at a STATED power (65 W for a processor,
250 W for a GPU; --watts), gCO2eq at a stated intensity (56.9 g/kWh; --intensity), peak memory (of
torch on a GPU, else of the whole process, which is one of its own for every method), and from how
many fills on one method costs less than another. Fills are medians of five. A training takes
--steps steps of 8 windows of 64 x 64: with 1000 the whole takes about 15 minutes on 2 idle cores.
"""

import argparse
import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import skimage.data
import torch
from measure import load, report

from internal_methods.methods import inpaint
from internal_methods.methods.cost import INTENSITY, Cost, Meter, MethodCost, cost_rows, cost_table
from internal_methods.methods.diffusion import (
    NetworkSettings,
    diffusion_inpaint,
    interval_inpaint,
    train,
)

SIDE, HOLE, FILLS = 256, 96, 5
METHODS = ("patch", "regression", "diffusion", "intervals")


def problem(device: str) -> tuple[torch.Tensor, torch.Tensor]:
    image = load(Path(skimage.data.__file__).parent / "brick.png")[..., :SIDE, :SIDE]
    mask, first = torch.zeros(1, 1, SIDE, SIDE), (SIDE - HOLE) // 2
    mask[..., first : first + HOLE, first : first + HOLE] = 1
    return image.contiguous().to(device), mask.to(device)


def measured(job, device: str, stated: dict) -> Cost:
    with Meter(device, **stated) as meter:
        job()
    return meter.cost


def median_fill(job, device: str, stated: dict) -> Cost:
    """After one that does not count, for it compiles."""
    job()
    costs = [measured(job, device, stated) for _ in range(FILLS)]
    return sorted(costs, key=lambda cost: cost.seconds)[FILLS // 2]


def measure(method: str, steps: int, device: str, stated: dict) -> MethodCost:
    image, mask = problem(device)
    if method == "patch":
        return MethodCost(method, median_fill(lambda: inpaint(image, mask), device, stated))
    train(image, mask, steps=2)  # what comes with the first steps alone
    if method == "intervals":  # no fill without its own training
        job = lambda: interval_inpaint(image, mask, steps=steps)  # noqa: E731
        return MethodCost(method, measured(job, device, stated))
    network, trained = NetworkSettings(noisy=method == "diffusion"), []
    job = lambda: trained.append(train(image, mask, network=network, steps=steps))  # noqa: E731
    training = measured(job, device, stated)
    fill = lambda: diffusion_inpaint(trained[0], image, mask)  # noqa: E731
    return MethodCost(method, median_fill(fill, device, stated), training)


def in_its_own_process(method: str) -> MethodCost:
    """So that its peak of memory is its own."""
    command = [sys.executable, __file__, *sys.argv[1:], "--only", method]
    told = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    costs = {name: told[name] and Cost(**told[name]) for name in ("fill", "training")}
    return MethodCost(told["name"], costs["fill"], costs["training"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--watts", type=float)
    parser.add_argument("--intensity", type=float, default=INTENSITY)
    parser.add_argument("--methods", nargs="+", default=METHODS, choices=METHODS)
    parser.add_argument("--only", choices=METHODS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    stated = {"watts": options.watts, "intensity": options.intensity}
    if options.only:
        cost = measure(options.only, options.steps, options.device, stated)
        sys.stdout.write(json.dumps(asdict(cost)))
        return
    costs = [in_its_own_process(method) for method in options.methods]
    report("costs", {"steps": options.steps, "methods": cost_rows(costs)})
    sys.stdout.write(cost_table(costs) + "\n")


if __name__ == "__main__":
    main()
