"""Draws the example pictures and clips that are not photographs, into workflows/inputs/, and makes
the views of the one photograph that the workflows need.

    python workflows/draw_inputs.py

Everything is computed from fixed seeds; the pictures are in the public domain (CC0).
"""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

INPUTS = Path(__file__).parent / "inputs"


def noise(rng: np.random.Generator, height: int, width: int, cells: float) -> np.ndarray:
    """Smooth periodic noise in [0, 1], with `cells` hills along the width."""
    spectrum = np.fft.rfft2(rng.standard_normal((height, width)))
    y = np.fft.fftfreq(height)[:, None] * height
    x = np.fft.rfftfreq(width)[None] * width
    aspect = width / height
    distance = np.sqrt((y * aspect) ** 2 + x**2)
    field = np.fft.irfft2(spectrum * np.exp(-((distance / cells) ** 2)), (height, width))
    return (field - field.min()) / (field.max() - field.min())


def fractal(rng: np.random.Generator, height: int, width: int, cells: float) -> np.ndarray:
    """Several octaves of noise, in [0, 1]."""
    total = sum(noise(rng, height, width, cells * 2**i) / 1.7**i for i in range(6))
    return (total - total.min()) / (total.max() - total.min())


def mix(a, b, share: np.ndarray) -> np.ndarray:
    """From colour (or picture) a to b."""
    share = np.clip(share, 0, 1)[..., None]
    return np.asarray(a, float) * (1 - share) + np.asarray(b, float) * share


def grid(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[0:height, 0:width].astype(float) + 0.5
    return y, x


def save(name: str, picture: np.ndarray) -> None:
    pixels = np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)
    Image.fromarray(pixels).save(INPUTS / name, optimize=True)


