"""Time of patch attention beside fused dense attention, and its error at the settings timed.

    python benchmarks/attention_speed.py --data DATA [--sides 64 128 256] [--repeats 3]

Some 6 minutes on two cores, most of them dense attention at 256. 8 heads of 40 channels, patch 1,
dot product at the temperature sqrt(40), float32, contiguous tensors on both sides, the features of
a photograph (see attention_features.py). Warm: from the field of a call before, on queries and keys
that have since changed by a twentieth of their spread, as between two denoising steps. The tail is
part of the time where it is named; "tail" alone is what it adds. Errors are against dense attention
on 512 queries of every head, at several temperatures.
"""

import argparse
import math
from pathlib import Path

import torch
import torch.nn.functional as F
from attention_features import effective_keys, error, features, heads, tokens
from measure import report, timed

from internal_methods.methods import patch_attention

HEADS, CHANNELS = 8, 40
TEMPERATURES = (0.25, 0.5, 1.0, 2.0)  # times sqrt(40)
ITERATIONS = 1  # of the patch search, after the cells (cold) or the field (warm)
VARIANTS = {
    "PSAL 3": dict(neighbours=3),
    "PSAL 3, tail": dict(neighbours=3, tail="pooled"),
    "PSAL 15": dict(neighbours=15),
    "PSAL 15, tail": dict(neighbours=15, tail="pooled"),
}


def attend(q, k, v, *, factor=1.0, field=None, **how):
    return patch_attention(
        q, k, v, patch_size=1, similarity="dot", temperature=factor * math.sqrt(CHANNELS),
        iterations=ITERATIONS, field=field, **how,
    )  # fmt: skip


def changed(x: torch.Tensor, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return x + 0.05 * x.std() * torch.randn(x.shape, generator=generator)


def seconds(q, k, v, earlier, repeats: int) -> dict:
    rows = {}
    dense = [tokens(t)[:, None] for t in (q, k, v)]
    few = 1 if q.shape[2] > 128 else repeats  # of the 43 s that dense attention takes at 256
    rows["dense"] = timed(lambda: F.scaled_dot_product_attention(*dense), few)
    for name, how in VARIANTS.items():
        rows[name] = timed(lambda how=how: attend(q, k, v, **how), repeats)
        _, field = attend(*earlier, v, neighbours=how["neighbours"])
        rows[f"{name}, warm"] = timed(
            lambda how=how, f=field: attend(q, k, v, field=f, **how), repeats
        )
    for row in rows.values():
        row["times dense"] = rows["dense"]["median_s"] / row["median_s"]
    return rows


def errors(q, k, v, earlier) -> list[dict]:
    side = q.shape[2]
    some = torch.randperm(side * side, generator=torch.Generator().manual_seed(0))[:512]
    queries, keys, values = (tokens(t) for t in (q, k, v))
    rows = []
    for factor in TEMPERATURES if side < 256 else TEMPERATURES[1:3]:
        truth, spread = [], []
        for head in range(HEADS):
            logits = queries[head, some] @ keys[head].T / (factor * math.sqrt(CHANNELS))
            truth.append(logits.softmax(1) @ values[head])
            spread.append(effective_keys(logits))
        row = {"temperature": factor, "effective_keys": sum(spread) / HEADS}
        for name, how in VARIANTS.items():
            _, field = attend(*earlier, v, neighbours=how["neighbours"], factor=factor)
            for kind, start in (("", None), (", warm", field)):
                output, _ = attend(q, k, v, factor=factor, field=start, **how)
                row[name + kind] = error(tokens(output)[:, some], torch.stack(truth))
        rows.append(row)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sides", type=int, nargs="+", default=[64, 128, 256])
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    results = []
    for side in arguments.sides:
        x = features(arguments.data / "natural/coffee.png", side)
        q, k, v = heads(x, HEADS, CHANNELS, related=False)
        earlier = changed(q, 1), changed(k, 2)
        times = seconds(q, k, v, earlier, arguments.repeats)
        for name, row in times.items():
            print(
                f"{side:4} {name:22} {row['median_s']:8.3f} s {row['times dense']:6.1f} x",
                flush=True,
            )
        found = {}
        for related in (False, True):
            maps = heads(x, HEADS, CHANNELS, related)
            before = changed(maps[0], 1), changed(maps[1], 2)
            found["related" if related else "unrelated"] = errors(*maps, before)
        for kind, rows in found.items():
            for row in rows:
                shown = ", ".join(f"{n} {100 * row[n]:.1f}" for n in row if n.startswith("PSAL"))
                what = f"{row['temperature']} T, {row['effective_keys']:.0f} keys"
                print(f"{side:4} {kind}, {what}, errors in %: {shown}", flush=True)
        results.append({"tokens": side * side, "times": times, "errors": found})
    report("attention_speed", {"results": results})


if __name__ == "__main__":
    with torch.no_grad():
        main()
