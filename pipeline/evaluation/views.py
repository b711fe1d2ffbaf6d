"""What a model is shown of a question: its clip, or a control instead. Pure; a view is a function in `VIEWS`.

A view says which frames of which clip to show, and in which order to list the options. It never touches pixels, so
planning is cheap, and frames are read only when a batch needs them.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from pipeline.answers.thinking import reorder
from pipeline.records import Prediction, Question


@dataclass(frozen=True)
class ViewedQuestion:
    """One way to ask a question.

    `donor` is the question whose clip is shown (None: no video). `pick` chooses from the indices 0..T-1 of its frames,
    in the order shown. `order[i]` is the question's own index of the option shown as letter i.
    """

    question: Question
    donor: Question | None
    pick: Callable[[int], Sequence[int]]
    order: tuple[int, ...]


@dataclass(frozen=True)
class Context:
    """What views may use: all evaluated questions, their recordings, and the frames already named per question
    (indices into the question's own clip). Also how many option orders to try, on how many questions to ask the
    views other than `video` (None: all), and what was already written, by view and question."""

    questions: Sequence[Question]
    parents: Mapping[str, str]
    named_frames: Mapping[str, Sequence[int]] = field(default_factory=dict)
    seed: int = 0
    permutations: int = 4
    control_questions: int | None = None
    written: Mapping[str, Mapping[str, Prediction]] = field(default_factory=dict)

    def questions_of(self, view: str) -> Sequence[Question]:
        """The questions of a view. A sample is drawn by a hash of seed and id, so a larger one contains the smaller."""
        if view == "video" or self.control_questions is None:
            return self.questions
        drawn = sorted(self.questions, key=lambda q: _draw(self.seed, "control", q.question_id))
        chosen = {question.question_id for question in drawn[: self.control_questions]}
        return [question for question in self.questions if question.question_id in chosen]


def _draw(seed: int, what: str, question_id: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}|{what}|{question_id}".encode()).digest()[:8], "big")


def _all_frames(count: int) -> Sequence[int]:
    return range(count)


def _own_order(question: Question) -> tuple[int, ...]:
    return tuple(range(len(question.options)))


def _video(question: Question, context: Context) -> list[ViewedQuestion]:
    """The question's own clip."""
    return [ViewedQuestion(question, question, _all_frames, _own_order(question))]


def _blind(question: Question, context: Context) -> list[ViewedQuestion]:
    """No video; the text is the same, frame times included."""
    return [ViewedQuestion(question, None, _all_frames, _own_order(question))]


def _shuffled(question: Question, context: Context) -> list[ViewedQuestion]:
    """The clip of another recording, drawn by the question's id; nothing if there is only one recording."""
    own = context.parents[question.video_id]
    others = [q for q in context.questions if context.parents[q.video_id] != own]
    if not others:
        return []
    donor = others[_draw(context.seed, "shuffled", question.question_id) % len(others)]
    return [ViewedQuestion(question, donor, _all_frames, _own_order(question))]


def _middle_frame(question: Question, context: Context) -> list[ViewedQuestion]:
    """The one frame in the middle."""
    return [ViewedQuestion(question, question, lambda count: [count // 2], _own_order(question))]


def _reversed(question: Question, context: Context) -> list[ViewedQuestion]:
    """The frames backwards, under the times of the forward order."""
    return [ViewedQuestion(question, question, lambda count: range(count - 1, -1, -1), _own_order(question))]


def _named_frames(question: Question, context: Context) -> list[ViewedQuestion]:
    """Only the frames that the model named as key frames before; nothing if it named none."""
    named = sorted(set(context.named_frames.get(question.question_id, ())))
    return [ViewedQuestion(question, question, lambda count: named, _own_order(question))] if named else []


def _permuted(question: Question, context: Context) -> list[ViewedQuestion]:
    """The options in up to `permutations` cyclic orders other than the original."""
    own = _own_order(question)
    orders = [own[k:] + own[:k] for k in range(1, len(own))]
    return [ViewedQuestion(question, question, _all_frames, order) for order in orders[: context.permutations]]


def _reordered(question: Question, context: Context) -> list[ViewedQuestion]:
    """The question's own clip, the options in one order drawn by seed and question in which none keeps its letter."""
    order = reorder(len(question.options), f"{context.seed}|{question.question_id}")
    return [ViewedQuestion(question, question, _all_frames, order)]


View = Callable[[Question, Context], list[ViewedQuestion]]

VIEWS: dict[str, View] = {
    "video": _video,
    "blind": _blind,
    "shuffled": _shuffled,
    "middle_frame": _middle_frame,
    "reversed": _reversed,
    "named_frames": _named_frames,
    "permuted": _permuted,
    "reordered": _reordered,
}
