"""Do the mined candidates hold the true key times? Recall by number of candidates, beside evenly spaced times."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from pipeline.keyframes.recall import Truth, recall_table
from pipeline.records import Keyframe, Question


def mining_recall(
    questions: Iterable[Question], keyframes: Iterable[Keyframe], tolerance_seconds: float
) -> list[dict[str, Any]]:
    """`recall_table` with only the best 1, 2, ... candidates per clip, as `candidates` says in each; [] where no clip
    has both true times and candidates."""
    clips = _truths(questions, keyframes)
    most = max((len(clip.candidate_seconds) for clip in clips), default=0)
    return [{"candidates": n, **recall_table(_best(clips, n), tolerance_seconds)} for n in range(1, most + 1)]


def _truths(questions: Iterable[Question], keyframes: Iterable[Keyframe]) -> list[Truth]:
    """Clips with both; times that several questions on a clip share count once."""
    mined: dict[str, list[float]] = defaultdict(list)
    for keyframe in sorted(keyframes, key=lambda k: (k.clip_id, k.rank)):
        mined[keyframe.clip_id].append(keyframe.pts_seconds)
    times: dict[str, set[float]] = defaultdict(set)
    spans: dict[str, tuple[float, float]] = {}
    for q in questions:
        if q.keyframe_seconds and q.clip_id in mined:
            times[q.clip_id].update(q.keyframe_seconds)
            spans[q.clip_id] = (q.start_seconds, q.end_seconds)
    return [Truth(*spans[c], tuple(sorted(times[c])), tuple(mined[c])) for c in sorted(spans)]


def _best(clips: Sequence[Truth], n: int) -> list[Truth]:
    return [replace(clip, candidate_seconds=clip.candidate_seconds[:n]) for clip in clips]
