"""Shortcut probes: how well the answer can be guessed without the video.

Three kinds of rule are measured on questions with a known answer: "the k-th shortest option", a learned rule that sees
only length and punctuation, and a learned rule that sees the words of question and options. The learned rules are
conditional logit models (McFadden 1974: softmax over a question's own options), cross-validated by recording.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from pipeline.checks.logit import cross_validated_accuracy
from pipeline.checks.text_features import surface_features, word_features
from pipeline.records import Question
from pipeline.text.options import share_of

RANKS = 5


@dataclass(frozen=True)
class ProbeScore:
    """How often `rule` finds the answer, on `questions` questions where guessing finds it with probability `chance`.

    `low` and `high` bound the accuracy with 99 % confidence (Wilson). `hits` is how often it names the answer of each
    question it judges.
    """

    rule: str
    questions: int
    accuracy: float
    chance: float
    low: float
    high: float
    learned: bool = False
    hits: Mapping[str, float] = field(default_factory=dict, repr=False, compare=False)

    @property
    def gain(self) -> float:
        """Accuracy above chance; negative if the rule avoids the answer, which reveals just as much."""
        return self.accuracy - self.chance

    def exceeds(self, bound: float) -> bool:
        """Whether the near end of the interval is more than `bound` away from chance.

        A learned rule below chance does not count: on held-out rows of exactly balanced answers it must fall below.
        """
        below = 0.0 if self.learned else self.chance - self.high
        return max(self.low - self.chance, below) > bound

    def questions_needed(self, bound: float) -> int | None:
        """How many questions are needed before an accuracy like this one exceeds `bound` with confidence. None if it
        is within `bound` of chance, or exceeds it already."""
        gain = self.gain if self.learned else abs(self.gain)
        if gain <= bound or self.exceeds(bound):
            return None
        count = self.questions + 1
        while not score_of(self.rule, self.accuracy, self.chance, count, self.learned).exceeds(bound):
            count += max(1, count // 50)
        return count

    def as_dict(self) -> dict[str, Any]:
        """The score as JSON types, four decimals; without the hits."""
        shown = {name: value for name, value in asdict(self).items() if name != "hits"}
        return {name: round(value, 4) if isinstance(value, float) else value for name, value in shown.items()}


def probe_questions(questions: Sequence[Question], recordings: Sequence[str], most: int, seed: int) -> list[ProbeScore]:
    """Every probe's score, in a fixed order; [] if no question has a public answer.

    Args:
        questions: any; those without an answer are left out.
        recordings: the recording of each question; it keeps the folds of the cross-validation apart.
        most: the learned probes use at most this many questions, chosen by a hash of their ids.
    """
    known = [(q, r) for q, r in zip(questions, recordings, strict=True) if q.answer is not None]
    if not known:
        return []
    questions = [question for question, _ in known]
    scores = [_score(f"shortest option {k + 1}", _rank_hits(k, questions), questions) for k in range(RANKS)]
    fewer = sorted(known, key=lambda pair: share_of(pair[0].question_id, seed))[:most]
    chosen, folds = [q for q, _ in fewer], [_fold(r, seed) for _, r in fewer]
    for rule, features in (("length and punctuation", surface_features), ("words", word_features)):
        if len(set(folds)) > 1:
            hits = cross_validated_accuracy(features(chosen), [q.answer or 0 for q in chosen], folds)
            judged = {q.question_id: float(hit) for q, hit in zip(chosen, hits, strict=True)}
            scores.append(_score(rule, judged, chosen, learned=True))
    return scores


def _fold(recording: str, seed: int, folds: int = 5) -> int:
    return int(share_of(f"fold|{recording}", seed) * folds)


def _rank_hits(rank: int, questions: Sequence[Question]) -> dict[str, float]:
    """Expected hits of "take the option of this length rank" (0 = shortest, in characters), equal lengths drawn at
    random."""
    hits = {}
    for question in questions:
        lengths = [len(option) for option in question.options]
        own = lengths[question.answer or 0]
        shorter, same = sum(n < own for n in lengths), lengths.count(own)
        if rank < len(lengths):
            hits[question.question_id] = 1 / same if shorter <= rank < shorter + same else 0.0
    return hits


def score_of(rule: str, accuracy: float, chance: float, questions: int, learned: bool = False) -> ProbeScore:
    """A score with its interval."""
    return ProbeScore(rule, questions, accuracy, chance, *wilson(accuracy, questions), learned=learned)


def _score(rule: str, hits: Mapping[str, float], questions: Sequence[Question], learned: bool = False) -> ProbeScore:
    chance = [1 / len(q.options) for q in questions if q.question_id in hits]
    n, accuracy = len(hits), float(np.mean(list(hits.values()))) if hits else 0.0
    return replace(score_of(rule, accuracy, float(np.mean(chance)) if chance else 0.0, n, learned), hits=hits)


def wilson(share: float, n: int, z: float = 2.576) -> tuple[float, float]:
    """Wilson's interval of a binomial share (1927); z = 2.576 is 99 %. (0, 1) if n is 0."""
    if n == 0:
        return 0.0, 1.0
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, middle - half), min(1.0, middle + half)
