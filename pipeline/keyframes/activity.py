"""Separate what hands and objects do from what the head does.

Walking and turning in a deep room leave differences everywhere, even after the camera's motion is removed: near and far
move differently. Five signs mark an action. It changes the picture where there is skin. If no skin shows (gloves,
darkness, no colour), it changes the lower middle, where hands work. It happens while the whole view is calm. The
view often settles on it after a turn. And it is brief.
"""

from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.keyframes.motion import STILL, displacement, refine_ecc, residual, track_affine
from pipeline.keyframes.selection import rescale, smooth
from pipeline.keyframes.views import Floats, Views

# Set by hand in a range where neighbouring values give nearly the same recall: on rendered clips, and on two real ones
# that were also cut, darkened, made grey and thinned to half their pictures (docs/log.md). All kinds of change weigh
# the same.
HANDS_AT, HANDS_REACH = (0.5, 0.7), (0.3, 0.25)  # middle and spread of where hands work; shares of width and height
CALM_SPEED = 0.3  # picture diagonals per second; at this speed of the view, evidence counts half
CALM_MEDIAN = 2.0  # ... or at this multiple of the clip's median speed, so that a shaky clip has its own standard
FIXATION = 0.1  # weight of settling after a turn
SETTLED_SPEED = 0.15  # picture diagonals per second
TURN_SECONDS = (0.4, 1.6)  # how long before a fixation the turn may be


@dataclass(frozen=True)
class Changes:
    """Per view `float64 [T]`, with entry 0 equal to entry 1. Mean change after removing the camera's motion (grey
    levels; everywhere, on skin, where hands work), and the speed of the view (picture diagonals per second)."""

    everywhere: Floats
    on_skin: Floats
    at_hands: Floats
    speed: Floats
    step_seconds: float


def measure_changes(views: Views, *, quality: bool) -> Changes:
    """Compare neighbouring views; `quality` refines the camera's motion by ECC."""
    skin = [skin_mask(image) for image in views.images]
    hands = hand_region(*views.images.shape[1:3])
    rows = [
        _change(before, after, cv2.bitwise_or(*masks), hands, quality)
        for (before, after), masks in zip(pairwise(views.grey()), pairwise(skin), strict=True)
    ]
    everywhere, on_skin, at_hands, way = np.array(rows or [(0.0,) * 4], np.float64).T
    gaps = np.diff(views.pts_seconds) if len(views) > 1 else np.ones(1)
    return Changes(
        _from_second(everywhere, views),
        _from_second(on_skin, views),
        _from_second(at_hands, views),
        _from_second(way / gaps, views),
        views.step_seconds,
    )


def activity(changes: Changes) -> Floats:
    """`float64 [T]` in [0, 1.1]: smoothed evidence of an action."""
    evidence = changes.everywhere + changes.on_skin + changes.at_hands
    slow = smooth(changes.speed, changes.step_seconds)
    calm = max(CALM_SPEED, CALM_MEDIAN * float(np.median(changes.speed)))
    acting = rescale(smooth(evidence, changes.step_seconds) / (1 + (slow / calm) ** 2))
    return acting + FIXATION * rescale(fixation(changes))


def fixation(changes: Changes) -> Floats:
    """How far the view has come to rest after it moved: `float64 [T]` in [0, 1]."""
    speed = smooth(changes.speed, changes.step_seconds)
    late, early = (round(seconds / changes.step_seconds) for seconds in TURN_SECONDS)
    before = np.array([speed[max(0, i - early) : max(1, i - late)].mean() for i in range(len(speed))])
    return before / (before + SETTLED_SPEED) / (1 + (speed / SETTLED_SPEED) ** 2)


def skin_mask(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Where a picture may show skin, with a margin: `uint8 [H, W]`, 0 or 255.

    Bounds of the chroma plane after Chai and Ngan (1999), widened for indoor light.
    """
    luma_chroma = cv2.cvtColor(image, cv2.COLOR_RGB2YCrCb)
    mask = cv2.inRange(luma_chroma, np.array([40, 136, 86], np.uint8), np.array([255, 179, 134], np.uint8))
    return np.asarray(cv2.dilate(mask, np.ones((7, 7), np.uint8)), np.uint8)


def hand_region(height: int, width: int) -> NDArray[np.float32]:
    """How likely hands work at each pixel: `float32 [H, W]`, a bell in the lower middle, 1 on average."""
    x = ((np.arange(width) + 0.5) / width - HANDS_AT[0]) / HANDS_REACH[0]
    y = ((np.arange(height) + 0.5) / height - HANDS_AT[1]) / HANDS_REACH[1]
    bell = np.exp(-np.add.outer(y**2, x**2) / 2)
    return np.asarray(bell / bell.mean(), np.float32)


def _change(
    before: NDArray[np.uint8], after: NDArray[np.uint8], skin: ArrayLike, hands: NDArray[np.float32], quality: bool
) -> tuple[float, float, float, float]:
    matrix = track_affine(before, after)
    start = STILL if matrix is None else matrix
    matrix = refine_ecc(before, after, start) if quality else start
    left, inside = residual(before, after, matrix)
    area = max(int(inside.sum()), 1)
    left = left * inside
    sums = (left.sum(), left[np.asarray(skin) > 0].sum(), np.vdot(left, hands))
    everywhere, on_skin, at_hands = (float(total) / area for total in sums)
    return everywhere, on_skin, at_hands, displacement(matrix, *before.shape)


def _from_second(values: Floats, views: Views) -> Floats:
    """Changes 1..T-1 as `[T]`: the first view has no predecessor, so it copies the second."""
    return np.concatenate([values[:1], values])[: len(views)]
