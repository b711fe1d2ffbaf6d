"""From an open-ended row to five options: wrong answers that look like the right one.

They are true answers of other rows of the same source and question type, never true of the same recording (of the same
clip, where a recording knows nearly all answers of its type). Five rows lend each other their answers
(`pipeline.mcq.blocks`), so that nothing about an option is a hint; a few rows that find no block draw from the answers
near in length. A common answer cannot be a wrong option often enough to be no good guess: training rows beyond that
are named in `guessable` (as Goyal et al. 2017, "Making the V in VQA Matter", balance answers).
"""

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from pipeline.errors import ItemError
from pipeline.mcq.blocks import OpenRow, make_blocks
from pipeline.mcq.questions import MAX_OPTIONS, normalise, seeded, share_of
from pipeline.mcq.truths import Truths
from pipeline.records import Annotation, Split

_NEEDED = MAX_OPTIONS - 1
_REACH = 24  # different answers looked at on either side in order of length
_ALONE = 0.1  # training rows outside blocks, of those within
_YES_NO = ("yes", "no")
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
        rows: all annotations; those with options of their own are passed over.
        recordings: recording of each video; a video that is not named stands for itself.
        splits: by question id. Rows of one split lend each other their answers, and only training rows can be too many.
        seed: of every choice by lot.

    Attributes:
        guessable: question id of each training row whose answer could be guessed -> what to say of it.
    """

    def __init__(
        self, rows: Iterable[Annotation], recordings: Mapping[str, str], splits: Mapping[str, Split], seed: int
    ) -> None:
        self._seed = seed
        self._shared: dict[str, tuple[str, ...]] = {}
        self.guessable: dict[str, str] = {}
        answered = [row for row in rows if row.options is None and normalise(row.answer_text or "")]
        groups: dict[Group, list[Annotation]] = defaultdict(list)
        for row in answered:
            groups[_group(row)].append(row)
        truths = Truths(answered, recordings)
        self._answers = {group: _distinct(own) for group, own in groups.items()}
        self._open = {row.question_id: row for group, own in groups.items() for row in self._opened(group, own, truths)}
        for group, own in groups.items():
            self._lend(group, own, splits)

    def _opened(self, group: Group, rows: Sequence[Annotation], truths: Truths) -> Iterable[OpenRow]:
        known = frozenset(answer.normal for answer in self._answers[group])
        for row in rows:
            text = str(row.answer_text).strip()
            banned = truths.beside(row, known, _NEEDED)
            yield OpenRow(row.question_id, row.question, text, normalise(text), banned)

    def _lend(self, group: Group, rows: Sequence[Annotation], splits: Mapping[str, Split]) -> None:
        """Blocks within each split; of the training rows that found none, those that are too many are named."""
        by_split: dict[Split, list[OpenRow]] = defaultdict(list)
        for row in rows:
            by_split[splits[row.question_id]].append(self._open[row.question_id])
        for split, own in by_split.items():
            alone = [row for row in own if row.normal not in _YES_NO]
            for block in make_blocks(alone, self._seed):
                for row in block:
                    self._shared[row.question_id] = (row.text, *(other.text for other in block if other is not row))
            if split == "train":
                alone = [row for row in alone if row.question_id not in self._shared]
                room = max(_NEEDED, int(_ALONE * (len(own) - len(alone))))
                self.guessable |= _excess(group, alone, MAX_OPTIONS, room, self._seed)
                yes_no = [row for row in own if row.normal in _YES_NO]
                self.guessable |= _excess(group, yes_no, len(_YES_NO), len(own), self._seed)

    def options(self, row: Annotation) -> tuple[tuple[str, ...], str]:
        """The row's answer first, then the wrong ones, and in words where they are from.

        Raises:
            ItemError: `no_answer`, or `no_distractors` where the group has not enough other answers.
        """
        truth = (row.answer_text or "").strip()
        if not normalise(truth):
            raise ItemError("no_answer", "an open-ended row needs its answer")
        if normalise(truth) in _YES_NO:
            return (truth, _opposite(truth)), "yes against no"
        if row.question_id in self._shared:
            return self._shared[row.question_id], "wrong answers shared by five questions"
        return (truth, *self._draw(row, truth)), "wrong answers of near length"

    def _draw(self, row: Annotation, truth: str) -> list[str]:
        """Four other answers, as many shorter ones as a lot decides, common ones more often than rare ones."""
        chance = seeded(self._seed, "distractors", row.question_id)
        answers = self._answers.get(_group(row), [])
        opened = self._open.get(row.question_id)
        taken = {normalise(truth)} | (opened.banned if opened else frozenset())
        ends = (find(answers, len(truth), key=lambda answer: answer.length) for find in (bisect_left, bisect_right))
        middle = chance.randint(*ends)  # anywhere among answers of equal length, or the truth would be the longest
        below, above = (
            list(islice((answers[i] for i in places if answers[i].normal not in taken), _REACH))
            for places in (range(middle - 1, -1, -1), range(middle, len(answers)))
        )
        if len(below) + len(above) < _NEEDED:
            raise ItemError(
                "no_distractors",
                f"{_group(row)} has {len(below) + len(above)} answers that are not true of the same clip, {_NEEDED} "
                "are needed",
            )
        shorter = min(max(chance.randint(0, _NEEDED), _NEEDED - len(above)), len(below))
        picked: list[str] = []
        for side, number in ((below, shorter), (above, _NEEDED - shorter)):
            order = sorted(side, key=lambda answer: chance.random() ** (1 / answer.count), reverse=True)
            picked += [answer.text for answer in order[:number]]  # weighted without return: Efraimidis, Spirakis 2006
        return picked


def _distinct(rows: Iterable[Annotation]) -> list[_Answer]:
    """Every answer once, in its first form by alphabet, with its count; by length."""
    texts: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        text = str(row.answer_text).strip()
        texts[normalise(text)].append(text)
    answers = [_Answer(len(min(own)), min(own), normal, len(own)) for normal, own in texts.items()]
    return sorted(
        (answer for answer in answers if answer.normal not in _YES_NO), key=lambda answer: (answer.length, answer.text)
    )


def _excess(group: Group, rows: Sequence[OpenRow], options: int, room: int, seed: int) -> dict[str, str]:
    """Rows beyond `room`, and rows beyond what one answer may have of those that stay: its share by chance and one."""
    counts = Counter(row.normal for row in rows)
    most = _most(list(counts.values()), 1 / options)
    seen: Counter[str] = Counter()
    excess = {}
    for row in sorted(rows, key=lambda row: (share_of(f"common|{row.question_id}", seed), row.question_id)):
        if seen[row.normal] < most and seen.total() < room:
            seen[row.normal] += 1
        else:
            excess[row.question_id] = (
                f"{row.text!r} is right too often among {group}, or true of too many clips, to be a wrong option "
                f"{options - 1} times as often; {counts[row.normal]} such rows, {seen[row.normal]} kept"
            )
    return excess


def _most(counts: Sequence[int], share: float) -> int:
    """The largest x with x - 1 <= share * sum(min(count, x)); by bisection, as the left side grows faster."""
    low, high = 1, max(counts, default=1)
    while low < high:
        middle = (low + high + 1) // 2
        if middle - 1 <= share * sum(min(count, middle) for count in counts):
            low = middle
        else:
            high = middle - 1
    return low


def _opposite(truth: str) -> str:
    """`No.` for `Yes.`: the other word in the same letters and with the same signs, or its form would be a hint."""
    own = "yes" if "yes" in truth.casefold() else "no"
    start = truth.casefold().index(own)
    word, other = truth[start : start + len(own)], _YES_NO[1 - _YES_NO.index(own)]
    formed = other.upper() if word.isupper() else other.capitalize() if word[0].isupper() else other
    return truth[:start] + formed + truth[start + len(own) :]


def _group(row: Annotation) -> Group:
    """Source and question type: the stated family, else the question's first two words."""
    return row.source, row.family or " ".join(normalise(row.question).split()[:2])
