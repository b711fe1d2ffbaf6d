"""The work of `extract_frames` on one clip: sample, decode, encode."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.decode.backends import decode_frames
from pipeline.errors import ItemError
from pipeline.frames.geometry import FrameSize
from pipeline.frames.jpeg import encode_jpeg
from pipeline.frames.sampling import uniform_times

FORMAT = "egovlm-frames/4"  # part of every row's key: change it if the same settings give different frames or columns


@dataclass(frozen=True)
class FrameSettings:
    """What determines the frames of a clip, besides its video."""

    decoder: str
    frames_per_clip: int
    size: FrameSize
    jpeg_quality: int


@dataclass(frozen=True)
class FrameTask:
    """One clip for one worker; times in seconds from the file's start."""

    video_id: str
    path: Path
    start_seconds: float
    end_seconds: float
    settings: FrameSettings
    seconds_limit: float


def extract(task: FrameTask) -> dict[str, Any]:
    """The clip's row of the frame store (`store.SCHEMA` without `item_id` and `key`).

    A clip that holds fewer pictures than were asked for keeps each of them once.

    Raises:
        ItemError: see `decode_frames`; `one_picture` if nothing moves in the clip.
    """
    settings = task.settings
    decoded = decode_frames(
        task.path,
        uniform_times(task.start_seconds, task.end_seconds, settings.frames_per_clip),
        settings.size,
        decoder=settings.decoder,
        seconds_limit=task.seconds_limit,
    )
    first_of_each = np.flatnonzero(np.diff(decoded.pts_seconds, prepend=-np.inf) > 0)
    if len(first_of_each) < min(2, settings.frames_per_clip):
        raise ItemError("one_picture", "the clip shows one picture from start to end: nothing can be seen to happen")
    return {
        "video_id": task.video_id,
        "pts_seconds": decoded.pts_seconds[first_of_each].tolist(),
        "origin_seconds": decoded.origin_seconds,
        "width": decoded.images.shape[2],
        "height": decoded.images.shape[1],
        "decode_method": decoded.way,
        "jpegs": [encode_jpeg(image, settings.jpeg_quality) for image in decoded.images[first_of_each]],
    }
