"""Super-resolution of the public test pictures: quality, what each part adds, and exact search.

    python benchmarks/superresolve.py --data DATA [--parts table gap parts] [--scales 2 3 4]

DATA/superres holds pairs *_x2_LR.png and *_x2_HR.png: Set5 and four pictures of Urban100 at half
size. For x3 and x4 the large picture is cut to a multiple and reduced by our own antialiased
bicubic (which gives Set5's published x2 pictures within a rounding). Figures are PSNR in dB on
luma, Y = 16 ... 235 of BT.601, after rounding to 8 bits, with a border of `scale` pixels cut off.
- table: bicubic, Lanczos (Pillow), bicubic with back-projection alone, ours fast and best.
- gap: PSAL beside exact attention on the central crop whose result is 192 pixels wide and high.
- parts: the mean over all pictures when one part is left out or changed.
"""

import argparse
import statistics
import time
from pathlib import Path

import numpy as np
import torch
from measure import load, report
from PIL import Image

from internal_methods.methods import superresolve
from internal_methods.methods.superresolve import back_project, resized

CROP = 192  # pixels, of the result that exact attention is compared on
PARTS = {
    "as shipped (fast)": {},
    "best": {"quality": "best"},
    "without turned copies": {"turned": False},
    "without back-projection": {"back_projection": 0},
    "1 neighbour": {"neighbours": 1},
    "3 neighbours": {"neighbours": 3},
    "10 neighbours": {"neighbours": 10},
    "patch 3": {"patch_size": 3},
    "patch 7": {"patch_size": 7},
}


def eight_bits(image: torch.Tensor) -> torch.Tensor:
    return image.clamp(0, 1).mul(255).round() / 255


def pairs(folder: Path, scale: int) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """name -> (small, large)."""
    found = {}
    for path in sorted(folder.glob("*/*_HR.png")):
        large = load(path)
        height, width = (side // scale for side in large.shape[2:])
        large = large[..., : height * scale, : width * scale].contiguous()
        if scale == 2:
            small = load(path.with_name(path.name.replace("_HR", "_LR")))
        else:
            small = eight_bits(resized(large, (height, width)))
        found[f"{path.parent.name}/{path.name[:7]}"] = (small, large)
    return found


def psnr(result: torch.Tensor, truth: torch.Tensor, border: int) -> float:
    weights = torch.tensor([65.481, 128.553, 24.966]).view(1, 3, 1, 1) / 255
    change = ((eight_bits(result) - truth) * weights).sum(1).double()
    inner = change[:, border:-border, border:-border]
    return float(-10 * inner.square().mean().log10())


def lanczos(image: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    planes = [
        Image.fromarray(plane).resize(size[::-1], Image.LANCZOS) for plane in image[0].numpy()
    ]
    return torch.from_numpy(np.stack([np.asarray(plane) for plane in planes]))[None]


def table(data: dict, scale: int) -> dict:
    rows = {}
    for name, (small, large) in data.items():
        size = tuple(large.shape[2:])
        made = {
            "bicubic": resized(small, size),
            "lanczos": lanczos(small, size),
            "back-projection alone": back_project(resized(small, size), small, 10),
        }
        row = {kind: psnr(picture, large, scale) for kind, picture in made.items()}
        for quality in ("fast", "best"):
            start = time.perf_counter()
            row[quality] = psnr(superresolve(small, scale, quality=quality), large, scale)
            row[f"{quality}_s"] = time.perf_counter() - start
        rows[name] = row
    return rows | means(rows)


def means(rows: dict[str, dict]) -> dict[str, dict]:
    """The mean of every column, over all pictures and over each set."""
    found = {}
    for group in ("", "set5", "urban100"):
        of = [row for name, row in rows.items() if name.startswith(group)]
        found[f"mean {group or 'of all'}"] = {k: statistics.mean(r[k] for r in of) for k in of[0]}
    return found


def gap(data: dict, scale: int) -> dict:
    """PSAL and exact attention, turned copies left out, which exact search has no time for."""
    rows = {}
    for name, (small, large) in data.items():
        side = CROP // scale
        top, left = ((n - side) // 2 for n in small.shape[2:])
        part = small[..., top : top + side, left : left + side].contiguous()
        truth = large[..., top * scale :, left * scale :][..., : side * scale, : side * scale]
        found = {"bicubic": psnr(resized(part, (CROP, CROP)), truth, scale)}
        for kind in ("psal", "exact"):
            made = superresolve(part, scale, turned=False, exact=kind == "exact")
            found[kind] = psnr(made, truth, scale)
        rows[name] = found
    return rows | means(rows)


def parts(data: dict, scale: int) -> dict:
    found = {}
    for words, settings in PARTS.items():
        made = [
            psnr(superresolve(small, scale, **settings), large, scale)
            for small, large in data.values()
        ]
        found[words] = statistics.mean(made)
    return found


def main() -> None:
    jobs = {"table": table, "gap": gap, "parts": parts}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--parts", nargs="*", choices=list(jobs), default=list(jobs))
    parser.add_argument("--scales", nargs="*", type=int, default=[2, 3, 4])
    parser.add_argument("--name", default="superresolve", help="of the file in results/")
    options = parser.parse_args()
    results = {}
    for scale in options.scales:
        data = pairs(options.data / "superres", scale)
        results[f"x{scale}"] = {part: jobs[part](data, scale) for part in options.parts}
    report(options.name, results)


if __name__ == "__main__":
    main()
