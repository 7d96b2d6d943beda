"""Guided colorization with one attention layer after another, as Cherel 2024, tables IV.4, 5 and 8.

    python benchmarks/attention_colorization.py --shared SHARED train [--layers 'psal-1|psal-3|...']
    python benchmarks/attention_colorization.py --shared SHARED memory
    python benchmarks/attention_colorization.py --shared SHARED tables [--picture FILE]

SHARED holds data/video. `train` trains the network of methods.colorize once per layer and seed on
pairs of frames of five clips, at most 10 frames apart, and measures the squared error on pairs 10
frames apart of three clips that it has not seen, with its own layer and with PSAL-1 in its place.
Every finished run is a file in --runs, so that it can be stopped and split over processes. `memory`
measures what each layer takes beyond its inputs, in a process of its own: a forward pass at
256 x 256 (dense attention works through its queries in chunks there, as nothing has to be kept),
and one forward and backward at 64 x 64. `tables` puts all together, in
benchmarks/results/attention_colorization.json and as a picture like figure IV.5.

Projections: "apart", queries and keys each have a convolution of their own; "shared", both pass
through the same one; "copies", that, and the network begins as one that matches grey patches and
copies colours (with --steps 0 it is measured as that).

GFLOPs are those of one forward pass at 256 x 256 by the thesis's count: a squared difference is 3
operations, a product 2, over 7 x 7 x 16 numbers per comparison and 16 per value. For PSAL the
comparisons are the most that its search can make, though it stops most of them early: k to start, 4
of a leaf of the tree (and its 8 components, of keys and queries), in each of 5 passes those of two
neighbours and 3 at random.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import torch
from measure import PeakMemory, report
from PIL import Image, ImageDraw

from internal_methods.methods.colorize import Layer, colorize, frame_pairs, train_colorizer
from internal_methods.methods.features import luma
from internal_methods.methods.lettering import font

TRAINING = ["tennis", "parkour", "schoolgirls", "chatelet", "misc/bikes.mp4"]
TESTED = ["bmx-trees", "fvi_example1", "misc/carphone_pristine.mp4"]
GAP, EVERY = 10, 5
LAYERS = {
    "psal-1": Layer(neighbours=1),
    "psal-3": Layer(neighbours=3),
    "psal-7": Layer(neighbours=7),
    "psal-15": Layer(neighbours=15),
    "psal-31": Layer(neighbours=31),
    "psal-1 aggregated": Layer(neighbours=1, aggregate=True),
    "dense": Layer("dense"),
    "dense, dot": Layer("dense", similarity="dot"),
    "psal-3, dot": Layer(neighbours=3, similarity="dot"),
    "local": Layer("local"),
    "linear": Layer("linear"),
}
BIG, NUMBERS, VALUES = 256, 7 * 7 * 16, 16  # side; numbers in a comparison and in a value
COLOURS = {"psal": "#3b6fb6", "dense": "#d1713d", "local": "#4b9a63", "linear": "#a2528f"}


def clip(folder: Path, side: int) -> torch.Tensor:
    """(T, 3, side, side) in [0, 1]."""
    pictures = sorted((folder / "frames").glob("*"))
    if pictures:
        frames = [Image.open(picture).convert("RGB") for picture in pictures]
    else:
        with av.open(str(folder if folder.suffix else folder / "video.mp4")) as video:
            frames = [frame.to_image() for frame in video.decode(video=0)]
    small = np.stack(
        [np.array(frame.resize((side, side), Image.Resampling.BOX)) for frame in frames]
    )
    return torch.from_numpy(small).movedim(-1, 1).float() / 255


def clips(shared: Path, names: list[str], side: int) -> list[torch.Tensor]:
    return [clip(shared / "data" / "video" / name, side) for name in names]


def any_clip(found: list[torch.Tensor]):
    """Pairs of frames of any of the clips, each as often as the others."""
    draws = [frame_pairs(frames, GAP) for frames in found]

    def draw(generator):
        return draws[int(torch.randint(len(draws), (1,), generator=generator))](generator)

    return draw


def errors(network, layer: Layer, tested: list[torch.Tensor]) -> list[float]:
    """The mean squared error on each clip."""
    found = []
    for frames in tested:
        first = range(0, len(frames) - GAP, EVERY)
        pairs = [(i, i + GAP) for i in first] + [(i + GAP, i) for i in first]
        settings = {"layer": layer, "keep_luma": False}
        pair = [
            (colorize(frames[a : a + 1], frames[b : b + 1], network, **settings) - frames[a])
            .square()
            .mean()
            for a, b in pairs
        ]
        found.append(float(torch.stack(pair).mean()))
    return found


def train(options) -> None:
    training, tested = (clips(options.shared, n, options.side) for n in (TRAINING, TESTED))
    options.runs.mkdir(parents=True, exist_ok=True)
    for seed in options.seeds:
        for name in options.layers:
            kind = (name, options.projections, f"{options.temperature:g}")
            file = options.runs / f"{'_'.join(kind)}_{options.side}_{options.steps}_{seed}.json"
            if file.exists():
                continue
            layer = replace(LAYERS[name], temperature=options.temperature)
            started = time.process_time()
            trained = train_colorizer(
                any_clip(training),
                layer=layer,
                steps=options.steps,
                shared=options.projections != "apart",
                copies=options.projections == "copies",
                seed=seed,
            )
            seconds = time.process_time() - started
            run = {"layer": name, "projections": options.projections, "seed": seed}
            run["temperature"] = options.temperature
            run |= {"side": options.side, "steps": options.steps, "seconds": seconds}
            run["errors"] = errors(trained.network, layer, tested)
            run["errors_psal_1"] = errors(trained.network, swapped(LAYERS[name]), tested)
            parts = torch.tensor(trained.losses).chunk(10) if options.steps else ()
            run["training_errors"] = [float(part.mean()) for part in parts]
            file.write_text(json.dumps(run))


def swapped(layer: Layer) -> Layer:
    """PSAL-1 that compares as the layer of the training does (linear: products)."""
    return Layer(neighbours=1, similarity="dot" if layer.kind == "linear" else layer.similarity)


def gflops(layer: Layer, side: int = BIG) -> float:
    """Of one forward pass, counted as the docstring says."""
    pixels, inside = side**2, (side - 6) ** 2
    comparison = (3 if layer.similarity == "l2" else 2) * NUMBERS
    if layer.kind == "linear":  # sums of keys times values, then of queries with them
        return 2 * NUMBERS * (VALUES + 1) * (pixels + inside) / 1e9
    if layer.kind == "psal":
        tree = 2 * 8 * NUMBERS * (pixels + inside)
        tried = 5 + layer.neighbours - 1 + layer.iterations * (2 * layer.neighbours + 3)
        kept = layer.neighbours * (layer.patch_size**2 if layer.aggregate else 1)
        return (tree + pixels * (tried * comparison + kept * 2 * VALUES)) / 1e9
    keys = layer.window**2 if layer.kind == "local" else len(range(0, side - 6, layer.stride)) ** 2
    return pixels * keys * (comparison + 2 * VALUES) / 1e9


def sized(layer: Layer, side: int) -> Layer:
    """A window has the same share of the picture at every size: a fifth, as in the thesis."""
    return replace(layer, window=side // 5 // 2 * 2 + 1)


def memory(options) -> None:
    """Each layer in a process of its own, whose allocator gives back at once what is freed."""
    found, settings = {}, {"MALLOC_MMAP_THRESHOLD_": "16384", "MALLOC_TRIM_THRESHOLD_": "0"}
    for name in options.layers:
        command = [sys.executable, __file__, "--shared", str(options.shared), "one", "--layers"]
        done = subprocess.run(
            [*command, name], check=True, capture_output=True, env=os.environ | settings
        )
        found[name] = json.loads(done.stdout)
    options.runs.mkdir(parents=True, exist_ok=True)
    (options.runs / "memory.json").write_text(json.dumps(found))


def one(options) -> None:
    """Bytes of one layer: of a forward pass at 256 x 256, and of both passes at 64 x 64."""
    (layer,) = (LAYERS[name] for name in options.layers)
    generator, found = torch.Generator().manual_seed(0), {}
    maps = [torch.rand(1, 16, BIG, BIG, generator=generator) for _ in range(3)]
    small = [x[..., :64, :64].contiguous() for x in maps]
    layer(*small)  # compiles
    with PeakMemory() as peak, torch.no_grad():
        sized(layer, BIG)(*maps)
    found["forward_256"] = peak.bytes
    small = [x.requires_grad_() for x in small]
    with PeakMemory() as peak:
        output, _ = layer(*small)
        output.sum().backward()
    found["training_64"] = peak.bytes
    sys.stdout.write(json.dumps(found))


def tables(options) -> None:
    runs = [json.loads(file.read_text()) for file in sorted(options.runs.glob("*_*.json"))]
    untrained = {r["layer"]: statistics.mean(r["errors"]) for r in runs if not r["steps"]}
    runs = [run for run in runs if run["steps"] == options.steps]
    used = options.runs / "memory.json"
    bytes_used = json.loads(used.read_text()) if used.exists() else {}
    rows = {}
    kinds = {(r["projections"], r["temperature"]) for r in runs}
    for projections, temperature in sorted(kinds):
        for name in LAYERS:
            kind = (projections, temperature, name)
            same = [r for r in runs if (r["projections"], r["temperature"], r["layer"]) == kind]
            if not same:
                continue
            own, psal = (
                [statistics.mean(r[kind]) for r in same] for kind in ("errors", "errors_psal_1")
            )
            rows[f"{name}; {projections}, T {temperature:g}"] = {
                "error": statistics.mean(own),
                "errors": own,
                "errors_by_clip": [
                    statistics.mean(values)
                    for values in zip(*(r["errors"] for r in same), strict=True)
                ],
                "with_psal_1": statistics.mean(psal),
                "with_psal_1_ratio": statistics.mean(psal) / statistics.mean(own),
                "training_error": statistics.mean(r["training_errors"][-1] for r in same),
                "training_ms_per_step": 1e3
                * statistics.median(r["seconds"] / r["steps"] for r in same),
                "gflops_256": gflops(sized(LAYERS[name], BIG)),
                "bytes": bytes_used.get(name),
                "seeds": [r["seed"] for r in same],
            }
    grey = [
        float((luma(c) - c).square().mean()) for c in clips(options.shared, TESTED, runs[0]["side"])
    ]
    settings = {"side": runs[0]["side"], "steps": options.steps}
    settings |= {"trained_on": TRAINING, "tested_on": TESTED, "left_grey_by_clip": grey}
    settings["left_grey"] = statistics.mean(grey)
    drawn = f"; {options.projections}, T {options.temperature:g}"
    if options.picture:
        draw({n.removesuffix(drawn): r for n, r in rows.items() if drawn in n}, options.picture)
    sys.stdout.write(text(rows))
    results = {"settings": settings, "untrained_copies": untrained, "layers": rows}
    report("attention_colorization", results)


def text(rows: dict) -> str:
    """Error, the same with PSAL-1 at the test, GFLOPs and memory of every layer, a line each."""
    lines = [f"{'':38} error    (seeds) PSAL-1   ratio GFLOPs  MB 256 MB training"]
    for name, row in rows.items():
        used = row["bytes"] or {"forward_256": float("nan"), "training_64": float("nan")}
        lines.append(
            f"{name:38} {row['error']:.5f}  {len(row['seeds'])}       {row['with_psal_1']:.5f}  "
            f"{row['with_psal_1_ratio']:.2f}  {row['gflops_256']:6.1f}  "
            f"{used['forward_256'] / 1e6:6.0f} {used['training_64'] / 1e6:6.1f}"
        )
    return "\n".join(lines) + "\n"


def draw(rows: dict, file: Path, size: tuple[int, int] = (900, 560)) -> None:
    """Error against memory, both logarithmic; the area of a disc is the number of operations."""
    known = {name: row for name, row in rows.items() if row["bytes"]}
    picture = Image.new("RGB", size, "#ffffff")
    pen = ImageDraw.Draw(picture)
    xs = np.log10([max(1e5, row["bytes"]["training_64"]) for row in known.values()])
    ys = np.log10([row["error"] for row in known.values()])
    low_x, high_x, low_y, high_y = xs.min() - 0.4, xs.max() + 0.5, ys.min() - 0.1, ys.max() + 0.1

    def place(x: float, y: float) -> tuple[float, float]:
        across, up = (x - low_x) / (high_x - low_x), (y - low_y) / (high_y - low_y)
        return 80 + across * (size[0] - 100), size[1] - 60 - up * (size[1] - 100)

    for tick in range(int(np.ceil(low_x)), int(high_x) + 1):
        x, y = place(tick, low_y)
        pen.line((x, 40, x, y), fill="#d5d9e0")
        pen.text((x - 20, y + 6), f"{10 ** (tick - 6):g} MB", fill="#20242c", font=font(12))
    for tick in np.linspace(low_y, high_y, 6):
        x, y = place(low_x, tick)
        pen.line((x, y, size[0] - 20, y), fill="#d5d9e0")
        pen.text((8, y - 7), f"{10**tick:.5f}", fill="#20242c", font=font(12))
    words = "squared error against memory of a training step of the layer (64 x 64); area: GFLOPs"
    pen.text((80, 12), words, fill="#20242c", font=font(14))
    taken: list[tuple[float, float]] = []  # places of names
    for (name, row), x, y in zip(known.items(), xs, ys, strict=True):
        (x, y), radius = place(x, y), 1.2 * row["gflops_256"] ** 0.5 + 2
        colour = COLOURS[LAYERS[name].kind]
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), outline=colour, width=2)
        down = y - 7
        while any(abs(down - at) < 14 and abs(x - left) < 120 for left, at in taken):
            down += 14
        taken.append((x, down))
        pen.text((x + 12, down), name, fill=colour, font=font(12))
    file.parent.mkdir(parents=True, exist_ok=True)
    picture.save(file)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, required=True)
    parser.add_argument("job", choices=["train", "memory", "one", "tables"])
    parser.add_argument("--layers", type=lambda text: text.split("|"), default=list(LAYERS))
    parser.add_argument("--projections", choices=["apart", "shared", "copies"], default="shared")
    parser.add_argument("--temperature", type=float, default=1.0)
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--side", type=int, default=64)
    runs = Path(tempfile.gettempdir()) / "internal_methods_colorization"
    parser.add_argument("--runs", type=Path, default=runs, help="folder of the finished runs")
    parser.add_argument("--picture", type=Path, help="where to draw error against memory")
    options = parser.parse_args()
    {"train": train, "memory": memory, "one": one, "tables": tables}[options.job](options)


if __name__ == "__main__":
    main()
