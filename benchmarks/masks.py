"""Speed of the mask generators: 1,000 masks of 256 x 256 each, for clips 1,000 frames.

python benchmarks/masks.py
"""

from measure import report, timed

from internal_methods.methods.masks import KINDS, box_masks, brush_masks, large_masks
from internal_methods.methods.moving_masks import moving_masks

SIZE, COUNT = (256, 256), 1000


def main() -> None:
    generators = {
        "brush": lambda: brush_masks(SIZE, count=COUNT),
        "box": lambda: box_masks(SIZE, (128, 128), place="random", count=COUNT),
        "moving, 20 clips of 50 frames": lambda: moving_masks(SIZE, 50, count=COUNT // 50),
        "moving, 1000 clips of 1 frame": lambda: moving_masks(SIZE, 1, count=COUNT),
    }
    for kind in KINDS:
        generators[f"large, {kind}"] = lambda kind=kind: large_masks(SIZE, kind, count=COUNT)
    report("masks", {name: timed(draw, repeats=3) for name, draw in generators.items()})


if __name__ == "__main__":
    main()
