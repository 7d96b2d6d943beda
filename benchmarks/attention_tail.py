"""The error of patch attention against dense attention, with and without its tail.

    python benchmarks/attention_tail.py --data DATA [--side 64]

Some 3 minutes. One head of 40 channels, patch 1, dot product, 15 neighbours, the features of two
photographs and two textures; q and k by the same projection of the features ("related") or by two
("unrelated", the hardest case). Temperatures are chosen for 3 to 3,900 effective keys (the
exponential of the mean entropy) of 4,096. Neighbours are the exact ones, and those of the search.
The error is the norm of the difference over that of dense attention's output.
"""

import argparse
from pathlib import Path

import torch
from attention_features import error, features, heads, temperature_for, tokens
from measure import report

from internal_methods.methods import patch_attention

PICTURES = {
    "coffee": "natural/coffee.png",
    "kodim03": "natural/kodim03.png",
    "brick": "textures/skimage/brick.png",
    "grass": "textures/skimage/grass.png",
}
SHARES = (3 / 4096, 30 / 4096, 200 / 4096, 1000 / 4096, 3000 / 4096, 3900 / 4096)


def measure(picture: Path, side: int, related: bool) -> list[dict]:
    q, k, v = heads(features(picture, side), 1, 40, related)
    similarities = tokens(q)[0] @ tokens(k)[0].T
    rows = []
    for share in SHARES:
        wanted = share * side * side
        temperature = temperature_for(similarities[::16], wanted)
        truth = (similarities / temperature).softmax(1) @ tokens(v)[0]
        row = {"effective_keys": round(wanted), "temperature": temperature}
        for found, how in (("exact", {"exact": True}), ("search", {"iterations": 1})):
            for tail in (None, "pooled"):
                output, _ = patch_attention(
                    q, k, v, patch_size=1, neighbours=15, similarity="dot", tail=tail,
                    temperature=temperature, **how,
                )  # fmt: skip
                name = f"{found}, {'tail' if tail else 'no tail'}"
                row[name] = error(tokens(output)[0], truth)
        rows.append(row)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--side", type=int, default=64)
    arguments = parser.parse_args()
    results = []
    columns = ("exact, no tail", "exact, tail", "search, no tail", "search, tail")
    print(f"{'relative error in %':34}" + "".join(f"{name:>17}" for name in columns))
    for name, path in PICTURES.items():
        for related in (True, False):
            rows = measure(arguments.data / path, arguments.side, related)
            kind = "related" if related else "unrelated"
            results.append({"picture": name, "q and k": kind, "rows": rows})
            for row in rows:
                what = f"{name}, {kind}, {row['effective_keys']} keys"
                print(f"{what:34}" + "".join(f"{100 * row[c]:17.1f}" for c in columns), flush=True)
    report("attention_tail", {"side": arguments.side, "results": results})


if __name__ == "__main__":
    with torch.no_grad():
        main()
