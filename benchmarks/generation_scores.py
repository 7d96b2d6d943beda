"""The table of generation: faithfulness and diversity of PSin, PSinOT and two stored peers.

    python benchmarks/generation_scores.py --data DATA [--samples 10] [--scored 10] [--out FOLDER]

Table III.3 of Cherel 2024 ("Internal methods for the generation and inpainting of images and
videos") on the ten Places pictures for which DATA/generation/places50_peers holds one sample each
of SinGAN and of GPNN (both at their high variance); the thesis has fifty pictures and fifty
samples. Diversity is taken over `samples` of ours per picture, everything else is the mean over the
first `scored` of them. With --out the pictures and every single score are kept there, and a
run that was stopped goes on where it was. Prints the table, writes results/generation_scores.json.
"""

import argparse
import json
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from measure import load, machine, save

from internal_methods.methods import generate
from internal_methods.methods.metrics import METRICS, compare
from internal_methods.methods.metrics.diversity import diversity
from internal_methods.storage.weights import WeightsFolder

OURS = {"PSin": "psin", "PSinOT": "psinot"}
PEERS = {"SinGAN": "singan_high_var", "GPNN": "gpnn_high_var"}
SCORED = [
    "patch_ot",
    "coherence",
    "completeness",
    "single_frechet_vgg16",
    "single_frechet_alexnet",
    "copy_rate",
    "copy_one_shift",
]
THESIS = {  # SIFID, optimal transport, diversity: 50 pictures, 50 samples each
    "SinGAN": {"sifid": 0.12, "patch_ot": 1.34, "diversity": 0.34},
    "GPNN": {"sifid": 0.02, "patch_ot": 0.52, "diversity": 0.40},
    "PSin": {"sifid": 0.45, "patch_ot": 0.94, "diversity": 0.62},
    "PSinOT": {"sifid": 0.06, "patch_ot": 0.36, "diversity": 0.53},
}
MADE_OF = {
    "pictures": "places50 01 02 04 05 07 08 10 11 13 15 (250x168 to 250x200), samples of that size",
    "ours": "defaults: 4 scales, patch 11, 10 iterations, seeds 0, 1, ...; rounded to 8 bits",
    "peers": "one stored sample per picture, high variance: no diversity of theirs",
    "patch_ot": "squared Wasserstein-2 distance in sums of squared differences over 11x11x3 values "
    "in [0, 1], all patches, semi-dual after 200 steps of ascent (from below)",
    "coherence, completeness": "the same unit; mean distance to the nearest patch",
    "single_frechet_*": "the formula of SIFID on other features (relu1_2 of VGG16, relu1 of "
    "AlexNet); SIFID itself needs Inception weights that are not at hand",
    "diversity": "standard deviation over the samples (n), mean of pixels and channels, divided by "
    "that of the reference's values",
}


def samples_of(name: str, reference: torch.Tensor, options) -> dict[str, list[torch.Tensor]]:
    """Every method's pictures for one reference."""
    made = {}
    for label, method in OURS.items():
        files = [path_of(options.out, name, label, i) for i in range(options.samples)]
        if not all(path and path.exists() for path in files):
            batch = generate(reference, method=method, count=options.samples)
            batch = batch.clamp(0, 1).mul(255).round() / 255
            made[label] = list(batch.split(1))
            for path, picture in zip(files, made[label], strict=True):
                if path:
                    save(path, picture)
        else:
            made[label] = [load(path) for path in files if path]
    for label, folder in PEERS.items():
        made[label] = [load(options.data / "generation/places50_peers" / folder / f"{name}.png")]
    return made


def path_of(folder: Path | None, name: str, label: str, number: int) -> Path | None:
    return None if folder is None else folder / f"{name}_{label}_{number}.png"


def scored(
    references: dict[str, torch.Tensor], made: dict[str, dict[str, list[torch.Tensor]]], options
) -> Iterator[tuple[str, str, list[dict]]]:
    """(picture, method, rows), first the first sample of everything, then the second ..."""
    weights = WeightsFolder([options.data / "weights"])
    for number in range(options.scored):
        for name, reference in references.items():
            for label, pictures in made[name].items():
                if number >= len(pictures):
                    continue
                kept = options.out and options.out / f"{name}_{label}_{number}.json"
                if kept and kept.exists():
                    yield name, label, json.loads(kept.read_text())
                    continue
                rows = compare(
                    pictures[number],
                    reference,
                    metrics=SCORED,
                    weights=weights,
                    method=label,
                    images=[f"{name}, sample {number}"],
                )
                listed = [row.as_row() for row in rows]
                if kept:
                    kept.write_text(json.dumps(listed))
                yield name, label, listed


def table(results: dict) -> str:
    """Markdown; an arrow points to the better side."""
    arrows = {"lower": " ↓", "higher": " ↑", "": ""}
    heads = [f"{name}{arrows[METRICS[name].better]}" for name in SCORED]
    text = ["| method | " + " | ".join([*heads, "diversity ↑"]) + " |"]
    text.append("|---" * (len(heads) + 2) + "|")
    for label, values in results.items():
        cells = [values.get(name) for name in (*SCORED, "diversity")]
        shown = ["-" if value is None else f"{value:.3g}" for value in cells]
        text.append(f"| {label} | " + " | ".join(shown) + " |")
    return "\n".join(text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--samples", type=int, default=10)
    parser.add_argument("--scored", type=int, default=10)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
    folder = options.data / "generation"
    names = sorted(p.stem for p in (folder / "places50_peers" / "gpnn_high_var").glob("*.png"))
    references = {name: load(folder / "places50" / f"{name}.jpg") for name in names}
    made = {name: samples_of(name, image, options) for name, image in references.items()}
    values: dict[str, dict[str, dict[str, list[float]]]] = {}
    used: dict[str, str] = {}
    for name, label, rows in scored(references, made, options):
        for row in rows:
            by_picture = values.setdefault(label, {}).setdefault(row["metric"], {})
            by_picture.setdefault(name, []).append(row["value"])
            used[row["metric"]] = row["weights"]
    means: dict[str, dict[str, float]] = {}
    each: dict[str, dict[str, dict[str, float]]] = {}
    for label in (*PEERS, *OURS):
        each[label] = {
            metric: {name: statistics.fmean(given) for name, given in by_picture.items()}
            for metric, by_picture in values[label].items()
        }
        if label in OURS:
            each[label]["diversity"] = {
                name: diversity(torch.cat(made[name][label]), references[name]) for name in names
            }
        means[label] = {
            metric: statistics.fmean(given.values()) for metric, given in each[label].items()
        }
    results = {
        "machine": machine(),
        "pictures": names,
        "samples": options.samples,
        "scored": options.scored,
        "made_of": MADE_OF,
        "weights": {metric: label for metric, label in used.items() if label},
        "mean": means,
        "by_picture": each,
        "thesis": THESIS,
    }
    path = Path(__file__).parent / "results" / "generation_scores.json"
    path.write_text(json.dumps(results, indent=1) + "\n")
    sys.stdout.write(table(means) + "\n")


if __name__ == "__main__":
    main()
