"""The camera's motion: one matrix per frame, from features outside the mask.

Corners are followed from frame to frame (Shi and Tomasi 1994; Lucas and Kanade in pyramids, as
OpenCV has them), where that fails SIFT features are matched (Lowe 2004); RANSAC finds the matrix
that most of them obey. Chained, such matrices drift. So every frame, brought near by the chain, is
measured once more against a key frame, which changes only where too little of it is still seen.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from .transforms import corners, moved_points

SMALLEST_SIDE = 32  # pixels; on less there are no corners to follow
POINTS = 600  # corners that are followed
FEWEST = 12  # that have to obey a matrix
OBEY = 1.0  # pixels by which a point may miss the place the matrix says
RETURN = 0.7  # pixels by which a point followed there and back may miss its start
SHARE = 0.25  # of the followed points that have to obey
SCALE = 2.0  # more growth or shrinking between two frames than by this is not believed
OVERLAP = 0.5  # share of a key frame that has to be seen for it to stay one
SAME_POINTS = 0.4  # share of its corners that have to be found again
MARGIN = 7  # pixels around holes that hold no corners: what the windows of the search cover
MATCHED = 0.8  # SIFT: how much nearer the nearest has to be than the second nearest

Grey = Callable[[int], np.ndarray]  # frame -> (H, W) uint8


@dataclass
class Registration:
    """matrices: (T, 3, 3) float64, on (x, y, 1), from each frame to `reference`.

    fallback: frames whose motion could not be measured and is that of the frame before.
    """

    matrices: np.ndarray
    reference: int
    fallback: list[int] = field(default_factory=list)


@dataclass
class _Key:
    """A frame that others are measured against, with its corners and its matrix."""

    grey: np.ndarray
    holes: np.ndarray
    points: np.ndarray
    matrix: np.ndarray


def register(
    grey: Grey,
    holes: Grey,
    frames: int,
    model: str,
    *,
    reference: int | None = None,
    each: Callable[[int], None] = lambda done: None,
) -> Registration:
    """The matrices from all frames to one, by default the middle one.

    grey: gives a frame, (H, W) uint8. holes: likewise, above 0 where nothing is looked at.
    each: called with the number of frames done; may raise to interrupt.
    """
    reference = frames // 2 if reference is None else reference
    found = Registration(np.tile(np.eye(3), (frames, 1, 1)), reference)
    done = 1
    for order in (range(reference + 1, frames), range(reference - 1, -1, -1)):
        before = reference
        last, last_holes, step = grey(reference), _grown(holes(reference)), np.eye(3)
        key = _Key(last, last_holes, _corners(last, last_holes), found.matrices[reference])
        for t in order:
            each(done)
            now, now_holes = grey(t), _grown(holes(t))
            pair = _between(now, now_holes, last, last_holes, model)
            if pair is None:
                found.fallback.append(t)  # the motion goes on as before
            else:
                step = pair
            chained = found.matrices[before] @ step
            better = None if pair is None else _refined(key, now, now_holes, chained, model)
            if better is None and pair is not None and before != reference:
                key = _Key(last, last_holes, _corners(last, last_holes), found.matrices[before])
                better = _refined(key, now, now_holes, chained, model)
            matrix = chained if better is None else better
            found.matrices[t] = matrix / matrix[2, 2]
            before, last, last_holes, done = t, now, now_holes, done + 1
    found.fallback.sort()
    return found


def _grown(holes: np.ndarray) -> np.ndarray:
    import cv2

    return cv2.dilate((holes > 0).astype(np.uint8), np.ones((2 * MARGIN + 1,) * 2, np.uint8))


def _corners(grey: np.ndarray, holes: np.ndarray) -> np.ndarray:
    """(N, 2) float32 (x, y), spread over what is no hole."""
    import cv2

    apart = max(4, round(min(grey.shape) / 40))
    found = cv2.goodFeaturesToTrack(
        grey, POINTS, 0.003, apart, mask=(holes == 0).astype(np.uint8), blockSize=5
    )
    return np.zeros((0, 2), np.float32) if found is None else found.reshape(-1, 2)


def _between(
    now: np.ndarray, now_holes: np.ndarray, last: np.ndarray, last_holes: np.ndarray, model: str
) -> np.ndarray | None:
    """The matrix from one frame to the frame before, or None."""
    for pairs in (_followed, _matched):
        start, end = pairs(now, now_holes, last, last_holes)
        matrix = _fitted(start, end, model)
        if matrix is not None and _plausible(matrix, now.shape):
            return matrix
    return None


def _followed(
    now: np.ndarray,
    now_holes: np.ndarray,
    then: np.ndarray,
    then_holes: np.ndarray,
    points: np.ndarray | None = None,
    levels: int = 4,
) -> tuple[np.ndarray, np.ndarray]:
    """Corners of one frame and where they are in another, (N, 2) each."""
    import cv2

    start = _corners(now, now_holes) if points is None else points
    if len(start) == 0:
        return start, start
    window = (21, 21) if levels > 1 else (15, 15)
    end, ok, _ = cv2.calcOpticalFlowPyrLK(
        now, then, start, start.copy(), winSize=window, maxLevel=levels
    )
    back, ok_back, _ = cv2.calcOpticalFlowPyrLK(
        then, now, end, end.copy(), winSize=window, maxLevel=levels
    )
    kept = (ok[:, 0] > 0) & (ok_back[:, 0] > 0) & (np.abs(back - start).max(1) < RETURN)
    place = end.round().astype(int)
    height, width = then.shape
    kept &= (place >= 0).all(1) & (place[:, 0] < width) & (place[:, 1] < height)
    place = place.clip(0, [width - 1, height - 1])
    kept &= then_holes[place[:, 1], place[:, 0]] == 0
    return start[kept], end[kept]


def _matched(
    now: np.ndarray, now_holes: np.ndarray, then: np.ndarray, then_holes: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """SIFT features of one frame and those of another that are alike, for large motion."""
    import cv2

    sift = cv2.SIFT.create(2 * POINTS)
    sides = [
        sift.detectAndCompute(grey, (holes == 0).astype(np.uint8))
        for grey, holes in ((now, now_holes), (then, then_holes))
    ]
    none = np.zeros((0, 2), np.float32)
    if any(described is None or len(described) < 2 for _, described in sides):
        return none, none
    (here, described), (there, others) = sides
    pairs = cv2.BFMatcher().knnMatch(described, others, k=2)
    good = [first for first, second in pairs if first.distance < MATCHED * second.distance]
    if not good:
        return none, none
    start = np.array([here[pair.queryIdx].pt for pair in good], np.float32)
    return start, np.array([there[pair.trainIdx].pt for pair in good], np.float32)


def _fitted(start: np.ndarray, end: np.ndarray, model: str) -> np.ndarray | None:
    """The matrix that most pairs obey, or None if they are too few."""
    import cv2

    if len(start) < FEWEST:
        return None
    if model == "translation":
        matrix, obeying = _translation(start, end)
    elif model == "homography":
        matrix, obeying = cv2.findHomography(start, end, cv2.RANSAC, OBEY)
    else:
        fit = cv2.estimateAffine2D if model == "affine" else cv2.estimateAffinePartial2D
        matrix, obeying = fit(start, end, ransacReprojThreshold=OBEY)
    if matrix is None or int(obeying.sum()) < max(FEWEST, SHARE * len(start)):
        return None
    return matrix if matrix.shape[0] == 3 else np.vstack([matrix, [0.0, 0.0, 1.0]])


def _translation(start: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The shift that most pairs obey: each is tried for all."""
    shifts = (end - start).astype(np.float64)
    agree = np.abs(shifts[:, None] - shifts).max(2) < OBEY
    obeying = agree[agree.sum(1).argmax()]
    matrix = np.eye(3)
    matrix[:2, 2] = shifts[obeying].mean(0)
    return matrix, obeying


