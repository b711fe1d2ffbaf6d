"""Form `egoplan`: EgoPlan-Bench, EgoPlan-Bench2 and EgoPlan-IT (Chen et al. 2023, arXiv 2312.06722).

A benchmark row: `sample_id, video_id, task_goal, question, choice_a ... choice_d, golden_choice_idx, answer,
current_observation_frame, task_progress_metadata [{narration_text, start_frame, stop_frame}]`. Bench2 has
`task_start_frame`, but neither `question` nor `video_id`: its `sample_id` is `<Ego4D uid>_<number>`. A row of the
tuning set has `answer` and `negative_answers` instead of choices.
"""

import hashlib
from collections.abc import Iterator

from pipeline.errors import ItemError
from pipeline.records import Annotation
from pipeline.sources.formats.base import Reading, as_list, texts
from pipeline.sources.rows import Raw, option_index, required, text

_QUESTION = (
    "Considering the progress shown in the video and my current observation in the last frame, "
    "what action should I take next in order to {goal}?"
)
_MOST_NEGATIVES = 4


def read_egoplan(row: Raw, reading: Reading) -> Iterator[Annotation]:
    """One question on the video up to the current observation; key times are the middles of the steps done so far."""
    question_id = str(required(row, "sample_id"))
    options, answer = _choices(row) if row.get("choice_a") is not None else _negatives(row, question_id)
    video = question_id.split("_")[0] if row.get("video_id") is None else text(row, "video_id")
    now = reading.seconds(required(row, "current_observation_frame"), "current_observation_frame", video)
    told = [] if row.get("task_progress_metadata") is None else as_list(row, "task_progress_metadata")
    steps = [step for step in told if isinstance(step, dict)]
    start = reading.seconds(row.get("task_start_frame") or 0, "task_start_frame", video)
    yield reading.annotation(
        f"{reading.source}_{question_id}",
        video,
        str(row.get("question") or _QUESTION.format(goal=text(row, "task_goal"))),
        family="planning",
        options=options,
        answer=answer,
        start_seconds=start,
        end_seconds=now,
        keyframe_seconds=_middles(steps, reading, video, start, now) or None,
    )


def _choices(row: Raw) -> tuple[tuple[str, ...], int | None]:
    golden = row.get("golden_choice_idx")
    options = tuple(text(row, f"choice_{letter}") for letter in "abcd")
    if golden is None:
        return options, None
    index = option_index(golden, "golden_choice_idx")
    said = row.get("answer")
    if isinstance(said, str) and index < len(options) and said.strip().lower() != options[index].strip().lower():
        raise ItemError("contradiction", f"golden_choice_idx {golden!r} is {options[index]!r}, answer is {said!r}")
    return options, index


def _negatives(row: Raw, question_id: str) -> tuple[tuple[str, ...], int]:
    """The answer among at most four negatives, all in the order of a hash."""
    truth = text(row, "answer")
    others = sorted(set(texts(as_list(row, "negative_answers"), "negative_answers")) - {truth})
    if not others:
        raise ItemError("option_count", "negative_answers contains nothing but the answer")
    chosen = sorted(others, key=lambda other: _digest(question_id, "choose", other))[:_MOST_NEGATIVES]
    options = sorted([truth, *chosen], key=lambda option: _digest(question_id, "order", option))
    return tuple(options), options.index(truth)


def _digest(*parts: str) -> bytes:
    return hashlib.sha256("|".join(parts).encode()).digest()


def _middles(steps: list[Raw], reading: Reading, video: str, start: float, now: float) -> tuple[float, ...]:
    names = ("start_frame", "stop_frame")
    ends = [[reading.seconds(required(step, name), name, video) for name in names] for step in steps]
    middles = [sum(pair) / 2 for pair in ends]
    return tuple(t for t in middles if start <= t <= now)
