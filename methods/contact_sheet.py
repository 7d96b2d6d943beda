"""Pictures side by side in rows, with words above and beside them."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

from .lettering import as_tensor, font

GAP, LINE = 8, 20  # pixels between pictures, and of a line of text
PAPER, INK = (32, 32, 32), (235, 235, 235)


def contact_sheet(
    rows: Sequence[Sequence[Tensor]],
    columns: Sequence[str],
    captions: Sequence[Sequence[str]],
    *,
    side: int = 192,
) -> Tensor:
    """A sheet of pictures.

    rows: of pictures (1, C, h, w), nominally [0, 1], each made to fit `side` x `side` pixels with
    its proportions kept. columns: a heading for each; a line break begins a new line. captions:
    what stands below each picture.
    Returns (1, 3, H, W). Needs Pillow.
    """
    from PIL import Image, ImageDraw

    tiles = [[_fitted(picture, side) for picture in row] for row in rows]
    heights = [max(tile.shape[2] for tile in row) for row in tiles]
    head = LINE * max(heading.count("\n") + 1 for heading in columns)
    width = GAP + len(columns) * (side + GAP)
    height = GAP + head + sum(h + LINE + GAP for h in heights)
    sheet = Image.new("RGB", (width, height), PAPER)
    draw, letters = ImageDraw.Draw(sheet), font(13)
    for column, heading in enumerate(columns):
        for line, words in enumerate(heading.split("\n")):
            place = (GAP + column * (side + GAP), GAP // 2 + line * LINE)
            draw.text(place, _shortened(words, side, draw, letters), INK, letters)
    y = GAP + head
    for row, below, tall in zip(tiles, captions, heights, strict=True):
        for column, (tile, words) in enumerate(zip(row, below, strict=True)):
            x = GAP + column * (side + GAP)
            pixels = tile[0].movedim(0, -1).mul(255).round().byte().cpu().numpy()
            sheet.paste(Image.fromarray(pixels), (x, y))
            words = _shortened(words, side, draw, letters)
            draw.text((x, y + tile.shape[2] + 1), words, INK, letters)
        y += tall + LINE + GAP
    return as_tensor(sheet)


def _fitted(picture: Tensor, side: int) -> Tensor:
    """(1, 3, h, w) in [0, 1] whose longer side is `side`."""
    picture = picture.detach().cpu().float()[:1, :3].clamp(0, 1)
    picture = picture.expand(-1, 3, -1, -1) if picture.shape[1] != 3 else picture
    share = side / max(picture.shape[2:])
    size = [max(1, round(n * share)) for n in picture.shape[2:]]
    if share >= 2:
        return F.interpolate(picture, size=size, mode="nearest-exact")
    small = F.interpolate(picture, size=size, mode="bilinear", antialias=True)
    return small.clamp(0, 1)


def _shortened(words: str, width: int, draw, letters) -> str:
    """As much of the words as fits."""
    if draw.textlength(words, letters) <= width:
        return words
    while words and draw.textlength(words + "...", letters) > width:
        words = words[:-1]
    return words + "..."
