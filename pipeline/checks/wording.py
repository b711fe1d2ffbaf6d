"""Find the evaluation question that a text rewords.

Texts are compared by the word pairs that few questions contain, in evaluation and in training. Pairs that many share
belong to a template ("what action should I take next in order to"), which identifies no item. No EgoSchema question
has a similarity of 0.4, options included, to one about another recording. A copy with one word in ten replaced and
its options moved has (docs/log.md).
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from itertools import chain

from pipeline.text.duplicates import shingles

RARE = 25  # of EgoSchema's 5,031; in smaller sets one in twenty, but at least two
RARE_SHARE = 0.005  # of the training texts, but at least three


class Wordings:
    """The distinctive word pairs of evaluation texts, by id."""

    def __init__(self, texts: Mapping[str, str], training: Collection[str]) -> None:
        pairs = {key: shingles(text, words=2) for key, text in texts.items()}
        self._common = _above(pairs.values(), max(2, min(RARE, len(pairs) // 20)))
        known = frozenset(chain.from_iterable(pairs.values())) - self._common
        seen = (shingles(text, words=2) & known for text in training)
        self._common |= _above(seen, max(3, int(RARE_SHARE * len(training))))
        self._pairs = {key: own - self._common for key, own in pairs.items()}
        self._index: dict[str, list[str]] = {}
        for key in sorted(self._pairs):
            for pair in self._pairs[key]:
                self._index.setdefault(pair, []).append(key)

    def nearest(self, text: str, similarity: float, least: int) -> str | None:
        """The most similar evaluation text with at least Jaccard `similarity` of the distinctive pairs; None if
        there is none. Texts with fewer than `least` distinctive pairs are skipped: they are too short to identify an
        item."""
        own = shingles(text, words=2) - self._common
        shared = Counter(chain.from_iterable(self._index[pair] for pair in own if pair in self._index))
        likely = [key for key, common in shared.items() if common >= similarity * len(own)]
        alike = {key: shared[key] / (len(own) + len(self._pairs[key]) - shared[key])
                 for key in likely if len(self._pairs[key]) >= least}  # fmt: skip
        best = max(sorted(alike), key=lambda key: alike[key], default=None)
        return best if best is not None and alike[best] >= similarity else None


def _above(sets: Iterable[frozenset[str]], most: int) -> frozenset[str]:
    """What occurs in more than `most` of `sets`."""
    return frozenset(pair for pair, count in Counter(chain.from_iterable(sets)).items() if count > most)
