"""A small denoising UNet trained with PSAL from the start, against one that is swapped to it later.

    python benchmarks/attention_retrain.py --shared SHARED train [--layers dense,psal-3] [--seeds 0]
    python benchmarks/attention_retrain.py --shared SHARED table

Cherel 2024, IV.4, finds that PSAL cannot stand in for the dense attention of some trained networks
and supposes that networks trained with it would do. Here a UNet with two self-attention blocks
(1,024 tokens of 32 x 32, 2 heads of 16 channels, scaled dot product, single tokens) learns to take
Gaussian noise of 0.2 out of 64 x 64 crops of photographs (SHARED/data/generation/places50; the last
five are kept for the test). It is trained with dense attention, with PSAL-3, with PSAL-15 and
without attention, from the same weights on the same crops, and each is tested with all of them.
Every finished run is a file in --runs, so that it can be stopped and split over processes.
"""

import argparse
import json
import math
import statistics
import tempfile
import time
from pathlib import Path

import torch
from measure import load, report
from torch import Tensor, nn
from torch.nn.functional import interpolate, scaled_dot_product_attention, silu

from internal_methods.methods import patch_attention

SIDE, BATCH, NOISE, HELD_OUT = 64, 4, 0.2, 5
HEADS, WIDTH = 2, 32
LAYERS = {"dense": None, "psal-3": 3, "psal-15": 15, "none": 0}  # neighbours


def attend(q: Tensor, k: Tensor, v: Tensor, name: str) -> Tensor:
    """(B, C, H, W) with the layer of that name; "none" gives zeros."""
    neighbours, (batch, channels, height, width) = LAYERS[name], q.shape
    if neighbours == 0:
        return torch.zeros_like(v)
    q, k, v = (x.reshape(batch * HEADS, channels // HEADS, height, width) for x in (q, k, v))
    if neighbours is None:
        tokens = (x.flatten(2).transpose(1, 2) for x in (q, k, v))
        found = scaled_dot_product_attention(*tokens).transpose(1, 2)
    else:
        scale = math.sqrt(channels // HEADS)
        settings = {"patch_size": 1, "similarity": "dot", "temperature": scale}
        found, _ = patch_attention(q, k, v, neighbours=neighbours, **settings)
    return found.reshape(batch, channels, height, width)


class Block(nn.Module):
    """Convolutions, then attention, each added to what comes in."""

    def __init__(self, channels: int, attends: bool):
        super().__init__()
        self.convolutions = nn.Sequential(
            nn.GroupNorm(4, channels),
            nn.SiLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
        )
        self.norm = nn.GroupNorm(4, channels)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1) if attends else None
        self.out = nn.Conv2d(channels, channels, 1) if attends else None

    def forward(self, x: Tensor, name: str) -> Tensor:
        x = x + self.convolutions(x)
        if self.qkv is None or self.out is None:
            return x
        return x + self.out(attend(*self.qkv(self.norm(x)).chunk(3, 1), name))


class UNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, WIDTH // 2, 3, padding=1)
        self.down = nn.Conv2d(WIDTH // 2, WIDTH, 3, stride=2, padding=1)
        self.blocks = nn.ModuleList([Block(WIDTH, True), Block(WIDTH, True)])
        self.up = nn.Conv2d(WIDTH, WIDTH // 2, 3, padding=1)
        self.last = nn.Conv2d(WIDTH, 3, 3, padding=1)

    def forward(self, noisy: Tensor, name: str) -> Tensor:
        fine = silu(self.first(noisy))
        coarse = self.down(fine)
        for block in self.blocks:
            coarse = block(coarse, name)
        coarse = silu(self.up(interpolate(coarse, scale_factor=2.0)))
        return noisy - self.last(torch.cat([fine, coarse], 1))


def crops(pictures: list[Tensor], count: int, generator: torch.Generator) -> Tensor:
    def draw(most: int) -> int:
        return int(torch.randint(most, (1,), generator=generator))

    taken = []
    for _ in range(count):
        picture = pictures[draw(len(pictures))]
        y, x = (draw(n - SIDE + 1) for n in picture.shape[2:])
        taken.append(picture[..., y : y + SIDE, x : x + SIDE])
    return torch.cat(taken)


def noisy(clean: Tensor, generator: torch.Generator) -> Tensor:
    return clean + NOISE * torch.randn(clean.shape, generator=generator)


def train(options) -> None:
    files = sorted((options.shared / "data" / "generation" / "places50").glob("*.jpg"))
    pictures = [load(file) for file in files]
    options.runs.mkdir(parents=True, exist_ok=True)
    for seed in options.seeds:
        for name in options.layers:
            file = options.runs / f"{name}_{options.steps}_{seed}.json"
            if file.exists():
                continue
            torch.manual_seed(seed)
            network, generator = UNet(), torch.Generator().manual_seed(seed)
            optimizer = torch.optim.Adam(network.parameters(), lr=2e-3)
            schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, options.steps)
            started, losses = time.process_time(), []
            for _ in range(options.steps):
                clean = crops(pictures[:-HELD_OUT], BATCH, generator)
                loss = (network(noisy(clean, generator), name) - clean).square().mean()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
                losses.append(loss.item())
            run = {"layer": name, "seed": seed, "steps": options.steps}
            run["seconds"] = time.process_time() - started
            run["training_errors"] = [float(p.mean()) for p in torch.tensor(losses).chunk(10)]
            run["errors"] = {other: error(network, other, pictures[-HELD_OUT:]) for other in LAYERS}
            file.write_text(json.dumps(run))


@torch.no_grad()
def error(network: UNet, name: str, pictures: list[Tensor]) -> float:
    """Mean squared error over the same 32 crops and noise for all."""
    generator, found = torch.Generator().manual_seed(1000), []
    for _ in range(8):
        clean = crops(pictures, 4, generator)
        found.append(float((network(noisy(clean, generator), name) - clean).square().mean()))
    return statistics.mean(found)


def table(options) -> None:
    runs = [json.loads(file.read_text()) for file in sorted(options.runs.glob("*.json"))]
    runs = [run for run in runs if run["steps"] == options.steps]
    rows = {}
    for name in LAYERS:
        same = [run for run in runs if run["layer"] == name]
        if not same:
            continue
        rows[f"trained with {name}"] = {
            "psnr_tested_with": {
                other: [round(-10 * math.log10(run["errors"][other]), 3) for run in same]
                for other in LAYERS
            },
            "error_tested_with": {
                other: statistics.mean(run["errors"][other] for run in same) for other in LAYERS
            },
            "training_ms_per_step": 1e3
            * statistics.median(r["seconds"] / r["steps"] for r in same),
            "seeds": [run["seed"] for run in same],
        }
    report("attention_retrain", {"settings": {"steps": options.steps, "noise": NOISE}, **rows})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, required=True)
    parser.add_argument("job", choices=["train", "table"])
    parser.add_argument("--layers", type=lambda text: text.split(","), default=list(LAYERS))
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1])
    parser.add_argument("--steps", type=int, default=1000)
    runs = Path(tempfile.gettempdir()) / "internal_methods_retrain"
    parser.add_argument("--runs", type=Path, default=runs, help="folder of the finished runs")
    options = parser.parse_args()
    {"train": train, "table": table}[options.job](options)


if __name__ == "__main__":
    main()
