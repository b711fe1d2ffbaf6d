"""From a stored picture to an upright one of the model's size."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ItemError

Image = NDArray[np.uint8]

MAX_ASPECT = 200  # as in Qwen's smart_resize


@dataclass(frozen=True)
class FrameSize:
    """The size rule: area at most `max_pixels`, both sides multiples of `size_multiple` (pixels)."""

    max_pixels: int
    size_multiple: int

    def fit(self, width: float, height: float) -> tuple[int, int]:
        """(width, height) for an upright picture of `width` x `height` pixels.

        Qwen's `smart_resize` (qwen-vl-utils, vision_process.py) without its lower bound: each side is rounded to the
        nearest multiple. If the area is then too large, both are shrunk by the same factor and rounded down.

        Raises:
            ItemError: `extreme_aspect` if one side is more than 200 times the other.

        >>> FrameSize(max_pixels=128 * 28 * 28, size_multiple=28).fit(1920, 1080)
        (420, 224)
        """
        if max(width, height) / min(width, height) > MAX_ASPECT:
            raise ItemError(
                "extreme_aspect", f"{width:g}x{height:g} pixels; the aspect ratio may be at most {MAX_ASPECT}:1"
            )
        m = self.size_multiple
        fitted = [max(m, round(side / m) * m) for side in (width, height)]
        if fitted[0] * fitted[1] > self.max_pixels:
            shrink = math.sqrt(width * height / self.max_pixels)
            fitted = [max(m, math.floor(side / shrink / m) * m) for side in (width, height)]
        return fitted[0], fitted[1]


@dataclass(frozen=True)
class Orientation:
    """What the display matrix tells a viewer to do: mirror left-right first, then rotate `rotation` degrees
    clockwise."""

    rotation: int = 0
    mirrored: bool = False

    @property
    def swaps_sides(self) -> bool:
        """Whether width and height are swapped."""
        return self.rotation in (90, 270)

    def apply(self, image: Image) -> Image:
        """Turn `[H, W, 3]` upright."""
        upright = image[:, ::-1] if self.mirrored else image
        return np.ascontiguousarray(np.rot90(upright, k=-self.rotation // 90))


def orientation_of(matrix: tuple[int, ...]) -> Orientation:
    """Read a display matrix (9 numbers in 16.16 fixed point, ISO 14496-12 6.2.2; x' = ax + cy, y' = bx + dy, y down).

    Raises:
        ItemError: `odd_rotation` if the matrix is not a rotation by a multiple of 90 degrees, possibly mirrored.
    """
    a, b, c, d = matrix[0], matrix[1], matrix[3], matrix[4]
    mirrored = a * d - b * c < 0
    if mirrored:  # undo the mirroring, which is applied first, on x
        a, b = -a, -b
    degrees = math.degrees(math.atan2(b, a))  # clockwise, as y points down
    if not (a or b) or abs(degrees - round(degrees / 90) * 90) > 1:
        raise ItemError(
            "odd_rotation", f"display matrix {matrix} rotates by {degrees:.1f} degrees, which is no multiple of 90"
        )
    return Orientation(round(degrees / 90) * 90 % 360, mirrored)
