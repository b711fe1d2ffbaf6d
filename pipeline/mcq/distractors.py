"""From an open-ended row to five options: wrong answers that look like the right one.

They are true answers of other rows of the same source and question type, on other recordings, so that content and style
come from one hand; drawn with their frequency, so that a common answer is no hint; and as many shorter as longer
ones as a lot decides, so that length is no hint either.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pipeline.errors import ItemError
from pipeline.mcq.questions import MAX_OPTIONS, normalise, seeded
from pipeline.records import Annotation

_NEEDED = MAX_OPTIONS - 1
_REACH = 24  # answers looked at on either side in order of length
_YES_NO = ("yes", "no")


@dataclass(frozen=True)
class _Answer:
    length: int
    text: str
    normal: str
    recording: str


class AnswerPool:
    """True answers of all open-ended rows, by source and question type."""

    def __init__(self, rows: Iterable[Annotation], recordings: Mapping[str, str]) -> None:
        self._recordings = recordings
        self._groups: dict[tuple[str, str], list[_Answer]] = {}
        self._truths: dict[str, set[str]] = {}
        for row in rows:
            if row.options is None and row.answer_text:
                answer = _Answer(
                    len(row.answer_text), row.answer_text, normalise(row.answer_text), self._recording(row)
                )
                self._groups.setdefault(_group(row), []).append(answer)
                self._truths.setdefault(answer.recording, set()).add(answer.normal)
        for answers in self._groups.values():
            answers.sort(key=lambda answer: (answer.length, answer.text, answer.recording))

    def _recording(self, row: Annotation) -> str:
        return self._recordings.get(row.video_id, row.video_id)

    def options(self, row: Annotation, seed: int) -> tuple[str, ...]:
        """The row's answer first, then four wrong ones; `yes` and `no` alone where the answer is one of them.

        Raises:
            ItemError: `no_answer`, or `no_distractors` where the group has not enough other answers.
        """
        if not (row.answer_text or "").strip():
            raise ItemError("no_answer", "an open-ended row needs its answer")
        truth = str(row.answer_text).strip()
        if normalise(truth) in _YES_NO:
            return (truth, next(word for word in _YES_NO if word != normalise(truth)))
        return (truth, *self._draw(row, truth, seed))

    def _draw(self, row: Annotation, truth: str, seed: int) -> list[str]:
        chance = seeded(seed, "distractors", row.question_id)
        answers = self._groups.get(_group(row), [])
        ends = (find(answers, len(truth), key=lambda answer: answer.length) for find in (bisect_left, bisect_right))
        middle = chance.randint(*ends)  # anywhere among answers of equal length, or the truth would be the longest
        taken = {normalise(truth)} | self._truths.get(self._recording(row), set())
        below = list(answers[max(0, middle - _REACH) : middle])
        above = list(answers[middle : middle + _REACH])
        chance.shuffle(below)
        chance.shuffle(above)
        shorter = chance.randint(0, _NEEDED)
        chosen = _take(below, shorter, taken)
        chosen += _take(above, _NEEDED - len(chosen), taken)
        chosen += _take(below, _NEEDED - len(chosen), taken)
        if len(chosen) < _NEEDED:
            raise ItemError(
                "no_distractors", f"{_group(row)} has {len(chosen)} other answers near, {_NEEDED} are needed"
            )
        return chosen


def _take(answers: list[_Answer], number: int, taken: set[str]) -> list[str]:
    """The first `number` answers that are not in `taken`, which grows by them."""
    chosen: list[str] = []
    for answer in answers:
        if len(chosen) == number:
            break
        if answer.normal and answer.normal not in taken:
            taken.add(answer.normal)
            chosen.append(answer.text)
    return chosen


def _group(row: Annotation) -> tuple[str, str]:
    """Source and question type: the stated family, else the question's first two words."""
    return row.source, row.family or " ".join(normalise(row.question).split()[:2])
