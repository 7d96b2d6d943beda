"""Speed and quality of hole filling on the public textures of scikit-image, and a peer beside it.

    python benchmarks/inpaint.py [--out FOLDER]

A centred hole of 128 x 128 in 256 x 256 crops of brick, gravel and a stained tissue (ihc), and in
gravel mirrored to 1024 x 1024. Figures per fill, each the mean over seeds 0 to 4:
- gradient: mean absolute gradient inside the hole, divided by that of what was there;
- sliced: sliced Wasserstein distance (x 1000) between the 7 x 7 patches over the hole and the known
  ones, 64 fixed projections; `truth` is its value for the removed content;
- seam: gradient across the hole's border, divided by that inside.
OpenCV's SHIFTMAP is measured as well where cv2.xphoto is there (opencv-contrib-python-headless).
"""

import argparse
import statistics
from pathlib import Path

import cv2
import numpy as np
import skimage.data
import torch
import torch.nn.functional as F
from measure import load, report, save, timed

from internal_methods.methods import inpaint

PATCH, PROJECTIONS, KNOWN, SEEDS = 7, 64, 40000, 5


def pictures() -> dict[str, torch.Tensor]:
    folder, found = Path(skimage.data.__file__).parent, {}
    for name in ("brick", "gravel", "ihc"):
        image = load(folder / f"{name}.png")
        top, left = ((n - 256) // 2 for n in image.shape[2:])
        found[f"{name}256"] = image[..., top : top + 256, left : left + 256].contiguous()
    gravel = load(folder / "gravel.png")
    found["gravel1024"] = F.pad(gravel, (256, 256, 256, 256), mode="reflect")
    return found


def centred_hole(image: torch.Tensor, side: int = 128) -> torch.Tensor:
    mask = torch.zeros(1, 1, *image.shape[2:])
    top, left = ((n - side) // 2 for n in image.shape[2:])
    mask[..., top : top + side, left : left + side] = 1
    return mask


def gradient(image: torch.Tensor, mask: torch.Tensor) -> float:
    across = (image[..., :-1, 1:] - image[..., :-1, :-1]).abs()
    down = (image[..., 1:, :-1] - image[..., :-1, :-1]).abs()
    return float((across + down)[:, :, mask[0, 0, :-1, :-1] > 0].mean())


def seam(image: torch.Tensor, mask: torch.Tensor) -> float:
    hole, border, inner = mask[0, 0] > 0, [], []
    for dim in (0, 1):
        change = image[0].diff(dim=dim + 1).abs().mean(0)
        first = hole.narrow(dim, 0, hole.shape[dim] - 1)
        second = hole.narrow(dim, 1, hole.shape[dim] - 1)
        border.append(change[first != second])
        inner.append(change[first & second])
    return float(torch.cat(border).mean() / torch.cat(inner).mean())


def sliced(image: torch.Tensor, truth: torch.Tensor, mask: torch.Tensor, seed: int) -> float:
    draw = torch.Generator().manual_seed(seed)
    over = F.max_pool2d(mask, PATCH, stride=1).flatten() > 0
    filled, known = F.unfold(image, PATCH)[0].T[over], F.unfold(truth, PATCH)[0].T[~over]
    known = known[torch.randperm(len(known), generator=draw)[:KNOWN]]
    directions = torch.randn(filled.shape[1], PROJECTIONS, generator=draw)
    directions /= directions.norm(dim=0)
    shares, quantiles = (torch.arange(2000) + 0.5) / 2000, []
    for patches in (filled, known):
        ordered = (patches @ directions).sort(0).values
        quantiles.append(ordered[(shares * len(ordered)).long()])
    return float((quantiles[0] - quantiles[1]).square().mean()) * 1e3


def figures(fills: list[torch.Tensor], truth: torch.Tensor, mask: torch.Tensor) -> dict:
    mean = statistics.mean
    return {
        "gradient": mean(gradient(f, mask) for f in fills) / gradient(truth, mask),
        "sliced": mean(sliced(f, truth, mask, seed) for seed, f in enumerate(fills)),
        "seam": mean(seam(f, mask) for f in fills),
        "known_changed": max(float(((f - truth) * (1 - mask)).abs().max()) for f in fills),
    }


def shiftmap(image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    pixels = (image[0].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
    lab = cv2.cvtColor(pixels, cv2.COLOR_RGB2Lab)
    out = np.zeros_like(lab)
    cv2.xphoto.inpaint(lab, (mask[0, 0].numpy() == 0).astype(np.uint8) * 255, out, 0)
    out = cv2.cvtColor(out, cv2.COLOR_Lab2RGB)
    return torch.from_numpy(out.astype(np.float32) / 255).permute(2, 0, 1)[None]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="folder for the pictures")
    options, results = parser.parse_args(), {}
    for name, image in pictures().items():
        mask = centred_hole(image)
        broken = torch.where(mask > 0, 0.0, image)
        fills = [inpaint(broken, mask, seed=seed)[0] for seed in range(SEEDS)]
        row = {"truth": figures([image] * SEEDS, image, mask)}
        row["patch inpaint"] = figures(fills, image, mask)
        row["patch inpaint"] |= timed(lambda b=broken, m=mask: inpaint(b, m))
        shown = [image, broken, fills[0]]
        if hasattr(cv2, "xphoto"):
            peer = shiftmap(broken, mask)
            row["opencv shiftmap"] = figures([peer] * SEEDS, image, mask)
            row["opencv shiftmap"] |= timed(lambda b=broken, m=mask: shiftmap(b, m), repeats=1)
            shown.append(peer)
        results[name] = row
        if options.out:
            save(options.out / f"{name}.png", *shown)
    report("inpaint", results)


if __name__ == "__main__":
    main()
