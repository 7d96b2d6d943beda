"""Speed of generation, and the energies it ends at beside those of the method's first settings.

    python benchmarks/generate.py --data DATA [--seeds 10] [--images 4] [--out FOLDER]

Times: balloons (DATA/generation/singan) resized to 256 and 512. Energies: mean over every fourth
patch of the squared distance (colour and weighted derivatives) to the exact nearest reference
patch. They differ widely between seeds, so whole distributions are compared: ours, and the same
code with the settings of the published reference (ten search passes everywhere in each of ten
alternations).
"""

import argparse
import contextlib
import statistics
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from measure import load, report, save, timed

from internal_methods.methods import alternation, generate, patchmatch
from internal_methods.methods.features import MatchingSpace

PATCH = 11


def energy(image: torch.Tensor, reference: torch.Tensor) -> float:
    space = MatchingSpace.of(reference, 5.0)
    some = torch.zeros(1, 1, *image.shape[2:])
    half = PATCH // 2
    some[..., half : image.shape[2] - half : 4, half : image.shape[3] - half : 4] = 1
    field = patchmatch(
        space.features(image),
        space.features(reference),
        patch_size=PATCH,
        target_mask=some,
        exact=True,
        memory=1 << 30,
    )
    return float(field.distances[field.found].mean())


@contextlib.contextmanager
def first_settings() -> Iterator[None]:
    """Ten passes over every patch in each alternation, whatever has moved."""
    names, search = ("MOVED", "WEIGHED"), alternation.Alternation.search
    before = [getattr(alternation, name) for name in names]

    def thorough(self, target, field, turn, passes=10, queries=None):
        return search(self, target, field, turn, 10, queries)

    for name in names:
        setattr(alternation, name, -1.0)
    alternation.Alternation.search = thorough
    try:
        yield
    finally:
        for name, value in zip(names, before, strict=True):
            setattr(alternation, name, value)
        alternation.Alternation.search = search


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--images", type=int, default=4)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    folder, results = options.data / "generation", {"seconds": {}, "energy": {}}
    balloons = load(folder / "singan" / "balloons.png")
    for side in (256, 512):
        image = F.interpolate(balloons, (side, side), mode="bicubic").clamp(0, 1)
        for method in ("psin", "psinot"):
            row = timed(lambda i=image, m=method: generate(i, method=m, seed=1), repeats=3)
            results["seconds"][f"{method} {side}"] = row
        if side == 256:
            with first_settings():
                row = timed(lambda i=image: generate(i, seed=1), repeats=3)
            results["seconds"]["psin 256, first settings"] = row
    paths = [folder / "singan" / "balloons.png", *sorted((folder / "places50").glob("*.jpg"))]
    for path in paths[: options.images]:
        image = F.interpolate(load(path), (192, 192), mode="bicubic").clamp(0, 1)
        ours = [generate(image, seed=seed) for seed in range(options.seeds)]
        with first_settings():
            first = [generate(image, seed=seed) for seed in range(options.seeds)]
        row = {}
        for name, made in (("ours", ours), ("first settings", first)):
            energies = sorted(energy(i, image) for i in made)
            row[name] = {
                "median": statistics.median(energies),
                "mean": statistics.mean(energies),
                "all": [round(e, 4) for e in energies],
            }
        results["energy"][path.stem] = row
        if options.out:
            save(options.out / f"{path.stem}.png", image, *ours[:3], *first[:3])
    report("generate", results)


if __name__ == "__main__":
    main()
