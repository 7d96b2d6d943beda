"""What a saved model is worth as a start: trainings from the nearest one, a strange one and none.

    python benchmarks/diffusion_warm_start.py [--names brick gravel grass] [--steps 50 150 400]

Public textures of scikit-image, 512 x 512. A model is trained on the left half of each and saved.
Then a hole of 96 x 96 in 256 x 256 of each right half is learnt, in several numbers of steps:
from nothing, from the saved model that is nearest by its patches (`similar.py`; it has seen no
pixel of the right half), and from the one that is farthest. Told is the mean squared error of the
clean picture, predicted at ten noise levels, over the hole, which no training saw; and the
distances by which the models were chosen. About 25 minutes on 2 idle cores.
"""

import argparse
import time
from pathlib import Path

import skimage.data
import torch
from measure import load, report

from internal_methods.methods.diffusion import TrainedModel, TrainingSettings, train
from internal_methods.methods.diffusion.schedule import Schedule
from internal_methods.methods.diffusion.similar import descriptor, distance, nearest

SIDE, HOLE = 256, 96
LEVELS = range(50, 1000, 100)


def hole() -> torch.Tensor:
    mask = torch.zeros(1, 1, SIDE, SIDE)
    first = (SIDE - HOLE) // 2
    mask[..., first : first + HOLE, first : first + HOLE] = 1
    return mask


def error(model: TrainedModel, image: torch.Tensor, mask: torch.Tensor) -> float:
    """Of what the model predicts where the mask is, which it never saw, in values of [0, 1]."""
    schedule, clean = Schedule(), model.scale.scaled(image)
    denoise, errors = model.denoiser(clean, mask, "cpu"), []
    for t in LEVELS:
        noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(t))
        predicted = denoise(schedule.noised(clean, t, noise), t).clamp(-1, 1)
        wrong = (model.scale.unscaled(predicted) - image)[mask.expand_as(image) > 0]
        errors.append(float(wrong.square().mean()))
    return sum(errors) / len(errors)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--names", nargs="+", default=["brick", "gravel", "grass"])
    parser.add_argument("--steps", nargs="+", type=int, default=[50, 150, 400])
    parser.add_argument("--saved", type=int, default=600, help="steps of the saved models")
    options = parser.parse_args()
    folder = Path(skimage.data.__file__).parent
    pictures = {name: load(folder / f"{name}.png") for name in options.names}
    mask, settings, results = hole(), TrainingSettings(), {}
    saved = {
        name: train(picture[..., :SIDE].contiguous(), training=settings, steps=options.saved)
        for name, picture in pictures.items()
    }
    known = [(name, model.provenance["descriptor"]) for name, model in saved.items()]
    for name, picture in pictures.items():
        image = picture[..., SIDE : 2 * SIDE, SIDE : 2 * SIDE].contiguous()
        told = descriptor(image, mask)
        apart = {other: round(distance(told, values), 3) for other, values in known}
        near, far = nearest(told, known)[0], max(apart, key=apart.get)
        row = {"distances": apart, "nearest": near, "untrained on it": {}}
        row["untrained on it"] = {n: error(saved[n], image, mask) for n in (near, far)}
        for start in (None, near, far):
            for steps in options.steps:
                began = time.perf_counter()
                model = train(
                    image,
                    mask,
                    training=settings,
                    steps=steps,
                    start=None if start is None else saved[start],
                )
                cell = {"error": error(model, image, mask), "s": time.perf_counter() - began}
                row.setdefault(start or "from nothing", {})[steps] = cell
        results[name] = row
    report("diffusion_warm_start", {"saved_steps": options.saved, "textures": results})


if __name__ == "__main__":
    main()
