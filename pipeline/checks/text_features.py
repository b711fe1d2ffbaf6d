"""What a probe may see of a question: the surface of its options, or their words. Never the video."""

import itertools
import re
import zlib
from collections.abc import Sequence

import numpy as np
from scipy.sparse import csr_matrix

from pipeline.checks.logit import OptionFeatures
from pipeline.mcq.questions import normalise
from pipeline.records import Question

BUCKETS = 1 << 15
_PUNCTUATION = ",.;:'\"-()!?/"


def surface_features(questions: Sequence[Question]) -> OptionFeatures:
    """Lengths, length ranks, punctuation, digits and capitals of each option, relative to its question's other
    options."""
    rows = [row for question in questions for row in _surface(question.options)]
    values = np.array(rows)
    values /= np.maximum(values.std(axis=0), 1e-9)
    return OptionFeatures(csr_matrix(values), _sizes(questions))


def _surface(options: Sequence[str]) -> np.ndarray:
    measured = np.array([_measure(option) for option in options], dtype=np.float64)
    ranks = np.zeros((len(options), 5))
    for i, length in enumerate(measured[:, 0]):
        same = np.flatnonzero(measured[:, 0] == length)
        shorter = int((measured[:, 0] < length).sum())
        ranks[i, shorter : shorter + len(same)] = 1 / len(same)
    return np.hstack([measured - measured.mean(axis=0), ranks])


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
    return re.findall(r"\w+", normalise(text))


def _bucket(term: str) -> int:
    return zlib.crc32(term.encode()) % BUCKETS


def _sizes(questions: Sequence[Question]) -> "np.ndarray":
    return np.array([len(question.options) for question in questions], dtype=np.int64)
