"""Which open-ended training rows must be removed so that no answer is a good guess.

A common answer may be true of so many clips that it cannot be a wrong option four times as often as it is right. Always
choosing it is then right too often, so rows must be removed, as in the balanced sets of Goyal et al. 2017 ("Making
the V in VQA Matter", arXiv 1612.00837).
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from pipeline.questions.answer_blocks import OpenRow
from pipeline.text.options import share_of

YES_NO = ("yes", "no")
_WRONG_PER_RIGHT = 3  # an answer may be right once more than a third as often as it is wrong; 1 in 4 would be chance
_ROUNDS = 4  # removed rows take their wrong options with them


def guessable(rows: Iterable[tuple[OpenRow, Sequence[str]]], seed: int) -> Iterator[tuple[OpenRow, str]]:
    """Rows whose answer, when offered as an option, is right too often, and the message about it.

    Args:
        rows: rows with the wrong answers (normalised) that were drawn for them.
        seed: decides which rows of an answer are removed.
    """
    left = sorted(rows, key=lambda pair: _lot(pair[0], seed))
    for _ in range(_ROUNDS):
        wrong = Counter(answer for _, answers in left for answer in answers)
        right: Counter[str] = Counter()
        kept = []
        for row, answers in left:
            if right[row.normal] < 1 + wrong[row.normal] / _WRONG_PER_RIGHT:
                right[row.normal] += 1
                kept.append((row, answers))
            else:
                yield (
                    row,
                    f"{row.text!r} is right too often among similar questions to be a wrong option as often as "
                    "chance requires",
                )
        left = kept


def guessable_yes_no(rows: Sequence[OpenRow], seed: int) -> Iterator[tuple[OpenRow, str]]:
    """The rows of the more common of the two answers, beyond one more than the number of the rarer."""
    counts = Counter(row.normal for row in rows)
    room = min(counts[word] for word in YES_NO) + 1
    seen: Counter[str] = Counter()
    for row in sorted(rows, key=lambda row: _lot(row, seed)):
        seen[row.normal] += 1
        if seen[row.normal] > room:
            yield row, f"{row.text!r} answers {counts[row.normal]} of {len(rows)} such questions; {room} are kept"


def _lot(row: OpenRow, seed: int) -> tuple[float, str]:
    return share_of(f"common|{row.question_id}", seed), row.question_id
