"""Are the named key times right? Precision, recall and F1, compared with naming times blindly."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.answers.keyframes import KeyframeScore, frame_spacing, match_keyframes
from pipeline.records import Prediction, Question

BASELINE_DRAWS = 20


@dataclass(frozen=True)
class MatchSettings:
    """`sigma_spacings`: width of the match in distances of neighbouring frames; `max_count`: see `match_keyframes`."""

    sigma_spacings: float
    max_count: int


@dataclass(frozen=True)
class KeyframeQuality:
    """Means over the questions with true key times: scores of the named times, and F1 of as many times chosen evenly
    or at random from the frames. `named_fraction` is the share of completions that name any, `count` the questions."""

    precision: float
    recall: float
    f1: float
    f1_uniform: float
    f1_random: float
    named_fraction: float
    count: int


def keyframe_quality(
    predictions: Sequence[Prediction], questions: Mapping[str, Question], settings: MatchSettings
) -> KeyframeQuality | None:
    """Quality of the times named in `predictions` (of a run that shows whole clips); None if no question has truth.

    The baselines name as many times as the prediction does, or as there are true ones if it names none.
    """
    judged = [(p, questions[p.question_id]) for p in predictions if len(p.frame_seconds) > 1]
    judged = [(p, q) for p, q in judged if q.keyframe_seconds]
    if not judged:
        return None
    named = [_score(p.keyframe_seconds, p, q, settings) for p, q in judged]
    uniform = [_score(_uniform(_count(p, q), q), p, q, settings).f1 for p, q in judged]
    random = [_mean([_score(draw, p, q, settings).f1 for draw in _random(_count(p, q), p)]) for p, q in judged]
    return KeyframeQuality(
        precision=_mean([s.precision for s in named]),
        recall=_mean([s.recall for s in named]),
        f1=_mean([s.f1 for s in named]),
        f1_uniform=_mean(uniform),
        f1_random=_mean(random),
        named_fraction=_mean([float(bool(p.keyframe_seconds)) for p, _ in judged]),
        count=len(judged),
    )


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))


def _score(
    named: Sequence[float] | None, prediction: Prediction, question: Question, settings: MatchSettings
) -> KeyframeScore:
    sigma = settings.sigma_spacings * frame_spacing(prediction.frame_seconds)
    return match_keyframes(named, question.keyframe_seconds or (), sigma, settings.max_count)


def _count(prediction: Prediction, question: Question) -> int:
    return len(prediction.keyframe_seconds or question.keyframe_seconds or ())


def _uniform(count: int, question: Question) -> list[float]:
    """`count` times at the middles of equal parts of the clip."""
    length = question.end_seconds - question.start_seconds
    return [question.start_seconds + length * (i + 0.5) / count for i in range(count)]


def _random(count: int, prediction: Prediction) -> list[list[float]]:
    """`BASELINE_DRAWS` lists of `count` different shown frames' times (all frames if there are fewer)."""
    digest = hashlib.sha256(f"random keyframes|{prediction.question_id}".encode()).digest()
    rng = np.random.default_rng(int.from_bytes(digest[:8], "big"))
    times = np.asarray(prediction.frame_seconds)
    size = min(count, len(times))
    return [rng.choice(times, size, replace=False).tolist() for _ in range(BASELINE_DRAWS)]


def named_frames(predictions: Sequence[Prediction]) -> dict[str, tuple[int, ...]]:
    """Frames named per question, for the `named_frames` view; questions without any are left out."""
    return {p.question_id: p.keyframe_frames for p in predictions if p.keyframe_frames}