def _plausible(matrix: np.ndarray, size: tuple[int, ...]) -> bool:
    """Whether a camera moves like that from one frame to the next."""
    before = corners((size[0], size[1]))
    depth = before @ matrix[2, :2] + matrix[2, 2]
    if not np.isfinite(matrix).all() or (depth <= 0.2).any():
        return False
    after = moved_points(matrix, before)
    ends = np.roll(before, -1, 0) - before, np.roll(after, -1, 0) - after
    sides, sides_after = (np.linalg.norm(end, axis=1) for end in ends)
    turn = ends[1][:, 0] * np.roll(ends[1], -1, 0)[:, 1]
    turn -= ends[1][:, 1] * np.roll(ends[1], -1, 0)[:, 0]
    growth = sides_after / sides
    return bool((turn > 0).all() and growth.max() < SCALE and growth.min() > 1 / SCALE)


def _refined(
    key: _Key, now: np.ndarray, holes: np.ndarray, matrix: np.ndarray, model: str
) -> np.ndarray | None:
    """The matrix to the reference, measured against the key frame; None if little of it is seen.

    The frame is brought onto the key frame with what is known, and what is left is measured.
    """
    import cv2

    near = np.linalg.inv(key.matrix) @ matrix
    size = now.shape[::-1]
    brought = cv2.warpPerspective(now, near, size, flags=cv2.INTER_CUBIC)
    lacking = np.where(holes > 0, 255, 0).astype(np.uint8)
    hidden = cv2.warpPerspective(lacking, near, size, borderValue=255)
    rim = np.ones((2 * MARGIN + 1,) * 2, np.uint8)
    beyond = cv2.warpPerspective(np.zeros_like(lacking), near, size, borderValue=255)
    if float((beyond == 0).mean()) < OVERLAP:
        return None
    hidden = np.maximum(hidden, cv2.dilate(beyond, rim, borderType=cv2.BORDER_REPLICATE))
    seen = key.points.round().astype(int)
    visible = key.points[hidden[seen[:, 1], seen[:, 0]] == 0]
    brought = _as_bright(brought, key.grey, (hidden == 0) & (key.holes == 0))
    start, end = _followed(key.grey, key.holes, brought, hidden, visible, levels=1)
    if len(start) < max(FEWEST, SAME_POINTS * len(key.points)):
        return None
    left = _fitted(end, start, model)
    if left is None or not _plausible(left, now.shape):
        return None
    return key.matrix @ left @ near


def _as_bright(grey: np.ndarray, wanted: np.ndarray, where: np.ndarray) -> np.ndarray:
    """The frame with the brightness and contrast of another one that shows the same there."""
    if not where.any():
        return grey
    (mean, spread), (new_mean, new_spread) = (
        (float(values[where].mean()), float(values[where].std())) for values in (grey, wanted)
    )
    changed = (grey - mean) * (new_spread / max(spread, 1.0)) + new_mean
    return changed.round().clip(0, 255).astype(np.uint8)
