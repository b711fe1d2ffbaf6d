"""From an open-ended row to five options: wrong answers that look like the right one.

They are true answers of other rows of the same source and question type, but never true of the same recording. (If
nearly all answers of the type are true of the recording, then never of the same clip.) Five rows share their answers
(`pipeline.questions.answer_blocks`), so that nothing about an option is a hint. The few rows without a block draw from
answers of similar length.
"""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice

from pipeline.errors import ItemError
from pipeline.questions.answer_blocks import OpenRow, make_blocks
from pipeline.questions.balance import YES_NO, guessable, guessable_yes_no
from pipeline.questions.true_answers import TrueAnswers
from pipeline.records import Annotation, Split
from pipeline.text.options import MAX_OPTIONS, normalise_text, seeded

_NEEDED = MAX_OPTIONS - 1
_REACH = 24  # different answers considered on either side, in order of length
Group = tuple[str, str]


@dataclass(frozen=True)
class _Answer:
    length: int
    text: str
    normal: str
    count: int


class AnswerPool:
    """Options for all open-ended rows.

    Args:
        rows: all annotations; those with their own options are skipped.
        recordings: recording of each video; an unlisted video is its own recording.
        splits: by question id. Rows of one split share their answers, and only training rows can be removed.
        seed: of every random choice.

    Attributes:
        guessable: question id of each training row whose answer could be guessed -> the message about it.
    """

    def __init__(
        self, rows: Iterable[Annotation], recordings: Mapping[str, str], splits: Mapping[str, Split], seed: int
    ) -> None:
        self._seed = seed
        self._lent: dict[str, tuple[str, ...]] = {}
        self.guessable: dict[str, str] = {}
        answered = [row for row in rows if row.options is None and normalise_text(row.answer_text or "")]
        groups: dict[Group, list[Annotation]] = defaultdict(list)
        for row in answered:
            groups[_group(row)].append(row)
        truths = TrueAnswers(answered, recordings)
        self._answers = {group: _distinct(own) for group, own in groups.items()}
        self._open = {row.question_id: row for group, own in groups.items() for row in self._opened(group, own, truths)}
        for own in groups.values():
            self._lend(own, splits)

    def _opened(self, group: Group, rows: Sequence[Annotation], truths: TrueAnswers) -> Iterable[OpenRow]:
        known = frozenset(answer.normal for answer in self._answers[group])
        for row in rows:
            text = str(row.answer_text).strip()
            banned = truths.beside(row, known, _NEEDED)
            yield OpenRow(row.question_id, row.question, text, normalise_text(text), banned)

    def _lend(self, rows: Sequence[Annotation], splits: Mapping[str, Split]) -> None:
        """Make blocks within each split, and wrong answers for the rows without one; record the training rows that
        could be guessed."""
        by_split: dict[Split, list[Annotation]] = defaultdict(list)
        for row in rows:
            by_split[splits[row.question_id]].append(row)
        for split, own in by_split.items():
            opened = [self._open[row.question_id] for row in own]
            for block in make_blocks((row for row in opened if row.normal not in YES_NO), self._seed):
                for one in block:
                    self._lent[one.question_id] = (one.text, *(other.text for other in block if other is not one))
            alone = self._draw_alone(own)
            if split == "train":
                yes_no = [row for row in opened if row.normal in YES_NO]
                for gone, detail in [*guessable(alone, self._seed), *guessable_yes_no(yes_no, self._seed)]:
                    self.guessable[gone.question_id] = detail

    def _draw_alone(self, rows: Sequence[Annotation]) -> list[tuple[OpenRow, list[str]]]:
        """The rows without a block for which wrong answers exist, and those answers; the other rows fail when they
        are requested."""
        drawn = []
        for row in rows:
            opened = self._open[row.question_id]
            if opened.normal not in YES_NO and row.question_id not in self._lent:
                with suppress(ItemError):
                    drawn.append((opened, [normalise_text(text) for text in self._draw(row, opened.text)]))
        return drawn

    def options(self, row: Annotation) -> tuple[tuple[str, ...], str]:
        """The row's answer, then the wrong ones; and a phrase that says where they are from.

        Raises:
            ItemError: `no_answer`, or `no_distractors` if the group has too few other answers.
        """
        truth = (row.answer_text or "").strip()
        if not normalise_text(truth):
            raise ItemError("no_answer", "an open-ended row needs its answer")
        if normalise_text(truth) in YES_NO:
            return (truth, _opposite(truth)), "yes against no"
        if row.question_id in self._lent:
            return self._lent[row.question_id], "wrong answers shared by five questions"
        return (truth, *self._draw(row, truth)), "wrong answers of near length"

    def _draw(self, row: Annotation, truth: str) -> list[str]:
        """Four other answers: a random number of shorter ones, and common answers more often than rare ones."""
        chance = seeded(self._seed, "distractors", row.question_id)
        answers = self._answers.get(_group(row), [])
        opened = self._open.get(row.question_id)
        taken = {normalise_text(truth)} | (opened.banned if opened else frozenset())
        ends = (find(answers, len(truth), key=lambda answer: answer.length) for find in (bisect_left, bisect_right))
        # anywhere among answers of equal length; otherwise the truth would be the longest
        middle = chance.randint(*ends)
        below, above = (
            list(islice((answers[i] for i in places if answers[i].normal not in taken), _REACH))
            for places in (range(middle - 1, -1, -1), range(middle, len(answers)))
        )
        if len(below) + len(above) < _NEEDED:
            raise ItemError(
                "no_distractors",
                f"{_group(row)} has {len(below) + len(above)} answers that are not true of the same clip, but "
                f"{_NEEDED} are needed",
            )
        shorter = min(max(chance.randint(0, _NEEDED), _NEEDED - len(above)), len(below))
        picked: list[str] = []
        for side, number in ((below, shorter), (above, _NEEDED - shorter)):
            order = sorted(side, key=lambda answer: chance.random() ** (1 / answer.count), reverse=True)
            # weighted, without replacement: Efraimidis, Spirakis 2006
            picked += [answer.text for answer in order[:number]]
        return picked


def _distinct(rows: Iterable[Annotation]) -> list[_Answer]:
    """Every answer once, in its alphabetically first form, with its count; sorted by length."""
    texts: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        text = str(row.answer_text).strip()
        texts[normalise_text(text)].append(text)
    answers = [_Answer(len(min(own)), min(own), normal, len(own)) for normal, own in texts.items()]
    return sorted(
        (answer for answer in answers if answer.normal not in YES_NO), key=lambda answer: (answer.length, answer.text)
    )


def _opposite(truth: str) -> str:
    """`No.` for `Yes.`: the opposite with the same capitals and punctuation, so that its form is no hint."""
    own = "yes" if "yes" in truth.casefold() else "no"
    start = truth.casefold().index(own)
    word, other = truth[start : start + len(own)], YES_NO[1 - YES_NO.index(own)]
    formed = other.upper() if word.isupper() else other.capitalize() if word[0].isupper() else other
    return truth[:start] + formed + truth[start + len(own) :]


def _group(row: Annotation) -> Group:
    """Source and question type: the stated family, else the question's first two words."""
    return row.source, row.family or " ".join(normalise_text(row.question).split()[:2])
