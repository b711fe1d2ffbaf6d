"""The work of `mine_keyframes` on one clip: decode, score, select."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.frames.geometry import FrameSize
from pipeline.frames.jpeg import encode_jpeg
from pipeline.frames.shards import COMMON
from pipeline.keyframes.events import Event, find_events, place, state_worth
from pipeline.keyframes.scorers import load_scorer
from pipeline.keyframes.selection import Spread, rescale, select_moments
from pipeline.keyframes.signals import SIGNALS
from pipeline.keyframes.views import Floats, Views, make_views

FORMAT = "egovlm-keyframes/4"  # part of every row's key: change it if the same settings give different candidates
STATE_SPACING_SECONDS = 0.6  # least distance of a peak from the states beside it
PEAK_WORTH = 0.3  # of a peak relative to its states: chosen after them, but before frames that only cover the clip
ANALYSIS_PIXELS = 192 * 108  # area to which frames are shrunk before they are scored
STATES_UP_TO_SECONDS = 15.0  # up to this length the states around an action come first, in longer clips its peak
COVERAGE_WINDOWS = 2  # no gap between a long clip's candidates is longer than the clip divided by this
THUMBNAIL_PIXELS, THUMBNAIL_QUALITY = 96 * 96, 85

SCHEMA = pa.schema(
    [
        *COMMON,
        ("video_id", pa.string()),
        ("start_seconds", pa.float64()),
        ("end_seconds", pa.float64()),
        ("candidate_seconds", pa.list_(pa.float64())),  # best first
        ("candidate_scores", pa.list_(pa.float64())),
        ("candidate_events", pa.list_(pa.int32())),  # index into the events; -1: no event
        ("candidate_roles", pa.list_(pa.string())),
        ("event_start_seconds", pa.list_(pa.float64())),  # in order of time
        ("event_peak_seconds", pa.list_(pa.float64())),
        ("event_end_seconds", pa.list_(pa.float64())),
        ("event_strengths", pa.list_(pa.float64())),
        ("signal", pa.string()),
        ("curve_seconds", pa.list_(pa.float32())),  # the signal over time, for people to look at
        ("curve_scores", pa.list_(pa.float32())),
        ("thumbnails", pa.list_(pa.large_binary())),  # JPEG, of the candidates, best first
    ]
)


@dataclass(frozen=True)
class MiningSettings:
    """What determines the candidates of a clip, besides its video; params.yaml explains the values."""

    signal: str
    samples_per_second: float
    candidates_per_clip: int
    spacing_seconds: float


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
    views = make_views(
        task.path,
        task.start_seconds,
        task.end_seconds,
        settings.samples_per_second,
        ANALYSIS_PIXELS,
        task.seconds_limit,
    )
    score = rescale(load_scorer(settings.signal)(views, task.questions))
    events = find_events(score, views.pts_seconds)
    chosen, worth = choose_moments(score, views, events, task)
    places = [place(float(views.pts_seconds[i]), events) for i in chosen]
    size = FrameSize(THUMBNAIL_PIXELS, 4)
    return {
        "video_id": task.video_id,
        "start_seconds": task.start_seconds,
        "end_seconds": task.end_seconds,
        "candidate_seconds": views.pts_seconds[chosen].tolist(),
        "candidate_scores": worth[chosen].tolist(),
        "candidate_events": [event for event, _ in places],
        "candidate_roles": [role for _, role in places],
        "event_start_seconds": [event.start_seconds for event in events],
        "event_peak_seconds": [event.peak_seconds for event in events],
        "event_end_seconds": [event.end_seconds for event in events],
        "event_strengths": [event.strength for event in events],
        "signal": settings.signal,
        "curve_seconds": views.pts_seconds.tolist(),
        "curve_scores": score.tolist(),
        "thumbnails": [thumbnail(views, int(i), size) for i in chosen],
    }


def choose_moments(
    score: Floats, views: Views, events: Sequence[Event], task: MiningTask
) -> tuple[NDArray[np.int64], Floats]:
    """Indices of the candidates among the views, best first, and the worth of every view: `float64 [T]` in [0, 1].

    A clip of up to `STATES_UP_TO_SECONDS` is assumed to hold one or two actions, so the states around its movements
    come first. In a longer clip the peaks come first. A clip without an event gets evenly spaced candidates.
    """
    settings, span = task.settings, (task.start_seconds, task.end_seconds)
    length = task.end_seconds - task.start_seconds
    moves = settings.signal in SIGNALS.own  # a plug-in may score anything, so only its peaks have a meaning
    if moves and events and length <= STATES_UP_TO_SECONDS:
        worth = rescale(state_worth(events, views.pts_seconds) + PEAK_WORTH * score)
        spread = Spread(min(STATE_SPACING_SECONDS, settings.spacing_seconds), 0.0, *span, crowding=0.0)
    else:
        worth, spread = score, Spread(settings.spacing_seconds, length / COVERAGE_WINDOWS, *span)
    return select_moments(worth, views.pts_seconds, settings.candidates_per_clip, spread), worth


def thumbnail(views: Views, i: int, size: FrameSize) -> bytes:
    """View i as a small JPEG."""
    height, width = views.images.shape[1:3]
    target = size.fit(width, height)
    small = cv2.resize(views.images[i], target, interpolation=cv2.INTER_AREA)
    return encode_jpeg(small.astype(np.uint8), THUMBNAIL_QUALITY)
