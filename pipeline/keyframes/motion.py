"""How the camera moved between two pictures, and what remains after removing that motion."""

import cv2
import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.uint8]
Affine = NDArray[np.float64]

STILL: Affine = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
CORNERS = 160
MIN_TRACKS = 8
LK_WINDOW = (15, 15)
LK_LEVELS = 3


def track_affine(before: Grey, after: Grey) -> Affine | None:
    """Similarity transform `[2, 3]` (pixels of `before` to pixels of `after`); None if too little can be tracked.

    Corners (Shi and Tomasi 1994) are followed by pyramidal Lucas-Kanade (Bouguet 2000); RANSAC excludes corners that
    move differently from the view, as hands and objects do.
    """
    corners = cv2.goodFeaturesToTrack(before, CORNERS, 0.01, 5)
    if corners is None or len(corners) < MIN_TRACKS:
        return None
    found, status, _ = cv2.calcOpticalFlowPyrLK(
        before, after, corners, np.empty_like(corners), winSize=LK_WINDOW, maxLevel=LK_LEVELS
    )
    good = status.ravel() == 1
    if good.sum() < MIN_TRACKS:
        return None
    matrix, _ = cv2.estimateAffinePartial2D(corners[good], found[good], ransacReprojThreshold=1.5)
    return None if matrix is None else np.asarray(matrix, np.float64)


def refine_ecc(before: Grey, after: Grey, start: Affine) -> Affine:
    """Full affine by enhanced correlation (Evangelidis and Psarakis 2008), from `start`; `start` if it diverges."""
    stop = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 30, 1e-3)
    try:
        _, matrix = cv2.findTransformECC(before, after, start.astype(np.float32), cv2.MOTION_AFFINE, stop)
    except cv2.error:
        return start
    return np.asarray(matrix, np.float64)


def residual(before: Grey, after: Grey, matrix: Affine) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """`|after - before moved by matrix|`, grey levels `[H, W]`, and where both pictures show something."""
    height, width = before.shape
    moved = cv2.warpAffine(before, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    mask = cv2.warpAffine(np.full_like(before, 255), matrix, (width, height), flags=cv2.INTER_NEAREST)
    difference = cv2.absdiff(cv2.GaussianBlur(after, (0, 0), 1), cv2.GaussianBlur(moved, (0, 0), 1))
    inside = cv2.erode(mask, np.ones((5, 5), np.uint8)) > 0
    return difference.astype(np.float32), inside


def displacement(matrix: Affine, height: int, width: int) -> float:
    """Mean distance that the picture's corners move under `matrix`, as a share of its diagonal."""
    corners = np.array([[0, 0, 1], [width, 0, 1], [0, height, 1], [width, height, 1]], np.float64)
    moved = corners @ matrix.T
    return float(np.hypot(*(moved - corners[:, :2]).T).mean() / np.hypot(height, width))


def phase_shift(before: Grey, after: Grey) -> Affine:
    """Pure shift `[2, 3]` by phase correlation (Kuglin and Hines 1975) under a Hann window."""
    height, width = before.shape
    window = cv2.createHanningWindow((width, height), cv2.CV_32F)
    (dx, dy), _ = cv2.phaseCorrelate(before.astype(np.float32), after.astype(np.float32), window)
    shift: Affine = STILL + np.array([[0, 0, dx], [0, 0, dy]], np.float64)
    return shift