def shrink(picture: np.ndarray, by: int = 2) -> np.ndarray:
    """Box-filtered to 1 / by: smooths the edges of what was drawn larger."""
    height, width = (side // by for side in picture.shape[:2])
    return picture.reshape(height, by, width, by, -1).mean((1, 3))


def sky(rng, height: int, width: int) -> np.ndarray:
    y, _ = grid(height, width)
    clear = mix((0.26, 0.5, 0.83), (0.72, 0.85, 0.95), y / height)
    clouds = fractal(rng, height, width, 3)
    return mix(clear, (0.98, 0.97, 0.95), (clouds - 0.52) * 4)


BALLOONS = [(0.86, 0.16, 0.16), (0.95, 0.75, 0.1), (0.13, 0.55, 0.3), (0.15, 0.3, 0.75)]


def balloon(picture: np.ndarray, y0: float, x0: float, radius: float, colour) -> np.ndarray:
    """A hot-air balloon with stripes, lit from the upper left."""
    y, x = grid(*picture.shape[:2])
    v, u = (y - y0) / radius, (x - x0) / radius
    width = np.where(v < 0, 1.0, np.clip(1 - 0.55 * v**2, 0.1, 1))
    inside = (v > -1) & (v < 1.15) & (u**2 / width**2 + np.where(v < 0, v, v / 1.3) ** 2 < 1)
    depth = np.sqrt(np.clip(1 - (u / width) ** 2 - np.clip(v, -1, 1) ** 2 * 0.9, 0, 1))
    light = np.clip(0.45 + 0.5 * depth - 0.28 * u - 0.22 * v, 0.2, 1.25)
    stripe = np.floor((np.arcsin(np.clip(u / width, -1, 1)) / np.pi + 0.5) * 8) % 2
    envelope = mix(colour, (0.97, 0.94, 0.86), stripe * 0.85) * light[..., None]
    picture = np.where(inside[..., None], envelope, picture)
    ropes = (v >= 1.1) & (v < 1.45) & (np.abs(np.abs(u) - 0.16) < 0.025)
    basket = (v >= 1.42) & (v < 1.72) & (np.abs(u) < 0.2)
    picture = np.where(ropes[..., None], (0.25, 0.2, 0.15), picture)
    weave = 0.4 + 0.12 * np.sin(y * 1.9) * np.sin(x * 1.9)
    return np.where(basket[..., None], weave[..., None] * (1.1, 0.75, 0.45), picture)


def balloons() -> np.ndarray:
    """Hot-air balloons in a summer sky, 384x256."""
    rng = np.random.default_rng(4)
    picture = sky(rng, 512, 768)
    places = [
        (120, 130, 62), (300, 90, 40), (90, 330, 36), (250, 260, 78), (395, 420, 46),
        (130, 520, 54), (310, 590, 66), (90, 690, 42), (400, 180, 34), (410, 705, 38),
    ]  # fmt: skip
    for index, (y, x, radius) in enumerate(sorted(places, key=lambda place: place[2])):
        picture = balloon(picture, y, x, radius, BALLOONS[index % len(BALLOONS)])
    return shrink(picture)


def ridge(rng, width: int, base: float, rise: float, cells: float) -> np.ndarray:
    """The height of a mountain's edge over each column, in pixels from the top."""
    line = fractal(rng, 4, width, cells)[1]
    return base - rise * (line - line.mean()) * 2


def tree(picture: np.ndarray, rng, y0: float, x0: float, size: float) -> np.ndarray:
    """A fir: rows of branches that widen towards the foot."""
    y, x = grid(*picture.shape[:2])
    v = (y - y0) / size + 1  # 0 at the top, 1 at the foot
    reach = 0.3 * v * (0.62 + 0.38 * ((v * 6) % 1))
    u = (x - x0) / size
    inside = (v > 0) & (v < 1) & (np.abs(u) < reach)
    trunk = (v >= 1) & (v < 1.12) & (np.abs(u) < 0.04)
    shade = 0.5 + 0.5 * noise(rng, *picture.shape[:2], 160) - 1.1 * u
    needles = mix((0.04, 0.14, 0.09), (0.22, 0.42, 0.2), shade)
    picture = np.where(inside[..., None], needles, picture)
    return np.where(trunk[..., None], (0.22, 0.15, 0.1), picture)


def meadow(rng, height: int, width: int) -> np.ndarray:
    """Grass with flowers; both get larger towards the viewer."""
    y, _ = grid(height, width)
    blades = fractal(rng, height, width, 60) * 0.7 + noise(rng, height, width, 150) * 0.5
    grass = mix((0.12, 0.27, 0.07), (0.55, 0.68, 0.23), blades * 0.95 - 0.05)
    colours = [(0.97, 0.95, 0.9), (0.95, 0.8, 0.15), (0.8, 0.2, 0.25)]
    for _ in range(240):
        depth = rng.uniform(0, 1) ** 0.8
        cy, cx = (0.62 + 0.38 * depth) * height, rng.uniform(0, width)
        radius = 1.6 + 4.2 * depth
        rows = slice(max(int(cy - radius), 0), min(int(cy + radius) + 2, height))
        columns = slice(max(int(cx - radius), 0), min(int(cx + radius) + 2, width))
        box, (py, px) = (rows, columns), np.mgrid[rows, columns].astype(float)
        petals = np.hypot(py - cy, px - cx) < radius
        heart = np.hypot(py - cy, px - cx) < 0.4 * radius
        colour = np.array(colours[rng.integers(3)]) * rng.uniform(0.85, 1.05)
        grass[box] = np.where(petals[..., None], colour, grass[box])
        grass[box] = np.where(heart[..., None], colour * 0.62, grass[box])
    return grass


def hills(smooth: int = 2) -> np.ndarray:
    """Mountains, firs and a flowering meadow under clouds, 704x480 / smooth."""
    rng = np.random.default_rng(8)
    height, width = 480, 704
    picture = sky(rng, height, width)
    y, _ = grid(height, width)
    for base, rise, cells, low, high in (
        (0.5, 130, 3, (0.45, 0.53, 0.66), (0.66, 0.72, 0.8)),
        (0.56, 80, 5, (0.24, 0.36, 0.42), (0.42, 0.53, 0.55)),
    ):
        edge = ridge(rng, width, base * height, rise, cells)
        rock = mix(low, high, fractal(rng, height, width, 18) * 1.5 - 0.3)
        snow = np.clip((edge[None] + 46 - y) / 30 + noise(rng, height, width, 60) - 0.5, 0, 1)
        rock = mix(rock, (0.93, 0.95, 0.98), snow * (rise > 100) * (edge < 0.42 * height)[None])
        picture = np.where((y > edge[None])[..., None], rock, picture)
    edge = ridge(rng, width, 0.62 * height, 9, 4)
    picture = np.where((y > edge[None])[..., None], meadow(rng, height, width), picture)
    for x0 in np.sort(rng.uniform(0, width, 26)):
        size = rng.uniform(40, 92)
        picture = tree(picture, rng, edge[int(x0) % width] + rng.uniform(2, 26), x0, size)
    return shrink(picture, smooth)


def painted_hills() -> np.ndarray:
    """A child's layout in the colours of `hills`: what a user might paint in a minute."""
    height, width = 480, 768
    y, x = grid(height, width)
    picture = mix((0.28, 0.52, 0.84), (0.62, 0.78, 0.93), y / (0.6 * height))
    cloud = ((x - 590) / 120) ** 2 + ((y - 90) / 46) ** 2 < 1
    picture = np.where(cloud[..., None], (0.97, 0.96, 0.94), picture)
    for peak, snow in ((130, 46), (300, 46)):
        top = 150 + np.abs(x - peak) * 0.55
        picture = np.where((y > top)[..., None], (0.93, 0.95, 0.98), picture)
        picture = np.where((y > np.maximum(top, 150) + snow)[..., None], (0.5, 0.57, 0.66), picture)
    land = 330 - 90 / (1 + np.exp(-(x - 520) / 45))  # a hill on the right
    picture = np.where((y > land)[..., None], (0.36, 0.5, 0.18), picture)
    for foot in (60, 110, 360, 410, 600, 650, 700):
        ground = land[0, foot] + 12
        fir = (y > ground - 80) & (y < ground) & (np.abs(x - foot) < (y - ground + 80) * 0.27)
        picture = np.where(fir[..., None], (0.1, 0.27, 0.14), picture)
    rng = np.random.default_rng(2)
    for _ in range(60):
        cy, cx = rng.uniform(380, 470), rng.uniform(0, width)
        dot = np.hypot(y - cy, x - cx) < 5
        colour = [(0.95, 0.93, 0.88), (0.93, 0.78, 0.15), (0.78, 0.2, 0.25)][rng.integers(3)]
        picture = np.where(dot[..., None], colour, picture)
    return shrink(picture)


def polygon(size: tuple[int, int], *corners: tuple[float, float]) -> np.ndarray:
    """1 inside the polygon of (x, y) corners, 0 outside, (H, W)."""
    drawn = Image.new("L", (size[1], size[0]))
    ImageDraw.Draw(drawn).polygon(corners, fill=255)
    return np.asarray(drawn) / 255.0


def grown(mask: np.ndarray, by: int) -> np.ndarray:
    """A bool mask with a margin of `by` pixels."""
    steps, (height, width) = range(2 * by + 1), mask.shape
    wide = np.pad(mask, by)
    return np.logical_or.reduce([wide[y : y + height, x : x + width] for y in steps for x in steps])


def landed_balloon() -> tuple[np.ndarray, np.ndarray]:
    """`hills` with a hot-air balloon before mountains, firs and meadow, and the balloon's mask."""
    empty = hills(smooth=1)
    filled = balloon(empty, 240, 380, 74, BALLOONS[0])
    mask = np.abs(filled - empty).sum(-1) > 0
    return shrink(filled), grown(shrink(mask[..., None].astype(float))[..., 0] > 0, 3)


def pasted_firs() -> tuple[np.ndarray, np.ndarray]:
    """`hills` with paper firs stuck on it, and the mask of the firs."""
    picture = hills()
    size = picture.shape[:2]
    mask = np.zeros(size, bool)
    for x, foot, tall in (
        (62, 196, 44),
        (90, 204, 50),
        (36, 204, 40),
        (236, 204, 54),
        (272, 198, 42),
    ):
        reach = tall * 0.3
        mask |= polygon(size, (x, foot - tall), (x + reach, foot), (x - reach, foot)) > 0
    picture = np.where(mask[..., None], (0.11, 0.28, 0.15), picture)
    return picture, grown(mask, 4)


def cobbles() -> dict[str, np.ndarray]:
    """Cobblestones as a material of 256x256: albedo, normal and roughness from one height map."""
    size, rng = 512, np.random.default_rng(11)
    y, x = grid(size, size)
    warp = [(noise(rng, size, size, 12) - 0.5) * 14 for _ in range(2)]
    rows, columns = 9, 9
    step_y, step_x = size / rows, size / columns
    nearest = np.full((2, size, size), np.inf)
    stone = np.zeros((size, size), int)
    for row in range(-1, rows + 1):
        for column in range(-1, columns + 1):
            shift = 0.5 * (row % 2)
            jitter = rng.uniform(-0.17, 0.17, 2)
            cy = (row + 0.5 + jitter[0]) * step_y
            cx = (column + 0.5 + shift + jitter[1]) * step_x
            far = np.maximum(abs(y + warp[0] - cy) / step_y, abs(x + warp[1] - cx) / step_x)
            far += 0.3 * np.hypot((y + warp[0] - cy) / step_y, (x + warp[1] - cx) / step_x)
            closer = far < nearest[0]
            nearest[1] = np.where(closer, nearest[0], np.minimum(nearest[1], far))
            nearest[0] = np.where(closer, far, nearest[0])
            stone = np.where(closer, (row + 1) * 100 + column + 1, stone)
    edge = np.clip((nearest[1] - nearest[0]) * 3.2, 0, 1)
    grain = fractal(rng, size, size, 30)
    height = np.sqrt(edge) * (0.8 + 0.35 * grain) + 0.1 * grain
    tint = rng.uniform(0, 1, (stone.max() + 1, 2))[stone]
    slate = mix((0.42, 0.43, 0.47), (0.55, 0.46, 0.38), tint[..., 0])
    slate = slate * (0.95 + 0.3 * tint[..., 1:] + 0.3 * (grain[..., None] - 0.5))
    moss = mix((0.05, 0.05, 0.04), (0.13, 0.19, 0.06), fractal(rng, size, size, 8) * 1.4)
    joint = 1 - np.clip(edge * 1.7, 0, 1)
    slope_y, slope_x = np.gradient(height * 9)
    normal = np.stack([-slope_x, slope_y, np.ones_like(height)], -1)  # OpenGL: y points up
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    roughness = 0.35 + 0.3 * grain + 0.45 * joint
    return {
        "albedo": shrink(mix(slate, moss, joint)),
        "normal": shrink(normal * 0.5 + 0.5),
        "roughness": shrink(np.repeat(roughness[..., None], 3, 2)),
    }


def smoothed(picture: np.ndarray, reach: int = 2) -> np.ndarray:
    """The mean over the pixels within `reach`, in a square."""
    height, width = picture.shape[:2]
    wide = np.pad(picture, ((reach, reach), (reach, reach), (0, 0)), mode="edge")
    steps = range(2 * reach + 1)
    return np.mean([wide[dy:, dx:][:height, :width] for dy in steps for dx in steps], 0)


def flight(seed: int) -> np.ndarray:
    """A few balloons in a sky of their own, 96x96."""
    rng = np.random.default_rng(seed)
    picture = sky(rng, 192, 192)
    for x in rng.permutation(3)[: rng.integers(2, 4)]:
        y, radius = rng.uniform(45, 120), rng.uniform(18, 36)
        picture = balloon(picture, y, 34 + 62 * x, radius, BALLOONS[rng.integers(len(BALLOONS))])
    return shrink(picture)


def sets_of_flights(count: int = 8) -> dict[str, list[np.ndarray]]:
    """Three sets alike in what they show: to compare with, others, and those without detail."""
    drawn = [flight(30 + index) for index in range(2 * count)]
    others = drawn[count:]
    return {
        "flights": drawn[:count],
        "flights_sharp": others,
        "flights_smooth": [smoothed(picture) for picture in others],
    }


def pond(frames: int = 16) -> tuple[np.ndarray, np.ndarray]:
    """Ripples that run over a pond, with film grain, (T, 128, 192, 3), and a mask."""
    height, width, rng = 256, 384, np.random.default_rng(21)
    y, _ = grid(height, width)
    depth = 0.35 + y / height  # ripples look larger towards the viewer
    waves = [noise(rng, height, width, cells) for cells in (9, 15, 24)]
    steps = [(2, 1), (1, -3), (-1, 2)]  # pixels that each moves by between two frames
    clip = []
    for t in range(frames):
        surface = sum(
            np.roll(wave, (dy * t, dx * t), (0, 1)) * size
            for wave, (dy, dx), size in zip(waves, steps, (1.0, 0.7, 0.45), strict=True)
        )
        slope = np.gradient(surface, axis=0) * 34 * depth
        water = mix((0.07, 0.16, 0.19), (0.7, 0.8, 0.84), 0.42 + 0.5 * slope - 0.12 * y / height)
        grain = 0.025 * rng.standard_normal((height // 2, width // 2, 1))
        clip.append(shrink(water) + grain)
    y, x = grid(height // 2, width // 2)
    return np.stack(clip), np.hypot((y - 70) / 26, (x - 98) / 34) < 1


def small_cup() -> np.ndarray:
    """The cup of the photograph, reduced to half its size: 120 x 180 pixels to enlarge again."""
    photograph = Image.open(INPUTS / "coffee.png").convert("RGB")
    half = photograph.resize((300, 200), Image.Resampling.BICUBIC)
    return np.asarray(half.crop((60, 20, 240, 140))) / 255.0


def moved_camera() -> np.ndarray:
    """Part of the photograph as from a camera a step nearer, turned, in a little less light."""
    photograph = Image.open(INPUTS / "coffee.png").convert("RGB")
    turn, zoom, (width, height) = np.radians(7), 1.12, (320, 256)
    cos, sin = np.cos(turn) / zoom, np.sin(turn) / zoom
    x, y = 300 - (cos * width - sin * height) / 2, 190 - (sin * width + cos * height) / 2
    view = photograph.transform(
        (width, height),
        Image.Transform.AFFINE,
        (cos, -sin, x, sin, cos, y),
        Image.Resampling.BICUBIC,
    )
    return np.asarray(view) / 255.0 * (0.93, 0.92, 0.9)


def stain(side: int, centre: tuple[float, float], radius: float, seed: int) -> np.ndarray:
    """A round patch with an uneven edge, True inside."""
    y, x = grid(side, side)
    y, x = y - centre[0], x - centre[1]
    angle, waves = np.arctan2(y, x), np.random.default_rng(seed).normal(0, 0.03, (2, 5))
    edge = 1 + sum(
        a * np.cos(n * angle) + b * np.sin(n * angle) for n, (a, b) in enumerate(waves.T, 2)
    )
    return np.hypot(y, x) < radius * edge


def cracks(side: int, seed: int) -> np.ndarray:
    """Two long strokes that wander, True inside."""
    rng, mask = np.random.default_rng(seed), Image.new("L", (side, side))
    draw = ImageDraw.Draw(mask)
    for start in (0.25, 0.6):
        steps = rng.normal(0, side / 40, 60).cumsum() * 0.6
        path = [(start * side + step, 0.2 * side + n * side / 100) for n, step in enumerate(steps)]
        draw.line(path, fill=255, width=18, joint="curve")
    return np.asarray(mask) > 0


def save_clip(name: str, clip: np.ndarray, rate: int, options: dict[str, str]) -> None:
    """H.264 as every player shows it, with libx264's options."""
    import av

    pixels = np.rint(np.clip(clip, 0, 1) * 255).astype(np.uint8)
    with av.open(str(INPUTS / name), "w") as container:
        stream = container.add_stream("libx264", rate=rate, options=options)
        stream.height, stream.width = pixels.shape[1:3]
        stream.pix_fmt = "yuv420p"
        for picture in pixels:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))


def main() -> None:
    INPUTS.mkdir(exist_ok=True)
    save("balloons.png", balloons())
    save("hills.png", hills())
    save("hills_painted.png", painted_hills())
    for name, (picture, mask) in {"pasted": pasted_firs(), "balloon": landed_balloon()}.items():
        save(f"hills_{name}.png", picture)
        save(f"hills_{name}_mask.png", mask[..., None].repeat(3, 2))
    for name, picture in cobbles().items():
        save(f"cobbles_{name}.png", picture)
    for name, pictures in sets_of_flights().items():
        (INPUTS / name).mkdir(exist_ok=True)
        for index, picture in enumerate(pictures):
            save(f"{name}/{index}.png", picture)
    save("cup_small.png", small_cup())
    save("coffee_moved.png", moved_camera())
    for name, mask in {"hole": stain(512, (262, 250), 54, 3), "cracks": cracks(512, 4)}.items():
        save(f"brick_{name}.png", mask[..., None].repeat(3, 2))
    clip, mask = pond()
    save_clip("pond.mp4", clip, 12, {"crf": "10", "tune": "grain"})
    save("pond_mask.png", mask[..., None].repeat(3, 2))


if __name__ == "__main__":
    main()
