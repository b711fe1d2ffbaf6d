"""What a probe may see of a question: the form of its options or their words, never the video."""

import itertools
import re
import zlib
from collections.abc import Sequence

import numpy as np
from scipy.sparse import csr_matrix

from pipeline.checks.logit import OptionFeatures
from pipeline.records import Question
from pipeline.text.options import normalise_text

BUCKETS = 1 << 15
_PUNCTUATION = ",.;:'\"-()!?/"


def surface_features(questions: Sequence[Question]) -> OptionFeatures:
    """Lengths, length ranks, punctuation, digits and capitals of each option, relative to its question's other
    options."""
    values = np.array([_measure(option) for question in questions for option in question.options], dtype=np.float64)
    sizes = _sizes(questions)
    values = np.hstack([values - _means(values, sizes), _ranks(values[:, 0], sizes)])
    values /= np.maximum(values.std(axis=0), 1e-9)
    return OptionFeatures(csr_matrix(values), sizes)


def _means(values: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    starts = np.cumsum(sizes) - sizes
    return np.repeat(np.add.reduceat(values, starts) / sizes[:, None], sizes, axis=0)


def _ranks(lengths: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Each option's rank by length within its question; options of equal length share their ranks."""
    ranks = np.zeros((len(lengths), 5))
    starts = np.cumsum(sizes) - sizes
    for size in set(sizes.tolist()):
        rows = starts[sizes == size][:, None] + np.arange(size)
        own = lengths[rows]
        shorter = (own[:, None, :] < own[:, :, None]).sum(axis=2)
        same = (own[:, None, :] == own[:, :, None]).sum(axis=2)
        for place in range(size):
            ranks[rows, place] = ((shorter <= place) & (place < shorter + same)) / same
    return ranks


def _measure(option: str) -> list[float]:
    words = option.split()
    counts = [option.count(mark) for mark in _PUNCTUATION]
    return [
        len(option),
        np.log1p(len(option)),
        len(words),
        sum(map(len, words)) / max(len(words), 1),
        float(option.endswith(".")),
        float(option[:1].isupper()),
        sum(c.isupper() for c in option),
        sum(c.isdigit() for c in option),
        *counts,
    ]


def word_features(questions: Sequence[Question]) -> OptionFeatures:
    """Hashed words and word pairs of each option, its words crossed with the question's family or first words, and
    how much it shares with the question and with the other options."""
    data: list[float] = []
    columns: list[int] = []
    ends = [0]
    for question in questions:
        words = [_words(option) for option in question.options]
        asked = _words(question.question)
        kind = " ".join(asked[:3])
        for own in words:
            found = {_bucket(term) for term in _terms(own, kind)}
            columns += [*sorted(found), BUCKETS, BUCKETS + 1]
            data += [1.0] * len(found) + _overlaps(own, asked, words)
            ends.append(len(columns))
    shape = (len(ends) - 1, BUCKETS + 2)
    values = csr_matrix((np.array(data), np.array(columns), np.array(ends)), shape=shape)
    return OptionFeatures(values, _sizes(questions))


def _terms(words: list[str], kind: str) -> list[str]:
    pairs = [f"{a} {b}" for a, b in itertools.pairwise(words)]
    return [*words, *pairs, *(f"{kind}|{word}" for word in words)]


def _overlaps(own: list[str], asked: list[str], all_words: list[list[str]]) -> list[float]:
    mine = set(own)
    others = [mine & set(other) for other in all_words if other is not own]
    shared = sum(len(common) for common in others) / max(len(others), 1)
    return [len(mine & set(asked)) / max(len(mine), 1), shared / max(len(mine), 1)]


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", normalise_text(text))


def _bucket(term: str) -> int:
    return zlib.crc32(term.encode()) % BUCKETS


def _sizes(questions: Sequence[Question]) -> "np.ndarray":
    return np.array([len(question.options) for question in questions], dtype=np.int64)
