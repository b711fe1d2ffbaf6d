"""The work of `mine_keyframes` on one clip: look, score, select."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.keyframes.scorers import load_scorer
from pipeline.keyframes.selection import Spread, normalise, select
from pipeline.keyframes.views import Floats, Views, look
from pipeline.video.geometry import FrameSize
from pipeline.video.jpeg import encode_jpeg
from pipeline.video.shards import COMMON

FORMAT = "egovlm-keyframes/2"  # part of every row's key: change it when the same settings give other candidates
THUMBNAIL_QUALITY = 85

SCHEMA = pa.schema(
    [
        *COMMON,
        ("video_id", pa.string()),
        ("start_seconds", pa.float64()),
        ("end_seconds", pa.float64()),
        ("candidate_seconds", pa.list_(pa.float64())),  # best first
        ("candidate_scores", pa.list_(pa.float64())),
        ("signal", pa.string()),
        ("curve_seconds", pa.list_(pa.float32())),  # the signal over time, for people to look at
        ("curve_scores", pa.list_(pa.float32())),
        ("thumbnails", pa.list_(pa.large_binary())),  # JPEG, of the candidates, best first
    ]
)


@dataclass(frozen=True)
class MiningSettings:
    """What determines the candidates of a clip, beside its video; see params.yaml for the meanings."""

    signal: str
    samples_per_second: float
    analysis_pixels: int
    candidates_per_clip: int
    spacing_seconds: float
    coverage_windows: int
    thumbnail_pixels: int


@dataclass(frozen=True)
class MiningTask:
    """One clip for one worker; `questions` are the texts asked about it, for scorers that read them."""

    video_id: str
    path: Path
    start_seconds: float
    end_seconds: float
    questions: tuple[str, ...]
    settings: MiningSettings
    seconds_limit: float


def mine(task: MiningTask) -> dict[str, Any]:
    """The clip's row (`SCHEMA` without `item_id` and `key`).

    Raises:
        ItemError: see `decode_frames`.
    """
    settings = task.settings
    views = look(
        task.path,
        task.start_seconds,
        task.end_seconds,
        settings.samples_per_second,
        settings.analysis_pixels,
        task.seconds_limit,
    )
    score = normalise(load_scorer(settings.signal)(views, task.questions))
    chosen = choose(score, views, task)
    size = FrameSize(settings.thumbnail_pixels, 4)
    return {
        "video_id": task.video_id,
        "start_seconds": task.start_seconds,
        "end_seconds": task.end_seconds,
        "candidate_seconds": views.pts_seconds[chosen].tolist(),
        "candidate_scores": score[chosen].tolist(),
        "signal": settings.signal,
        "curve_seconds": views.pts_seconds.tolist(),
        "curve_scores": score.tolist(),
        "thumbnails": [thumbnail(views, int(i), size) for i in chosen],
    }


def choose(score: Floats, views: Views, task: MiningTask) -> NDArray[np.int64]:
    """Indices of the candidates among the views, best first."""
    settings = task.settings
    length = task.end_seconds - task.start_seconds
    max_gap = length / settings.coverage_windows if settings.coverage_windows else 0.0
    spread = Spread(settings.spacing_seconds, max_gap, task.start_seconds, task.end_seconds)
    return select(score, views.pts_seconds, settings.candidates_per_clip, spread)


def thumbnail(views: Views, i: int, size: FrameSize) -> bytes:
    """View i as a small JPEG."""
    height, width = views.images.shape[1:3]
    target = size.fit(width, height)
    small = cv2.resize(views.images[i], target, interpolation=cv2.INTER_AREA)
    return encode_jpeg(small.astype(np.uint8), THUMBNAIL_QUALITY)
