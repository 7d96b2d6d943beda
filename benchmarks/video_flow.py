"""Filling along the motion, and holding clips still, where the truth is known.

Three kinds of clips of 432 x 240, 30 frames: a large picture under a camera of known motion; real
clips under a moving camera, whose objects are masked too; textures that never repeat. In each a
shape of 60 x 90 pixels is hidden that moves by about 4 pixels per frame. Rows: PSNR inside it where
something was found, and over all of it; the same by ranges of confidence; for comparison the
nearest frame that shows the same pixel, without any motion; seconds of the processor per frame.
For the known cameras also the greatest error of a corner and the PSNR of a clip that was stabilised
and brought back. About 5 minutes.

python benchmarks/video_flow.py --data ../shared/data [--pictures FOLDER]
"""

import argparse
import math
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from measure import load, report, save
from torch import Tensor

from internal_methods.methods.moving_masks import Motion, moving_masks
from internal_methods.methods.video import flow_fill, stabilize, unstabilize
from internal_methods.methods.video.transforms import corners, moved_points
from internal_methods.storage import clips

SIZE, FRAMES = (240, 432), 30
RANGES = (0.0, 0.2, 0.5, 0.8, 1.01)
CAMERAS = {
    "pan": {"pan": (3.3, 0.7)},
    "hand": {"pan": (2.3, 0.7), "turn": 0.2, "zoom": 0.003},
    "pan, grain": {"pan": (3.3, 0.7), "grain": 0.02},
    "pan, fade": {"pan": (3.3, 0.7), "fade": 0.2},
}
OBJECTS = ("bmx-trees", "parkour", "tennis")
TEXTURES = {
    "fire": "dynamic_textures/fire_pot_60f.avi",
    "boiling water": "dynamic_textures/dyntex/boiling_water_100f.avi",
    "fountain": "dynamic_textures/dyntex/fountain_100f.avi",
    "sea": "dynamic_textures/tesfaldet/water_3",
    "flag": "dynamic_textures/tesfaldet/flag_2",
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--pictures", type=Path)
    options = parser.parse_args()
    results: dict = {"frames": FRAMES, "size": SIZE, "threads": torch.get_num_threads()}
    for name, file in (
        ("palace", "textures/large/palace_1600x1200.jpg"),
        ("hats", "natural/kodim03.png"),
    ):
        for camera, way in CAMERAS.items():
            clip, matrices = filmed(load(options.data / file), **way)
            row = filled(f"{name}, {camera}", clip, torch.zeros_like(clip[:, :1]), options.pictures)
            results[f"{name}, {camera}"] = row | held(clip, matrices)
    for name in OBJECTS:
        folder = options.data / "video" / name
        clip, objects = frames(folder / "frames"), frames(folder / "masks")[:, :1]
        results[name] = filled(name, clip, grown((objects > 0).float()), options.pictures)
    for name, file in TEXTURES.items():
        clip = frames(options.data / file)
        results[name] = filled(name, clip, torch.zeros_like(clip[:, :1]), options.pictures)
    report("video_flow", results)


def frames(path: Path) -> Tensor:
    """(1, C, T, H, W), at most of SIZE and FRAMES."""
    read = clips.read(path)[0][:FRAMES]
    if read.shape[1] > SIZE[0]:
        read = [cv2.resize(frame, SIZE[::-1], interpolation=cv2.INTER_AREA) for frame in read]
    return torch.from_numpy(np.stack(read)).permute(3, 0, 1, 2)[None].contiguous()


def grown(objects: Tensor) -> Tensor:
    flat = objects[0].transpose(0, 1)
    return torch.nn.functional.max_pool2d(flat, 9, 1, 4).transpose(0, 1)[None]


def filmed(
    picture: Tensor,
    *,
    pan: tuple[float, float],
    turn: float = 0.0,
    zoom: float = 0.0,
    grain: float = 0.0,
    fade: float = 0.0,
) -> tuple[Tensor, np.ndarray]:
    """The picture under a camera, per frame: pan in pixels, turn in degrees, zoom; grain is a
    deviation, fade how much darker the last frame is. With the matrices from frame to picture."""
    scene, (height, width) = picture[0].permute(1, 2, 0).numpy(), picture.shape[2:]
    draw, taken, matrices = np.random.default_rng(0), [], []
    middle = np.array([[1, 0, -(SIZE[1] - 1) / 2], [0, 1, -(SIZE[0] - 1) / 2], [0, 0, 1]])
    for t in np.arange(FRAMES) - (FRAMES - 1) / 2:
        angle, scale = math.radians(turn * t), math.exp(zoom * t)
        cos, sin = scale * math.cos(angle), scale * math.sin(angle)
        x, y = width / 2 + pan[0] * t, height / 2 + pan[1] * t
        matrices.append(np.array([[cos, -sin, x], [sin, cos, y], [0, 0, 1]]) @ middle)
        flags = cv2.INTER_LANCZOS4 | cv2.WARP_INVERSE_MAP
        frame = cv2.warpPerspective(scene, matrices[-1], SIZE[::-1], flags=flags)
        frame = frame * (1 - fade * (t / (FRAMES - 1) + 0.5))
        taken.append((frame + grain * draw.normal(size=frame.shape)).clip(0, 1))
    clip = torch.from_numpy(np.stack(taken)).permute(3, 0, 1, 2)[None].float()
    return clip.contiguous(), np.stack(matrices)


def filled(name: str, clip: Tensor, objects: Tensor, pictures: Path | None) -> dict:
    """Hides a moving shape besides the objects, and fills both."""
    size, count = (clip.shape[3], clip.shape[4]), clip.shape[2]
    like = Motion((90, 90), (60, 60), (4, 4), acceleration=0.5, turn=0.1, bounce=4)
    hidden = moving_masks(size, count, motion="moving", like=like, seed=1)
    mask = torch.maximum(hidden, objects)
    bad = torch.where(hidden > 0, torch.tensor([1.0, 0.0, 1.0]).view(1, 3, 1, 1, 1), clip)
    asked = (hidden > 0) & (objects == 0)
    begin, wall = time.process_time(), time.perf_counter()
    result, left, confidence = flow_fill(bad, mask)
    seconds = (time.process_time() - begin) / count, (time.perf_counter() - wall) / count
    found = asked & (left == 0)
    row = {
        "psnr_found": psnr(result, clip, found),
        "psnr": psnr(result, clip, asked),
        "psnr_without_motion": psnr(without_motion(clip, mask), clip, asked),
        "left": float(left[asked].mean()),
        "confidence": float(confidence[asked].mean()),
        "processor_seconds_per_frame": seconds[0],
        "seconds_per_frame": seconds[1],
    }
    for low, high in zip(RANGES[:-1], RANGES[1:], strict=True):
        among = found & (confidence >= low) & (confidence < high)
        row[f"confidence {low:g} to {min(high, 1):g}"] = {
            "share": float(among.sum() / found.sum()),
            "psnr": psnr(result, clip, among),
        }
    if pictures is not None:
        t = count // 2
        error = (5 * (result - clip).abs() * asked)[:, :, t]
        sure = confidence[:, :, t].expand_as(error)
        save(pictures / f"{name}.png", bad[:, :, t], result[:, :, t], error, sure)
    return row


def held(clip: Tensor, matrices: np.ndarray) -> dict:
    """How well the known motion is found, and what the way to the canvas and back costs."""
    result = stabilize(clip)
    back = unstabilize(result.clip, result.transforms, clip, torch.ones_like(clip[:, :1, :1]))
    places, reference = corners(SIZE), result.transforms.reference
    found = result.transforms.matrices.numpy()
    misses = [
        np.abs(
            moved_points(np.linalg.inv(found[reference]) @ one, places)
            - moved_points(np.linalg.inv(matrices[reference]) @ true, places)
        ).max()
        for one, true in zip(found, matrices, strict=True)
    ]
    everywhere = torch.ones_like(clip[:, :1], dtype=torch.bool)
    return {
        "corner_error": float(max(misses)),
        "psnr_of_the_way_back": psnr(back, clip, everywhere),
    }


def without_motion(clip: Tensor, mask: Tensor) -> Tensor:
    """Every hole pixel from the nearest frame that shows it at the same place."""
    result, open_ = clip.clone(), mask > 0
    result[open_.expand_as(clip)] = 0.5
    for away in range(1, clip.shape[2]):
        for way in (away, -away):
            there = torch.roll(mask, way, 2) == 0
            if way > 0:  # what comes round from the other end does not count
                there[:, :, :way] = False
            if way < 0:
                there[:, :, way:] = False
            take = open_ & there
            result = torch.where(take, torch.roll(clip, way, 2), result)
            open_ = open_ & ~take
    return result


def psnr(result: Tensor, truth: Tensor, where: Tensor) -> float:
    if not where.any():
        return math.nan
    errors = (result - truth)[where.expand_as(truth)].double()
    return float(-10 * torch.log10(errors.square().mean()))


if __name__ == "__main__":
    main()
