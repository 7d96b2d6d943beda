"""What trained dense attention bears: its temperature changed, and patch attention in its place.

    python benchmarks/attention_temperature.py --data DATA [--models vit unet] [--seeds 0 1 2]
        [--weights FOLDER]

Two small networks are trained here with dense attention: a vision transformer that tells from which
of the textures in DATA/textures a crop comes (right third of each texture: never trained on), and a
denoising UNet on photographs of DATA/generation/places50 (every fourth: never trained on). Then the
temperature of all their attention is multiplied by 1/8 to 8, as in table IV.10 of Cherel 2024, and
their attention replaced by patch attention, at the temperature of the training. Takes about five
minutes of one core for each network and seed; with --weights, trained networks are kept in a folder
and taken from there the next time.
"""

import argparse
import math
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import torch
from measure import load, report
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss, scaled_dot_product_attention

from internal_methods.methods.attention import patch_attention
from internal_methods.methods.attention_measures import Measures, mean_of, measure

FACTORS = [1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8]
NEIGHBOURS = [3, 15]
TAILS = [None, "pooled"]
GREY = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)

Attend = Callable[[str, Tensor, Tensor, Tensor], Tensor]  # layer, q, k, v as maps -> output


def dense(factor: float = 1.0) -> Attend:
    """Dense attention, its temperature multiplied."""

    def attend(layer, q, k, v):
        rows = [each.flatten(2).transpose(1, 2) for each in (q, k, v)]
        out = scaled_dot_product_attention(*rows, scale=1 / (factor * math.sqrt(q.shape[1])))
        return out.transpose(1, 2).reshape(v.shape)

    return attend


def sparse(neighbours: int, tail: str | None) -> Attend:
    """Patch attention, as it stands in for dense attention."""

    def attend(layer, q, k, v):
        output, _ = patch_attention(
            *(each.contiguous() for each in (q, k, v)),
            patch_size=1,
            neighbours=neighbours,
            similarity="dot",
            temperature=math.sqrt(q.shape[1]),
            tail=tail,
        )
        return output

    return attend


class SelfAttention(nn.Module):
    """Multi-head self-attention over the pixels of a map; `attend` may be exchanged."""

    def __init__(self, channels: int, heads: int, name: str):
        super().__init__()
        self.heads, self.name, self.attend = heads, name, dense()
        self.norm = nn.GroupNorm(1, channels)
        self.qkv, self.out = nn.Conv2d(channels, 3 * channels, 1), nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, *size = x.shape
        parts = self.qkv(self.norm(x)).view(batch * 3, channels, *size)
        q, k, v = parts.view(batch, 3, self.heads, -1, *size).transpose(0, 1).flatten(1, 2)
        return x + self.out(self.attend(self.name, q, k, v).reshape(batch, channels, *size))


class Feed(nn.Sequential):
    """The part of a transformer's layer that mixes channels."""

    def __init__(self, channels: int):
        inner = 4 * channels
        layers = nn.Conv2d(channels, inner, 1), nn.GELU(), nn.Conv2d(inner, channels, 1)
        super().__init__(nn.GroupNorm(1, channels), *layers)

    def forward(self, input: Tensor) -> Tensor:
        return input + super().forward(input)


class ViT(nn.Module):
    """Patches of 4 pixels, four layers, the mean over all tokens classified."""

    def __init__(self, classes: int, tokens: int, channels: int = 64, heads: int = 4):
        super().__init__()
        self.stem = nn.Conv2d(1, channels, 4, stride=4)
        self.place = nn.Parameter(torch.randn(1, channels, tokens, tokens) * 0.02)
        parts = [(SelfAttention(channels, heads, f"layer {n}"), Feed(channels)) for n in range(4)]
        self.layers = nn.Sequential(*(each for pair in parts for each in pair))
        self.norm, self.head = nn.LayerNorm(channels), nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.norm(self.layers(self.stem(x) + self.place).mean((2, 3))))


class Block(nn.Module):
    """Two convolutions and the noise level, around them a shortcut."""

    def __init__(self, before: int, after: int):
        super().__init__()
        self.first = nn.Sequential(nn.GroupNorm(1, before), nn.SiLU(), conv(before, after))
        self.second = nn.Sequential(nn.GroupNorm(1, after), nn.SiLU(), conv(after, after))
        self.level, self.short = nn.Linear(16, after), nn.Conv2d(before, after, 1)

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        inner = self.first(x) + self.level(level)[:, :, None, None]
        return self.short(x) + self.second(inner)


def conv(before: int, after: int) -> nn.Conv2d:
    return nn.Conv2d(before, after, 3, padding=1)


