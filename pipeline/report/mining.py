"""Do the mined candidates include the true key times? Recall by number of candidates, compared with even and random
times."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from pipeline.keyframes.recall import Truth, measure_recall
from pipeline.records import Keyframe, Question


def mining_recall(
    questions: Iterable[Question], keyframes: Iterable[Keyframe], tolerance_seconds: float
) -> dict[str, dict[str, Any]]:
    """`measure` by source of the questions; {} if no clip has both true times and candidates."""
    mined: dict[str, list[float]] = defaultdict(list)
    for keyframe in sorted(keyframes, key=lambda k: (k.clip_id, k.rank)):
        mined[keyframe.clip_id].append(keyframe.pts_seconds)
    times: dict[tuple[str, str], set[float]] = defaultdict(set)
    spans: dict[str, tuple[float, float]] = {}
    for q in questions:
        if q.keyframe_seconds and q.clip_id in mined:
            times[q.source, q.clip_id].update(q.keyframe_seconds)  # times that several questions share count once
            spans[q.clip_id] = (q.start_seconds, q.end_seconds)
    clips: dict[str, list[Truth]] = defaultdict(list)
    for (source, clip), true_seconds in sorted(times.items()):
        clips[source].append(Truth(*spans[clip], tuple(sorted(true_seconds)), tuple(mined[clip])))
    return {source: measure_recall(known, tolerance_seconds) for source, known in clips.items()}
