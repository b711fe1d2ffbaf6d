"""A clip's frames side by side in one small JPEG."""

from base64 import b64encode
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.frames.jpeg import encode_jpeg
from pipeline.frames.store import Frames

QUALITY = 80
MAX_FRAMES = 16  # more are thinned evenly; nobody looks at 64 thumbnails


def strip(frames: Frames, max_width: int, start_seconds: float) -> dict[str, Any]:
    """Frames of a clip as a JSON object: `jpeg` (base64, frames left to right), `pts` (seconds from `start_seconds`),
    `width` and `height` of one frame in pixels (at most `max_width` wide, never enlarged)."""
    keep = np.unique(np.linspace(0, len(frames) - 1, min(len(frames), MAX_FRAMES)).round().astype(int))
    images = [shrink(frames.images[i], max_width) for i in keep]
    height, width = images[0].shape[:2]
    return {
        "jpeg": b64encode(encode_jpeg(np.concatenate(images, axis=1), QUALITY)).decode(),
        "pts": [round(float(frames.pts_seconds[i]) - start_seconds, 3) for i in keep],
        "width": width,
        "height": height,
    }


def shrink(image: NDArray[np.uint8], max_width: int) -> NDArray[np.uint8]:
    """`image` [H, W, 3] at most `max_width` pixels wide, by area averaging."""
    height, width = image.shape[:2]
    if width <= max_width:
        return image
    size = (max_width, max(1, round(height * max_width / width)))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
