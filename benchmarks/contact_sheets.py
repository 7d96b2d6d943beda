"""Draws contact sheets: what the settings of generation and editing do to real pictures.

    python benchmarks/contact_sheets.py --data DATA --out sheets [--only NAME]... [--width 192]

DATA holds generation/ (psin_reference, places50, places50_peers, singan, sinddm), edit/, textures/.
Nothing is picked: the samples of a row are seeds 0, 1, 2 ... One PNG per sheet; the first
column is the input.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from measure import load
from PIL import Image, ImageDraw

from internal_methods.methods import generate, harmonise, make_tileable

Row = tuple[str, list[torch.Tensor]]

PLACES = ["01", "02", "04", "05", "07", "08", "10", "11", "13", "15"]
PASTED = [
    ("starry_night_naive.png", "starry_night_naive_mask.png", "singan/starry_night.png"),
    ("harmonize_tree.jpg", "harmonize_tree_mask.jpg", "singan/seascape.png"),
    ("stone_edit.png", "stone_edit_mask.png", "singan/stone.png"),
    (
        "sinddm_eucalyptus_composite_dog1.png",
        "sinddm_eucalyptus_mask_dog1.png",
        "sinddm/eucalyptus.png",
    ),
]
PAINTED = [
    ("paint_cows.png", "cows.png"),
    ("sketch_cows_sketch2.png", "cows.png"),
    ("sketch_starry_night_sketch.png", "starry_night.png"),
    ("sketch_balloons_sketch.png", "balloons.png"),
]


def references(data: Path, count: int = 4) -> list[tuple[str, torch.Tensor]]:
    generation = data / "generation"
    paths = [generation / "psin_reference" / "balloons.png"]
    paths += [generation / "places50" / f"{name}.jpg" for name in PLACES]
    return [(path.stem, load(path)) for path in paths[:count]]


def methods(data: Path) -> list[Row]:
    """PSin and PSinOT, six samples each."""
    rows = []
    for name, image in references(data):
        for method in ("psin", "psinot"):
            samples = generate(image, method=method, count=6)
            rows.append((f"{name} {method}", [image, *samples.split(1)]))
    return rows


def scales(data: Path) -> list[Row]:
    """PSin from 3 and from 4 scales."""
    rows = []
    for name, image in references(data):
        for number in (3, 4):
            samples = generate(image, scales=number, count=4)
            rows.append((f"{name} {number} scales", [image, *samples.split(1)]))
    return rows


def upsampling(data: Path) -> list[Row]:
    """The field or the image carried on between scales."""
    rows = []
    for name, image in references(data):
        for way in ("field", "image"):
            samples = generate(image, upsample=way, count=3)
            rows.append((f"{name} {way}", [image, *samples.split(1)]))
    return rows


def peers(data: Path) -> list[Row]:
    """Beside stored outputs of SinGAN and GPNN for the same pictures."""
    rows, generation = [], data / "generation"
    for name in PLACES:
        image = load(generation / "places50" / f"{name}.jpg")
        theirs = [
            load(generation / "places50_peers" / f"{peer}_high_var" / f"{name}.png")
            for peer in ("singan", "gpnn")
        ]
        ours = [generate(image, method=method) for method in ("psin", "psinot")]
        rows.append((f"{name}: SinGAN, GPNN, PSin, PSinOT", [image, *theirs, *ours]))
    return rows


def painted(data: Path) -> list[Row]:
    """Painted guides begun at every scale."""
    rows = []
    for guide_name, name in PAINTED:
        reference = load(data / "generation" / "singan" / name)
        guide = load(data / "edit" / guide_name)
        size = (guide.shape[2], guide.shape[3])
        made = [generate(reference, guide=guide, start_scale=s, size=size) for s in (0, 1, 2)]
        rows.append((f"{guide_name} start 0, 1, 2", [reference, guide, *made]))
    return rows


def pasted(data: Path) -> list[Row]:
    """Harmonising with more and more of the object kept."""
    rows = []
    for image_name, mask_name, reference_name in PASTED:
        image = load(data / "edit" / image_name)
        mask = (load(data / "edit" / mask_name)[:, :1] > 0.5).float()
        reference = load(data / "generation" / reference_name)
        settings = ((0, 0), (1, 1), (1, 2), (2, 2))
        made = [
            harmonise(image, mask, reference=reference, start_scale=start, bands=bands)[0]
            for start, bands in settings
        ]
        rows.append((f"{image_name} (start, bands) {settings}", [image, *made]))
    return rows


def tiled(data: Path) -> list[Row]:
    """Half-rolled pictures, their seams in the middle, before and after, for two widths of band."""
    paths = [*sorted((data / "textures" / "photo512").glob("*.png"))[:3]]
    paths += [*sorted((data / "textures" / "skimage").glob("*.png"))]
    rows = []
    for path in paths:
        image = load(path)[..., :256, :256].contiguous()
        made = [make_tileable(image, band=band)[0] for band in (0.25, 0.4)]
        rolled = [picture.roll((128, 128), (2, 3)) for picture in (image, *made)]
        rows.append((f"{path.stem} band 0.25, 0.4", rolled))
    return rows


SHEETS: dict[str, Callable[[Path], list[Row]]] = {
    f.__name__: f for f in (methods, scales, upsampling, peers, painted, pasted, tiled)
}


def draw(rows: list[Row], width: int) -> Image.Image:
    """Rows of pictures scaled to one width, each under its title."""
    strips = []
    for title, pictures in rows:
        tiles = []
        for picture in pictures:
            pixels = (picture[0].clamp(0, 1).permute(1, 2, 0).numpy() * 255).round()
            tile = Image.fromarray(pixels.astype(np.uint8))
            tiles.append(tile.resize((width, round(width * tile.height / tile.width))))
        height = max(tile.height for tile in tiles) + 16
        strip = Image.new("RGB", (len(tiles) * (width + 4), height), "white")
        ImageDraw.Draw(strip).text((2, 2), title, fill="black")
        for i, tile in enumerate(tiles):
            strip.paste(tile, (i * (width + 4), 16))
        strips.append(strip)
    size = max(strip.width for strip in strips), sum(strip.height for strip in strips)
    sheet = Image.new("RGB", size, "white")
    top = 0
    for strip in strips:
        sheet.paste(strip, (0, top))
        top += strip.height
    return sheet


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("sheets"))
    parser.add_argument("--only", action="append", choices=list(SHEETS), help="default: all")
    parser.add_argument("--width", type=int, default=192, help="of a picture, in pixels")
    settings = parser.parse_args()
    settings.out.mkdir(parents=True, exist_ok=True)
    for name in settings.only or SHEETS:
        path = settings.out / f"{name}.png"
        draw(SHEETS[name](settings.data), settings.width).save(path)
        print(path)


if __name__ == "__main__":
    main()
