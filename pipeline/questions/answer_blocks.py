"""Blocks of five open-ended rows that share their answers as options.

Every row of a block gets the same five options, the block's answers, and each of them is right in exactly one row. A
rule that sees only the options is then right exactly once in five, whatever it has learned about length, form, words
or how common an answer is. Drawing wrong answers row by row cannot guarantee that.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import log

from pipeline.questions.answer_queue import Queue
from pipeline.text.options import MAX_OPTIONS, normalise_text, share_of

_REACH = (64, 256)  # rows considered for one block, in the first pass and in the second
_BUCKET = log(1.3)  # answers whose lengths differ by less than this factor count as equally long


@dataclass(frozen=True, eq=False)
class OpenRow:
    """An open-ended row: its answer as written and normalised, and the other answers that are true of its clip."""

    question_id: str
    question: str
    text: str
    normal: str
    banned: frozenset[str]


def make_blocks(rows: Iterable[OpenRow], seed: int) -> list[list[OpenRow]]:
    """Blocks of five rows of one source and question type, in O(n log n). Rows that fit nowhere are in no block.

    Rows with similar length and topic come together as far as frequencies allow: an answer so common that every
    remaining block needs it goes first.
    """
    left = list(rows)
    blocks: list[list[OpenRow]] = []
    for reach, order in zip(_REACH, (_by_likeness(left, seed), _by_lot(seed)), strict=True):
        left.sort(key=order)
        made = _one_pass(left, reach)
        used = {row.question_id for block in made for row in block}
        left = [row for row in left if row.question_id not in used]
        blocks += made
    return blocks


Order = Callable[[OpenRow], tuple[object, ...]]


def _by_lot(seed: int) -> Order:
    return lambda row: (share_of(f"block|{row.question_id}", seed), row.question_id)


def _by_likeness(rows: Sequence[OpenRow], seed: int) -> Order:
    words = {row.question_id: set(normalise_text(row.question).split()) for row in rows}
    counts = Counter(word for own in words.values() for word in own)
    lot = _by_lot(seed)

    def topic(row: OpenRow) -> str:
        """The question's rarest word that enough rows share, so that a block's questions are about one thing."""
        shared = [(counts[word], word) for word in words[row.question_id] if counts[word] >= MAX_OPTIONS]
        return min(shared, default=(0, ""))[1]

    return lambda row: (row.normal.isdigit(), topic(row), int(log(len(row.text)) / _BUCKET), *lot(row))


def _one_pass(rows: Sequence[OpenRow], reach: int) -> list[list[OpenRow]]:
    """Blocks made from the front of `rows`; a first row without four partners is skipped."""
    blocks: list[list[OpenRow]] = []
    queue = Queue([row.normal for row in rows])
    while queue.remaining >= MAX_OPTIONS:
        block = _Block(rows)
        first = queue.first()
        block.add([first], 1)
        for answer in queue.due(queue.remaining // MAX_OPTIONS):
            block.add(queue.places_of(answer), 1)
        block.add(queue.after(first, reach), MAX_OPTIONS)
        complete = len(block.places) == MAX_OPTIONS
        for place in block.places if complete else [first]:
            queue.remove(place)
        if complete:
            blocks.append([rows[place] for place in block.places])
    return blocks


class _Block:
    """Positions of rows such that no row's answer is true of another row's clip."""

    def __init__(self, rows: Sequence[OpenRow]) -> None:
        self.places: list[int] = []
        self._rows = rows
        self._answers: set[str] = set()
        self._barred: set[str] = set()

    def add(self, candidates: Iterable[int], most: int) -> None:
        """Up to `most` of the candidates, five positions in all."""
        wanted = min(len(self.places) + most, MAX_OPTIONS)
        for place in candidates:
            if len(self.places) == wanted:
                return
            row = self._rows[place]
            if row.normal not in self._barred and row.banned.isdisjoint(self._answers):
                self.places.append(place)
                self._answers.add(row.normal)
                self._barred |= row.banned | {row.normal}
