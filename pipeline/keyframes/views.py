"""What the miner sees: small pictures of a clip at a constant rate."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.decode.backends import decode_frames
from pipeline.frames.geometry import FrameSize
from pipeline.frames.sampling import rate_times

cv2.setNumThreads(1)  # clips run in parallel, not threads

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Views:
    """`images` RGB `uint8 [T, H, W, 3]`, `pts_seconds` `float64 [T]`, strictly increasing, from the file's start."""

    images: NDArray[np.uint8]
    pts_seconds: Floats

    def __post_init__(self) -> None:
        if self.images.ndim != 4 or self.images.shape[:1] != self.pts_seconds.shape:
            raise ValueError(f"views need [T, H, W, 3] and [T], not {self.images.shape} and {self.pts_seconds.shape}")
        if (np.diff(self.pts_seconds) <= 0).any():
            raise ValueError("views need increasing pts_seconds")

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        return f"Views(images={self.images.shape}, {self.pts_seconds[0]:.2f}-{self.pts_seconds[-1]:.2f} s)"

    def grey(self) -> NDArray[np.uint8]:
        """Luma, `uint8 [T, H, W]`."""
        return np.stack([cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in self.images]).astype(np.uint8)

    @property
    def step_seconds(self) -> float:
        """Median time between two views; 1 if there is only one."""
        return float(np.median(np.diff(self.pts_seconds))) if len(self) > 1 else 1.0


def make_views(
    path: Path,
    start_seconds: float,
    end_seconds: float,
    per_second: float,
    max_pixels: int,
    seconds_limit: float,
) -> Views:
    """Decode the views of a clip; a frame that is on screen for several samples appears once.

    Raises:
        ItemError: see `decode_frames`.
    """
    times = rate_times(start_seconds, end_seconds, per_second)
    decoded = decode_frames(path, times, FrameSize(max_pixels, 4), seconds_limit=seconds_limit)
    pts, first = np.unique(decoded.pts_seconds, return_index=True)
    return Views(decoded.images[first], pts)
