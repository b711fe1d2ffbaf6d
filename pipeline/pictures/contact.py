"""Contact sheets: frames in rows with their times, marked ones framed."""

from collections.abc import Collection, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.files import replacing
from pipeline.frames.jpeg import encode_jpeg

Image = NDArray[np.uint8]

CAPTION = 22  # pixels below each frame
GAP = 4
PAPER, INK, MARK = (250, 250, 248), (40, 40, 40), (11, 98, 184)
QUALITY = 90


def contact_sheet(
    images: Sequence[Image], captions: Sequence[str], marked: Collection[int] = (), columns: int = 6, width: int = 200
) -> Image:
    """Frames [H, W, 3], all of one size, in a grid with a caption each: RGB uint8.

    Args:
        marked: indices of frames that get a thick border.
        width: pixels of a frame; small frames are enlarged without smoothing, so that one sees what the model sees.

    Raises:
        ValueError: no image, or another number of captions.
    """
    if not images or len(images) != len(captions):
        raise ValueError(f"{len(images)} images need as many captions (at least one), not {len(captions)}")
    height = max(1, round(images[0].shape[0] * width / images[0].shape[1]))
    cells = [
        _cell(image, text, (width, height), i in marked)
        for i, (image, text) in enumerate(zip(images, captions, strict=True))
    ]
    columns = min(columns, len(cells))
    blank = np.full_like(cells[0], PAPER[0])
    cells += [blank] * (-len(cells) % columns)
    rows = [np.concatenate(cells[i : i + columns], axis=1) for i in range(0, len(cells), columns)]
    return np.concatenate(rows, axis=0)


def _cell(image: Image, text: str, size: tuple[int, int], marked: bool) -> Image:
    width, height = size
    cell = np.full((height + CAPTION + 2 * GAP, width + 2 * GAP, 3), PAPER, np.uint8)
    if marked:
        cell[: height + 2 * GAP] = MARK
    how = cv2.INTER_AREA if image.shape[1] > width else cv2.INTER_NEAREST
    cell[GAP : GAP + height, GAP : GAP + width] = cv2.resize(image, size, interpolation=how)
    where = (GAP + 2, height + 2 * GAP + CAPTION - 7)
    cv2.putText(cell, text, where, cv2.FONT_HERSHEY_SIMPLEX, 0.45, MARK if marked else INK, 1, cv2.LINE_AA)
    return cell


def save_jpeg(image: Image, path: Path) -> None:
    """Write an RGB image as JPEG, whole or not at all."""
    with replacing(path) as partial:
        partial.write_bytes(encode_jpeg(image, QUALITY))
