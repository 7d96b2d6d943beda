"""What the metrics make of blur: the average of several fills of one hole, beside a single fill.

Cherel 2024 (chapter V, tables V.1 and V.2): averaging raises PSNR and SSIM, and LPIPS and DISTS
tell that the texture is gone. FLIP's mean goes with PSNR: it falls by averaging on every texture
tried here, and also in the thesis the blurred regression has the best of it.
"""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from internal_methods.methods import inpaint
from internal_methods.methods.metrics import compare
from internal_methods.methods.metrics.flip import flip_map
from internal_methods.storage.weights import WeightsFolder
from shared import shared

GRASS = Path(__file__).resolve().parents[3] / "workflows" / "inputs" / "grass.png"
FILLS = 6


@pytest.fixture(scope="module")
def fills():
    """(truth, mask, fills): grass with a hole, filled from six seeds."""
    with Image.open(GRASS) as file:
        pixels = np.asarray(file.convert("RGB"), np.float32)[:192, :192] / 255
    truth = torch.from_numpy(pixels).movedim(-1, 0)[None].contiguous()
    mask = torch.zeros(1, 1, 192, 192)
    mask[..., 60:132, 60:132] = 1
    made = [inpaint(truth * (1 - mask), mask, seed=seed)[0] for seed in range(FILLS)]
    return truth, mask, torch.cat(made)


def inside(result, fills, metrics, weights=None):
    """Means over the pictures, in the hole."""
    truth, mask, _ = fills
    rows = compare(result, truth, mask=mask, metrics=metrics, weights=weights)
    values = {name: [r.value for r in rows if (r.metric, r.region) == (name, "inside")]
              for name in metrics}  # fmt: skip
    return {name: sum(found) / len(found) for name, found in values.items()}


def test_averaging_raises_psnr_and_ssim_and_lowers_flip(fills):
    names = ["psnr", "ssim", "ms_ssim", "l1", "flip"]
    one = inside(fills[2], fills, names)
    mean = inside(fills[2].mean(dim=0, keepdim=True), fills, names)
    assert mean["psnr"] > one["psnr"] + 1
    assert mean["ssim"] > one["ssim"] and mean["ms_ssim"] > one["ms_ssim"]
    assert mean["l1"] < one["l1"] and mean["flip"] < one["flip"]


def test_so_says_the_flip_of_its_authors(fills):
    evaluate = pytest.importorskip("flip_evaluator").evaluate
    truth, mask, many = fills
    shown = [i[0].movedim(0, -1).contiguous().numpy() for i in (truth, many[:1])]
    mean = many.mean(dim=0).movedim(0, -1).contiguous().numpy()
    hole = mask[0, 0].numpy() > 0
    one, averaged = (
        evaluate(shown[0], image, "LDR", applyMagma=False)[0][..., 0][hole].mean()
        for image in (shown[1], mean)
    )
    assert averaged < one
    assert one == pytest.approx(flip_map(many[:1], truth)[mask > 0].mean().item(), abs=1e-3)


def test_averaging_worsens_lpips_and_dists(fills):
    names = ["lpips_alex", "lpips_vgg", "dists"]
    weights = WeightsFolder([shared("weights")])
    one = inside(fills[2][:1], fills, names, weights)
    mean = inside(fills[2].mean(dim=0, keepdim=True), fills, names, weights)
    for name in names:
        assert mean[name] > 1.1 * one[name], name
