"""Turn one annotation and its video into one Question; every way this can fail has a name."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.errors import ItemError
from pipeline.questions.distractors import AnswerPool
from pipeline.records import Annotation, Question, Split, Video
from pipeline.text.options import check_answer, clean_options, equal_options, shuffle_options

_TAIL_SECONDS = 0.5  # annotations round up; up to this far past the end of the file counts as the end


@dataclass(frozen=True)
class Plan:
    """What is decided outside the row: its split, whether its options are reordered, and where an open-ended row
    gets its wrong answers from."""

    split: Split
    shuffle: bool
    seed: int
    pool: AnswerPool


def build_question(row: Annotation, video: Video, plan: Plan) -> Question:
    """A Question from an annotation; an open-ended one gets options from the pool.

    Raises:
        ItemError: see `clean_options`, `check_answer`, `span_of`, `AnswerPool.options`; `no_answer` or
        `equal_options` in a training
            row, `keyframe_outside` for a key time outside the span.
    """
    drawn = row.options is None
    given, recipe = (row.options, "source") if row.options is not None else plan.pool.options(row)
    options = clean_options(given)
    answer = 0 if drawn else check_answer(row.answer, options)
    if plan.split == "train":
        _check_trainable(options, answer)
    if drawn or plan.shuffle:
        options, answer = shuffle_options(options, answer, row.question_id, plan.seed)
        recipe += f", order by sha256 with seed {plan.seed}"
    start, end = span_of(row, video.duration_seconds)
    return Question(
        question_id=row.question_id,
        video_id=row.video_id,
        source=row.source,
        licence=row.licence,
        family=row.family,
        question=_question_text(row.question),
        options=options,
        answer=answer,
        start_seconds=start,
        end_seconds=end,
        keyframe_seconds=_key_times(row, start, end),
        split=plan.split,
        recipe=recipe,
    )


def _check_trainable(options: Sequence[str], answer: int | None) -> None:
    """Stricter than for evaluation: a public benchmark is used as it is, and EgoSchema has a question with equal
    options."""
    twice = equal_options(options)
    if twice is not None:
        raise ItemError("equal_options", f"{twice[:120]!r} stands twice")
    if answer is None:
        raise ItemError("no_answer", "a training question needs its answer")


def span_of(row: Annotation, duration_seconds: float) -> tuple[float, float]:
    """The span in seconds; a missing start or end is the video's. An end just past the video's end is cut to it.

    Raises:
        ItemError: `span_outside` the video, or `empty_span`.
    """
    start = 0.0 if row.start_seconds is None else row.start_seconds
    end = duration_seconds if row.end_seconds is None else row.end_seconds
    if end > duration_seconds + _TAIL_SECONDS or start >= duration_seconds:
        raise ItemError("span_outside", f"{start:.2f}-{end:.2f} s of a video of {duration_seconds:.2f} s")
    end = min(end, duration_seconds)
    if end <= start:
        raise ItemError("empty_span", f"{start:.2f}-{end:.2f} s")
    return start, end


def _question_text(text: str) -> str:
    if not text.strip():
        raise ItemError("empty_question", "expected a text")
    return text.strip()


def _key_times(row: Annotation, start: float, end: float) -> tuple[float, ...] | None:
    if row.keyframe_seconds is None:
        return None
    outside = [t for t in row.keyframe_seconds if not start - _TAIL_SECONDS <= t <= end + _TAIL_SECONDS]
    if outside:
        raise ItemError("keyframe_outside", f"{outside[0]} s is outside the span {start:.2f}-{end:.2f} s")
    return tuple(sorted(min(max(t, start), end) for t in row.keyframe_seconds))
