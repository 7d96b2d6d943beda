"""Trains the model that the workflows bring, into workflows/inputs/brick.safetensors.

    python workflows/train_brick.py [--steps N]

On the picture of bricks, with the settings that the node begins with; neither the hole nor the
cracks that the workflows fill are seen in the training.
"""

import argparse
import importlib.util
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
INPUTS = ROOT / "workflows" / "inputs"
NAME = "internal_methods"


def read(name: str, mode: str) -> torch.Tensor:
    """(1, C, H, W) in [0, 1]."""
    with Image.open(INPUTS / name) as opened:
        pixels = np.atleast_3d(np.asarray(opened.convert(mode)))
    return torch.from_numpy(pixels.copy()).movedim(-1, 0)[None].float() / 255


def main() -> None:
    reader = argparse.ArgumentParser(description="Trains the model that the workflows bring.")
    reader.add_argument("--steps", type=int, default=4000)
    steps = reader.parse_args().steps
    spec = importlib.util.spec_from_file_location(NAME, ROOT / "__init__.py")
    assert spec is not None and spec.loader is not None
    sys.modules[NAME] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    from internal_methods.methods.diffusion import train
    from internal_methods.storage.models import save_model

    holes = [read(f"brick_{name}.png", "L") for name in ("hole", "cracks")]
    model = train(read("brick.png", "RGB"), torch.maximum(*holes), steps=steps)
    save_model(INPUTS / "brick.safetensors", model)


if __name__ == "__main__":
    main()
