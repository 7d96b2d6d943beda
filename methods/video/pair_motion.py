"""How the background moves from one frame to the next, inside the hole as well.

First the camera's matrix, then what it leaves: dense optical flow (DIS, Kroeger et al. 2016)
between a frame and the next one brought onto it. The flow counts where colours fit clearly better
along it: on what stands still it is never quite 0, and over many frames that adds up. What is in
the holes is covered by the same smooth surface in both, so that it does not pull; the flow there is
completed from around: a robust affine motion, and the smoothly continued difference from it.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from .smooth_fill import smooth_fill
from .transforms import moved_points

CELL = 4  # pixels; the flow is kept as its means over squares
REACH = 6  # pixels around a hole where the flow of its contents may leak
NEAR = 12.0  # cells; how far around the hole the affine motion looks
ROUNDS = 5  # of reweighting the affine fit
AROUND = 3  # cells to each side over which the camera alone is compared with the flow
GAIN = 0.7  # of the squared difference that the flow has to leave at most, or the camera is right
SMALL = 0.1  # pixels; differences from the affine motion from which a cell counts less


@dataclass(frozen=True)
class PairMotion:
    """From frame t to t + 1. Maps are of squares of CELL pixels, (h, w, 2) in pixels (x, y).

    matrix: (3, 3), the camera's, from t to t + 1. forward: what is added before it on the way to
    t + 1; backward: what is added after its inverse, on the way to t.
    spread: (h, w), variance of the flow, in pixels squared, among the places it is continued from:
    0 where it was measured, large in a hole between something near and something far.
    trust: (h, w), share of pixels whose ways there and back agree, continued into the hole.
    change, change_after: (h, w), mean squared difference of colours between a place in t and in
    t + 1, laid out as frame t and as frame t + 1; weight, weight_after: how much of it was seen.
    """

    matrix: np.ndarray
    forward: np.ndarray
    backward: np.ndarray
    spread: np.ndarray
    trust: np.ndarray
    change: np.ndarray
    weight: np.ndarray
    change_after: np.ndarray
    weight_after: np.ndarray

    def onward(self, points: np.ndarray) -> np.ndarray:
        """Points (N, 2) float32 (x, y) of frame t, in frame t + 1."""
        return moved_points(self.matrix, points + read_cells(self.forward, points))

    def back(self, points: np.ndarray) -> np.ndarray:
        """Points of frame t + 1, in frame t."""
        near = moved_points(np.linalg.inv(self.matrix), points)
        return near + read_cells(self.backward, near)


@dataclass(frozen=True)
class Frame:
    """planes: (C, H, W) float32. grey: (H, W) uint8. hidden: (H, W) uint8, 255 where nothing may be
    seen."""

    planes: np.ndarray
    grey: np.ndarray
    hidden: np.ndarray


def pair_motion(
    search: Any, now: Frame, then: Frame, matrix: np.ndarray, consistency: float
) -> PairMotion:
    """The motion from a frame to the next one.

    search: OpenCV's, of flow. matrix: the camera's. consistency: pixels by which a way there and
    back may miss its start.
    """
    import cv2

    height, width = now.grey.shape
    size, inverse = (width, height), cv2.WARP_INVERSE_MAP
    brought = cv2.warpPerspective(
        then.grey, matrix, size, flags=cv2.INTER_CUBIC | inverse, borderMode=cv2.BORDER_REPLICATE
    )
    hidden = cv2.warpPerspective(
        then.hidden, matrix, size, flags=cv2.INTER_LINEAR | inverse, borderValue=255
    )
    hidden = cv2.dilate(np.maximum(hidden, now.hidden), np.ones((5, 5), np.uint8)) > 0
    calm = [_covered(grey, hidden) for grey in (now.grey, brought)]
    forward, backward = search.calc(*calm, None), search.calc(*calm[::-1], None)
    rim = np.ones((2 * REACH + 1,) * 2, np.uint8)
    known = cv2.dilate(hidden.astype(np.uint8), rim) == 0
    y, x = np.mgrid[:height, :width].astype(np.float32)
    there = x + forward[..., 0], y + forward[..., 1]
    home = cv2.remap(
        backward, there[0], there[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    apart = np.linalg.norm(forward + home, axis=2)
    length = np.linalg.norm(forward, axis=2)
    agree = known & (apart < consistency + 0.05 * length)
    weight = cell_means(agree.astype(np.float32)[..., None])[..., 0]
    forward, backward = (cell_means(flow, agree) for flow in (forward, backward))
    seen = cell_means(known.astype(np.float32)[..., None])[..., 0]
    still = _change(now.planes, then.planes, known, matrix, np.zeros_like(forward))
    along = _change(now.planes, then.planes, known, matrix, smooth_fill(forward, weight))
    box = (2 * AROUND + 1,) * 2
    moves = cv2.blur(along * seen, box) < GAIN * cv2.blur(still * seen, box)
    change = np.where(moves, along, still)
    sure = np.where(moves, cell_means(agree.astype(np.float32)[..., None], known)[..., 0], 1.0)
    trust = smooth_fill(sure.astype(np.float32)[..., None], seen)[..., 0]
    weight = np.where(moves, weight, seen)
    forward, spread = _completed(forward * moves[..., None], weight, hidden)
    backward, _ = _completed(backward * moves[..., None], weight, hidden)
    shrunk = np.diag([1 / CELL, 1 / CELL, 1.0]) @ _at_cells(matrix) @ np.diag([CELL, CELL, 1.0])
    cells = (change.shape[1], change.shape[0])
    moved = cv2.warpPerspective(np.dstack([change * seen, seen]), shrunk, cells)
    after = moved[..., 0] / np.maximum(moved[..., 1], 1e-6)
    return PairMotion(matrix, forward, backward, spread, trust, change, seen, after, moved[..., 1])


def _at_cells(matrix: np.ndarray) -> np.ndarray:
    """A matrix of pixels for places counted from the middle of the first cell."""
    shift = np.eye(3)
    shift[:2, 2] = (CELL - 1) / 2
    return np.linalg.inv(shift) @ matrix @ shift


def _covered(grey: np.ndarray, hidden: np.ndarray) -> np.ndarray:
    """The frame with a smooth surface over what is hidden."""
    filled = smooth_fill(grey[..., None].astype(np.float32), (~hidden).astype(np.float32))
    return np.where(hidden, filled[..., 0].round().clip(0, 255).astype(np.uint8), grey)


def _completed(
    means: np.ndarray, weight: np.ndarray, hidden: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The flow's means over cells, carried on to where there is none to be trusted, and the
    variance of what it is carried on from."""
    import cv2

    if not weight.any():
        return np.zeros_like(means), np.zeros(means.shape[:2], np.float32)
    inside = cell_means(hidden.astype(np.float32)[..., None])[..., 0] > 0
    near = weight
    if inside.any():
        far = cv2.distanceTransform((~inside).astype(np.uint8), cv2.DIST_L2, 3)
        near = weight * np.exp(-far / NEAR)
    plane = _affine(means, near)
    rest = means - plane
    filled = smooth_fill(np.dstack([rest, (rest**2).sum(2)]), weight.astype(np.float32))
    spread = np.maximum(filled[..., 2] - (filled[..., :2] ** 2).sum(2), 0)
    return plane + filled[..., :2], spread


