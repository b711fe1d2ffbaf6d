"""Make the rows of the gallery from predictions: flipped questions first, times from the start of the clip."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from pipeline.records import LETTERS, Keyframe, Prediction, Question

HEADLINE = ("reasoning", "video")
LIKELIHOOD = ("likelihood", "video")
REASKED = ("forced", "reordered")
ORDER = ("gained", "lost", "wrong", "right", "open", "one")

Answers = dict[tuple[str, str, str], Prediction]
"""First sample of a question by (model, mode, view)."""


def gallery_rows(
    questions: Iterable[Question], predictions: Iterable[Prediction], keyframes: Iterable[Keyframe]
) -> list[dict[str, Any]]:
    """One JSON object per question that was asked (every question if none was), flipped ones first."""
    answers: dict[str, Answers] = defaultdict(dict)
    for p in predictions:
        answers[p.question_id].setdefault((p.model, p.mode, p.view), p)
    mined: dict[str, list[Keyframe]] = defaultdict(list)
    for keyframe in sorted(keyframes, key=lambda k: (k.clip_id, k.rank)):
        mined[keyframe.clip_id].append(keyframe)
    asked = set(answers)
    shown = [q for q in questions if not asked or q.question_id in asked]
    rows = [_row(q, answers[q.question_id], mined[q.clip_id]) for q in shown]
    return sorted(rows, key=lambda row: (ORDER.index(row["status"]), row["id"]))


def _row(question: Question, answers: Answers, mined: Sequence[Keyframe]) -> dict[str, Any]:
    start = question.start_seconds
    base, policy = (answers.get((model, *HEADLINE)) for model in ("base", "policy"))
    return {
        "id": question.question_id,
        "clip": question.clip_id,
        "video": question.video_id,
        "source": question.source,
        "family": question.family,
        "split": question.split,
        "question": question.question,
        "options": list(question.options),
        "answer": question.answer,
        "start": _round(start),
        "seconds": _round(question.end_seconds - start),
        "truth": None if question.keyframe_seconds is None else [_round(t - start) for t in question.keyframe_seconds],
        "mined": [[_round(k.pts_seconds - start), _round(k.score)] for k in mined],
        "status": status(question, base, policy),
        "disagrees": disagrees(policy, answers.get(("policy", *REASKED))),
        "unparsed": any(p is not None and p.option is None for p in (base, policy)),
        "base": _side(base, answers.get(("base", *LIKELIHOOD)), start),
        "policy": _side(policy, answers.get(("policy", *LIKELIHOOD)), start),
        "others": _others(answers),
    }


def status(question: Question, base: Prediction | None, policy: Prediction | None) -> str:
    """What training did to this question: `gained`, `lost`, both `right`, both `wrong`; `open` without a public answer,
    `one` if a model has no prediction."""
    if question.answer is None:
        return "open"
    if base is None or policy is None:
        return "one"
    if base.correct == policy.correct:
        return "right" if policy.correct else "wrong"
    return "gained" if policy.correct else "lost"


def disagrees(given: Prediction | None, again: Prediction | None) -> bool:
    """Whether the policy, asked again with the same thinking and the options in another order, chose another option."""
    return given is not None and again is not None and given.option is not None and given.option != again.option


def _side(given: Prediction | None, likelihood: Prediction | None, start: float) -> dict[str, Any] | None:
    if given is None:
        return None
    named = given.keyframe_seconds
    shares = None if likelihood is None else likelihood.option_probabilities
    return {
        "completion": given.completion,
        "option": given.option,
        "outcome": given.outcome,
        "finished": given.finished,
        "keyframes": None if named is None else [_round(t - start) for t in named],
        "probabilities": None if shares is None else [_round(p) for p in shares],
    }


def _others(answers: Answers) -> list[list[str]]:
    """The other runs: [mode/view, what the base answered, what the policy answered]."""
    runs = sorted({(mode, view) for _, mode, view in answers} - {HEADLINE})
    return [[f"{m}/{v}", *(_mark(answers.get((model, m, v))) for model in ("base", "policy"))] for m, v in runs]


def _mark(prediction: Prediction | None) -> str:
    if prediction is None:
        return "–"
    if prediction.option is None:
        return f"none ({prediction.outcome})"
    letter = LETTERS[prediction.option]
    return letter if prediction.answer is None else f"{letter} {'✓' if prediction.correct else '✗'}"


def _round(value: float) -> float:
    return round(value, 3)
