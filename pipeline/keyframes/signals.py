"""How much happens at each moment of a clip. A signal is a function of the views; `SIGNALS` names them.

All return `float64 [T]`, smoothed over half a second, not yet normalised.
"""

from collections.abc import Callable
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.keyframes.activity import activity, measure_changes
from pipeline.keyframes.motion import phase_shift, residual
from pipeline.keyframes.selection import smooth
from pipeline.keyframes.views import Floats, Views
from pipeline.registry import Registry

Signal = Callable[[Views], Floats]


def lk_affine(views: Views) -> Floats:
    """Activity after removing the camera's motion, which is tracked by Lucas-Kanade."""
    return activity(measure_changes(views, quality=False))


def ecc(views: Views) -> Floats:
    """`lk_affine` with the motion refined by enhanced correlation: slower, but better under heavy head motion."""
    return activity(measure_changes(views, quality=True))


def lk_residual(views: Views) -> Floats:
    """Only the change that remains after removing the camera's motion: no hands, no calm, no fixation."""
    changes = measure_changes(views, quality=False)
    return smooth(changes.everywhere, changes.step_seconds)


def phase(views: Views) -> Floats:
    """What remains after removing the shift found by phase correlation."""
    return _smoothed([_left_over(a, b) for a, b in pairwise(views.grey())], views)


def histogram(views: Views) -> Floats:
    """Chi-square distance of colour histograms (8 x 8 hue and saturation) of neighbouring pictures."""
    seen = [_hue_saturation(image) for image in views.images]
    return _smoothed([cv2.compareHist(a, b, cv2.HISTCMP_CHISQR_ALT) for a, b in pairwise(seen)], views)


def difference(views: Views) -> Floats:
    """Mean absolute difference of neighbouring pictures: it misses nothing, but every turn of the head fools it."""
    return _smoothed(np.abs(np.diff(views.grey().astype(np.float32), axis=0)).mean((1, 2)), views)


def _left_over(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> float:
    left, inside = residual(before, after, phase_shift(before, after))
    return float(left[inside].mean()) if inside.any() else 0.0


def _hue_saturation(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
    counts = cv2.calcHist([hsv], [0, 1], None, [8, 8], [0, 180, 0, 256])
    return np.asarray(counts / counts.sum(), np.float32)


def _smoothed(changes: ArrayLike, views: Views) -> Floats:
    """Changes 1..T-1 as `[T]`, smoothed; the first view has no predecessor and gets 0."""
    return smooth(np.concatenate([[0.0], np.asarray(changes, np.float64)]), views.step_seconds)


SIGNALS: Registry[Signal] = Registry(
    "signal",
    "egovlm.signals",
    {
        "lk_affine": lk_affine,
        "ecc": ecc,
        "lk_residual": lk_residual,
        "phase": phase,
        "histogram": histogram,
        "difference": difference,
    },
)