class UNet(nn.Module):
    """Two resolutions, self-attention at both; told how strong the noise is, estimates it."""

    def __init__(self, channels: int = 40, heads: int = 2):
        super().__init__()
        wide = 2 * channels
        self.level = nn.Sequential(nn.Linear(1, 16), nn.SiLU())
        self.stem = nn.Conv2d(12, channels, 3, padding=1)
        self.down, self.deep = Block(channels, channels), Block(channels, wide)
        self.middle, self.up = Block(wide, wide), Block(wide + channels, channels)
        self.attentions = nn.ModuleList(
            [
                SelfAttention(channels, heads, "down"),
                SelfAttention(wide, heads, "middle"),
                SelfAttention(channels, heads, "up"),
            ]
        )
        self.head = nn.Conv2d(channels, 12, 3, padding=1)

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        level = self.level(sigma.log()[:, None])
        pixels = nn.functional.pixel_unshuffle(x, 2)
        kept = self.attentions[0](self.down(self.stem(pixels), level))
        inner = self.deep(nn.functional.avg_pool2d(kept, 2), level)
        inner = self.middle(self.attentions[1](inner), level)
        inner = nn.functional.interpolate(inner, scale_factor=2)
        upper = self.attentions[2](self.up(torch.cat((inner, kept), 1), level))
        return nn.functional.pixel_shuffle(self.head(upper), 2)


def crops(pictures: list[Tensor], side: int, count: int, generator) -> tuple[Tensor, Tensor]:
    """(count, C, side, side) and the number of the picture each comes from."""
    which = torch.randint(len(pictures), (count,), generator=generator)
    cut = []
    for number in which.tolist():
        high, wide = pictures[number].shape[2:]
        y = int(torch.randint(high - side + 1, (1,), generator=generator))
        x = int(torch.randint(wide - side + 1, (1,), generator=generator))
        cut.append(pictures[number][..., y : y + side, x : x + side])
    return torch.cat(cut), which


def trained(subject, steps: int, weights: Path | None, rate: float = 2e-3) -> float:
    """Adam with a rate that falls to zero; gives the seconds of the processor that it took."""
    network, start = subject.network, time.process_time()
    if weights and weights.exists():
        kept = torch.load(weights, weights_only=True)
        network.eval().load_state_dict(kept["network"])
        return kept["seconds"]
    optimiser = torch.optim.AdamW(network.parameters(), lr=rate)
    falling = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps)
    network.train()
    for _ in range(steps):
        optimiser.zero_grad()
        next(subject.examples).backward()
        optimiser.step()
        falling.step()
    network.eval()
    seconds = time.process_time() - start
    if weights:
        weights.parent.mkdir(parents=True, exist_ok=True)
        torch.save({"network": network.state_dict(), "seconds": seconds}, weights)
    return seconds


