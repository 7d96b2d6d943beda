"""Seconds of the metrics, and how far they are from published values.

    python benchmarks/metrics.py --data DATA

DATA: folder with metrics/, weights/, dynamic_textures/ and generation/ as the tests use them. Each
time is that of a second call; networks are built before.
"""

import argparse
import json
from pathlib import Path

import torch
import torch.nn.functional as F
from measure import load, report, timed

from internal_methods.methods.metrics import METRICS
from internal_methods.methods.metrics.clip_metrics import CLIP_METRICS, Clips, I3DFrom
from internal_methods.methods.metrics.compare import Networks
from internal_methods.storage import clips
from internal_methods.storage.weights import WeightsFolder

SIDES = dict.fromkeys(("patch_ot", "coherence", "completeness", "copy_rate", "copy_one_shift"), 256)
PUBLISHED = {
    "psnr": "psnr_db",
    "ssim": "ssim_gauss11_rgb",
    "flip": "flip_ldr_mean_ppd67",
    "lpips_alex": "lpips_alex_v01",
    "lpips_vgg": "lpips_vgg_v01",
    "dists": "dists",
}


def deviations(data: Path, networks: Networks) -> dict:
    """The largest difference from the values of independent implementations."""
    values = json.loads((data / "metrics" / "expected_values.json").read_text())["values"]
    largest = dict.fromkeys(PUBLISHED, 0.0)
    for value in values.values():
        reference, result = (load(data / name) for name in value["pair"])
        for name, key in PUBLISHED.items():
            network, _ = networks.of(METRICS[name], result.device)
            ours = METRICS[name].measure(result, reference, *network, region=None)
            largest[name] = max(largest[name], abs(float(ours) - value[key]))
    return largest


def seconds(data: Path, networks: Networks) -> dict:
    """Of every metric of pictures, on a photo and its blurred copy."""
    photo = load(data / "metrics" / "dists_r0.png")
    rows = {}
    for name, metric in METRICS.items():
        side = SIDES.get(name, 512)
        reference = F.interpolate(photo, (side, side), mode="bicubic").clamp(0, 1)
        result = F.avg_pool2d(F.pad(reference, (1, 1, 1, 1), mode="reflect"), 3, 1)
        try:
            network, _ = networks.of(metric, result.device)
        except ValueError:
            continue  # its weights are not there
        rows[f"{name} {side}"] = timed(
            lambda m=metric, x=result, y=reference, n=network: m.measure(x, y, *n), repeats=3
        )
    return rows


def clip_seconds(data: Path, weights: WeightsFolder) -> dict:
    """Of SVFID between two clips of 12 frames of 256 x 256."""
    folder = data / "dynamic_textures"
    both = [
        torch.from_numpy(clips.read(folder / name / "fish")[0]).permute(3, 0, 1, 2)[None, :3]
        for name in ("tesfaldet_peer_twostream", "tesfaldet")
    ]
    given = Clips(both[0], both[1], None, 16, I3DFrom(weights))
    metric = CLIP_METRICS["svfid"]
    row = timed(lambda: metric.measure(given), repeats=3)
    return {"svfid 12x256x256": row | {"value": metric.measure(given)[0][1]}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    data = parser.parse_args().data
    weights = WeightsFolder([data / "weights"])
    networks = Networks(weights)
    with torch.inference_mode():
        results = {
            "largest difference from published values": deviations(data, networks),
            "seconds": seconds(data, networks) | clip_seconds(data, weights),
        }
    report("metrics", results)


if __name__ == "__main__":
    main()
