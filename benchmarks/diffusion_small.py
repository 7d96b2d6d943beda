"""What the small benchmarks of diffusion models share: pictures, holes, scores, runs in files.

Of textures in SHARED/data/textures the first 256 x 256 pixels, with a hole of 96 x 96 whose content
no training and no sampling sees; scores inside the hole. Every finished run is a file in --runs, so
that a benchmark can be stopped, and split over processes.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from measure import load, save
from torch import Tensor

from internal_methods.methods.diffusion.inpaint import diffusion_inpaint
from internal_methods.methods.diffusion.model import TrainedModel
from internal_methods.methods.metrics.compare import compare
from internal_methods.storage.weights import WeightsFolder

SIDE, HOLE = 256, 96
PICTURES = {
    "grass": "skimage/grass.png",
    "plaster": "photo512/49.png",
    "tiles": "dcor/regular_12.png",
    "stones": "dcor/stones_19.png",
    "rock": "photo512/12.png",
}
METRICS = ("lpips_alex", "dists", "psnr")


@dataclass(frozen=True)
class Fills:
    """How a model is asked: the settings of `diffusion_inpaint`, and so many samples."""

    count: int
    settings: dict


def picture(shared: Path, name: str) -> Tensor:
    return load(shared / "data" / "textures" / PICTURES[name])[..., :SIDE, :SIDE].contiguous()


def square(top: int, left: int, side: int = HOLE) -> Tensor:
    """A mask (1, 1, SIDE, SIDE) with one square hole."""
    mask = torch.zeros(1, 1, SIDE, SIDE)
    mask[..., top : top + side, left : left + side] = 1
    return mask


def centred() -> Tensor:
    return square((SIDE - HOLE) // 2, (SIDE - HOLE) // 2)


def filled(model: TrainedModel, truth: Tensor, mask: Tensor, seed: int, fills: Fills) -> dict:
    """Samples of a model in a hole, and the processor seconds of one."""
    broken, began = torch.where(mask > 0, 0.5, truth), time.process_time()
    count = fills.count
    made = diffusion_inpaint(model, broken, mask, seed=seed, count=count, **fills.settings)
    return {"pictures": made, "seconds": (time.process_time() - began) / count}


def scores(made: Tensor, truth: Tensor, mask: Tensor, weights: Path) -> dict[str, float]:
    """The mean over samples of every metric inside the hole."""
    rows = compare(
        made,
        truth.expand(len(made), -1, -1, -1),
        mask=mask,
        metrics=METRICS,
        only=("inside",),
        weights=WeightsFolder([weights]),
    )
    return {n: statistics.mean(r.value for r in rows if r.metric == n) for n in METRICS}


class Runs:
    """Finished runs by name; pictures of them beside."""

    def __init__(self, options: argparse.Namespace, benchmark: str):
        self.folder = options.runs / f"{benchmark}_{options.steps}"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.shared, self.weights = options.shared, options.shared / "data" / "weights"

    def get(self, name: str, job: Callable[[], dict]) -> dict:
        """The run of that name: from its file, or made now."""
        file = self.folder / f"{name}.json"
        if not file.exists():
            file.write_text(json.dumps(job()))
        return json.loads(file.read_text())

    def score(self, name: str, made: dict, truth: Tensor, mask: Tensor) -> dict:
        """What is kept of fills: their scores and seconds; the first one as a picture."""
        save(self.folder / f"{name}.png", torch.where(mask > 0, 0.5, truth), made["pictures"][:1])
        found = scores(made["pictures"], truth, mask, self.weights)
        return found | {"seconds_per_fill": made["seconds"]}


def over(runs: list[dict]) -> dict:
    """Mean over runs of every number, and the spread (standard deviation) of the metrics."""
    table = {name: statistics.mean(run[name] for run in runs) for name in runs[0]}
    if len(runs) > 1:
        spread = {n: statistics.stdev(run[n] for run in runs) for n in METRICS if n in runs[0]}
        table |= {f"{name}_spread": value for name, value in spread.items()}
    return table


def options(description: str, steps: int) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shared", type=Path, required=True, help="its data/weights has LPIPS")
    parser.add_argument("--pictures", nargs="*", default=["grass", "stones"], choices=PICTURES)
    parser.add_argument("--seeds", type=int, nargs="*", default=[0])
    parser.add_argument("--steps", type=int, default=steps, help="of a training")
    runs = Path(tempfile.gettempdir()) / "internal_methods_diffusion"
    parser.add_argument("--runs", type=Path, default=runs, help="folder of the finished runs")
    return parser