class Classifier:
    """Which texture a crop of 48 x 48 grey pixels comes from."""

    name, unit, side, steps = "vit", "accuracy", 48, 700

    def __init__(self, data: Path, seed: int):
        paths = sorted((data / "textures").glob("dcor/*.png"))
        paths += sorted((data / "textures").glob("photo512/*.png"))
        grey = [(load(path) * GREY).sum(1, keepdim=True) for path in paths]
        edges = [max(2 * picture.shape[3] // 3, self.side) for picture in grey]
        known = [p[..., :edge] for p, edge in zip(grey, edges, strict=True)]
        held = [
            p[..., min(edge, p.shape[3] - self.side) :] for p, edge in zip(grey, edges, strict=True)
        ]
        self.generator = torch.Generator().manual_seed(seed)
        self.network = ViT(len(paths), self.side // 4)
        self.examples = self.losses(known)
        self.crops, self.wanted = crops(held, self.side, 512, torch.Generator().manual_seed(99))

    def losses(self, pictures: list[Tensor]) -> Iterator[Tensor]:
        while True:
            some, which = crops(pictures, self.side, 32, self.generator)
            yield cross_entropy(self.network(levelled(some)), which)

    def score(self) -> float:
        """Share of the held-out crops that are told right."""
        right = [
            self.network(levelled(some)).argmax(1) == wanted
            for some, wanted in zip(self.crops.split(64), self.wanted.split(64), strict=True)
        ]
        return float(torch.cat(right).float().mean())

    def one(self) -> None:
        self.network(levelled(self.crops[:4]))


def levelled(crops: Tensor) -> Tensor:
    """Zero mean, unit variance: neither brightness nor contrast gives the texture away."""
    centred = crops - crops.mean((1, 2, 3), keepdim=True)
    return centred / (centred.square().mean((1, 2, 3), keepdim=True).sqrt() + 0.02)


class Denoiser:
    """Noise of 0.1 to 1 (in units of the range) in crops of 64 x 64 pixels."""

    name, unit, side, steps = "unet", "PSNR, dB", 64, 500
    sigmas = (0.1, 0.25, 0.5)

    def __init__(self, data: Path, seed: int):
        paths = sorted((data / "generation" / "places50").glob("*.jpg"))
        known = [load(path) for number, path in enumerate(paths) if number % 4]
        held = [load(path) for path in paths[::4]]
        self.generator = torch.Generator().manual_seed(seed)
        self.network = UNet()
        self.examples = self.losses(known)
        generator = torch.Generator().manual_seed(99)
        self.crops, _ = crops(held, self.side, 16, generator)
        self.noise = torch.randn(self.crops.shape, generator=generator)

    def losses(self, pictures: list[Tensor]) -> Iterator[Tensor]:
        while True:
            some, _ = crops(pictures, self.side, 6, self.generator)
            sigma = 10 ** -torch.rand(len(some), generator=self.generator)
            noise = torch.randn(some.shape, generator=self.generator)
            yield mse_loss(self.estimate(some, noise, sigma), noise)

    def estimate(self, crops: Tensor, noise: Tensor, sigma: Tensor) -> Tensor:
        scale = sigma.view(-1, 1, 1, 1)
        noisy = crops - 0.5 + scale * noise
        return self.network(noisy / (scale.square() + 0.06).sqrt(), sigma)

    def score(self) -> float:
        """Mean PSNR of the cleaned held-out crops over the noise levels."""
        found = []
        for sigma in self.sigmas:
            level = torch.full((len(self.crops),), sigma)
            error = sigma * (self.estimate(self.crops, self.noise, level) - self.noise)
            found.append(-10 * math.log10(float(error.square().mean())))
        return statistics.mean(found)

    def one(self) -> None:
        self.estimate(self.crops[:2], self.noise[:2], torch.tensor([0.1, 0.5]))


def with_attention(subject, attend: Attend) -> float:
    """The score with that attention in all layers."""
    layers = [each for each in subject.network.modules() if isinstance(each, SelfAttention)]
    for layer in layers:
        layer.attend = attend
    try:
        return subject.score()
    finally:
        for layer in layers:
            layer.attend = dense()


def layer_measures(subject, tail: str | None) -> dict[str, dict]:
    """Entropy, mass and errors of every layer, for each number of neighbours."""
    seen: dict[str, list[Measures]] = {}

    def attend(layer, q, k, v):
        for neighbours in NEIGHBOURS:
            found = measure(
                *(each.contiguous() for each in (q, k, v)),
                temperature=math.sqrt(q.shape[1]),
                neighbours=neighbours,
                tail=tail,
                samples=64,
            )
            seen.setdefault(f"{layer}, {neighbours} neighbours", []).append(found)
        return dense()(layer, q, k, v)

    layers = [each for each in subject.network.modules() if isinstance(each, SelfAttention)]
    for layer in layers:
        layer.attend = attend
    subject.one()
    return {name: asdict(mean_of(found)) for name, found in seen.items()}


def study(kind, options: argparse.Namespace, seed: int) -> dict:
    """Train one network, sweep its temperature, replace its attention."""
    torch.manual_seed(seed)
    subject, steps = kind(options.data, seed), options.steps or kind.steps
    weights = options.weights and options.weights / f"{kind.name}_{steps}_{seed}.pt"
    seconds = trained(subject, steps, weights)
    with torch.no_grad():
        swept = {f"x{factor:g}": with_attention(subject, dense(factor)) for factor in FACTORS}
        replaced = {}
        for tail in TAILS:
            for neighbours in NEIGHBOURS:
                name = f"{neighbours} neighbours" + (", tail" if tail else "")
                replaced[name] = with_attention(subject, sparse(neighbours, tail))
        layers = layer_measures(subject, "pooled")
    return {
        "unit": kind.unit,
        "training_cpu_seconds": seconds,
        "dense_by_temperature": swept,
        "patch_attention": replaced,
        "layers": layers,
    }


def tell(name: str, result: dict) -> None:
    lines = [f"{name}: {result['unit']} (training {result['training_cpu_seconds']:.0f} s)"]
    for part in ("dense_by_temperature", "patch_attention"):
        lines += [f"  {setting:>24} {value:.4g}" for setting, value in result[part].items()]
    for layer, found in result["layers"].items():
        lines.append(
            f"  {layer:>24} {found['effective_keys']:.1f} of {found['keys']:.0f} effective keys, "
            f"top mass {found['top_mass']:.3f}, error {found['error']:.3f}, with the tail "
            f"{found['error_tail']:.3f}, coherence {found['coherence_top']:.3f}"
        )
    sys.stderr.write("\n".join(lines) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--models", nargs="*", default=["vit", "unet"], choices=["vit", "unet"])
    parser.add_argument("--seeds", type=int, nargs="*", default=[0])
    parser.add_argument("--steps", type=int, help="of training, instead of each network's own")
    parser.add_argument("--weights", type=Path, help="folder of networks already trained")
    options = parser.parse_args()
    results: dict = {}
    for kind in (Classifier, Denoiser):
        if kind.name in options.models:
            for seed in options.seeds:
                found = study(kind, options, seed)
                results.setdefault(kind.name, {})[f"seed {seed}"] = found
                tell(f"{kind.name}, seed {seed}", found)
    report("attention_temperature", results)


if __name__ == "__main__":
    main()