def _affine(means: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """The affine motion that most cells obey, everywhere (Geman and McClure's weights)."""
    y, x = np.mgrid[: means.shape[0], : means.shape[1]].astype(np.float64)
    basis = np.stack([np.ones_like(x), x / x.shape[1], y / y.shape[0]], 2).reshape(-1, 3)
    values, base = means.reshape(-1, 2).astype(np.float64), weight.reshape(-1).astype(np.float64)
    used, scale = base, 1.0
    fitted = np.zeros_like(values)
    for _ in range(ROUNDS):
        system = (basis * used[:, None]).T @ basis
        system += 1e-6 * base.sum() * np.diag([0.0, 1.0, 1.0]) + 1e-12 * np.eye(3)
        fitted = basis @ np.linalg.solve(system, (basis * used[:, None]).T @ values)
        apart = np.linalg.norm(values - fitted, axis=1)
        used = base / (1 + (apart / scale) ** 2) ** 2
        scale = max(SMALL, scale / 2)
    return fitted.reshape(means.shape).astype(np.float32)


def _change(
    now: np.ndarray, then: np.ndarray, known: np.ndarray, matrix: np.ndarray, way: np.ndarray
) -> np.ndarray:
    """Mean squared difference over cells between a frame and the next one along the motion."""
    height, width = known.shape
    y, x = np.mgrid[:height, :width].astype(np.float32)
    points = np.stack([x.ravel(), y.ravel()], 1)
    there = moved_points(matrix, points + read_cells(way, points)).astype(np.float32)
    apart = np.zeros(known.shape, np.float32)
    for plane, values in zip(now, read(then, there, lanczos=True).T, strict=True):
        apart += (plane - values.reshape(known.shape)) ** 2
    return cell_means(apart[..., None] / len(now), known)[..., 0]


def cell_means(values: np.ndarray, where: np.ndarray | None = None) -> np.ndarray:
    """Means of (H, W, C) over squares of CELL pixels, of the pixels of `where` alone; else 0."""
    import cv2

    height, width, channels = values.shape
    cells = (-(-width // CELL), -(-height // CELL))
    weight = np.ones((height, width), np.float32) if where is None else where.astype(np.float32)
    mass = np.dstack([values * weight[..., None], weight])
    mass = cv2.copyMakeBorder(mass, 0, -height % CELL, 0, -width % CELL, cv2.BORDER_CONSTANT)
    mass = cv2.resize(mass, cells, interpolation=cv2.INTER_AREA).reshape(*cells[::-1], -1)
    return mass[..., :-1] / np.maximum(mass[..., -1:], 1e-6)


def read_cells(cells: np.ndarray, points: np.ndarray, side: int = CELL) -> np.ndarray:
    """(N, C) of a map (h, w, C) of squares of `side` pixels, at points (N, 2) (x, y) in pixels."""
    places = ((points - (side - 1) / 2) / side).astype(np.float32)
    return read(np.moveaxis(cells, 2, 0), places, lanczos=False)


def read(planes: np.ndarray, points: np.ndarray, *, lanczos: bool) -> np.ndarray:
    """(N, C) float32 of planes (C, H, W) at points (N, 2) (x, y): bilinear, or Lanczos over 8x8.

    Beyond the border is the edge.
    """
    import cv2

    count = len(points)
    if not count:
        return np.zeros((0, len(planes)), np.float32)
    rows = -(-count // 1024)  # OpenCV holds no more than 2^15 in a row
    grid = np.zeros((rows * 1024, 2), np.float32)
    grid[:count] = points.clip(-(2**14), 2**14)
    x, y = (np.ascontiguousarray(grid[:, axis]).reshape(rows, 1024) for axis in (0, 1))
    flags = cv2.INTER_LANCZOS4 if lanczos else cv2.INTER_LINEAR
    out = np.empty((count, len(planes)), np.float32)
    for channel, plane in enumerate(planes):
        plane = np.ascontiguousarray(plane, np.float32)
        values = cv2.remap(plane, x, y, flags, borderMode=cv2.BORDER_REPLICATE)
        out[:, channel] = values.ravel()[:count]
    return out
