"""An example scorer for the plug-in point: it reads the questions, and is small enough to need no model.

    mine_keyframes:
      signal: pipeline.keyframes.examples:named_colours

A CLIP or SigLIP scorer has the same shape: embed `views.images` and `questions`, return the similarity per view.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.keyframes.selection import smooth
from pipeline.keyframes.views import Floats, Views

# OpenCV hue (0-179) ranges; saturation and value must be above 80.
HUES = {
    "red": (170, 10),
    "orange": (10, 22),
    "yellow": (22, 35),
    "green": (35, 85),
    "blue": (85, 130),
    "purple": (130, 160),
}


def named_colours(views: Views, questions: Sequence[str]) -> Floats:
    """Share of each view that shows the colours which the questions name: `float64 [T]`; 0 if they name none."""
    words = {word.strip(".,?!").lower() for question in questions for word in question.split()}
    share = np.zeros(len(views))
    for colour in sorted(words & set(HUES)):
        share += [_share(image, *HUES[colour]) for image in views.images]
    return smooth(share, views.step_seconds)


def _share(image: NDArray[np.uint8], low: int, high: int) -> float:
    hue, saturation, value = cv2.split(cv2.cvtColor(image, cv2.COLOR_RGB2HSV))
    in_range = (hue >= low) & (hue < high) if low < high else (hue >= low) | (hue < high)
    return float((in_range & (saturation > 80) & (value > 80)).mean())
