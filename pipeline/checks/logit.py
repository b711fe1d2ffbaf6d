"""Conditional logit on sparse features: predicts which of a question's options is the answer."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.sparse import csr_matrix

Floats = NDArray[np.float64]
PENALTY = 1.0  # L2 on weights of features scaled to unit deviation


@dataclass(frozen=True)
class OptionFeatures:
    """Features of all options of all questions: `values` [options, features] and `sizes` [questions], in order."""

    values: csr_matrix
    sizes: NDArray[np.int64]

    @property
    def starts(self) -> NDArray[np.int64]:
        """Row of each question's first option."""
        return np.concatenate([[0], np.cumsum(self.sizes)[:-1]]).astype(np.int64)

    def take(self, chosen: NDArray[np.int64]) -> "OptionFeatures":
        """The questions `chosen` alone."""
        starts = self.starts
        rows = np.concatenate([np.arange(starts[i], starts[i] + self.sizes[i]) for i in chosen])
        return OptionFeatures(self.values[rows], self.sizes[chosen])


def cross_validated_accuracy(features: OptionFeatures, answers: Sequence[int], folds: Sequence[int]) -> list[float]:
    """1.0 for each question that a model fitted on the other folds answers correctly, else 0.0."""
    truth, fold_of = np.asarray(answers), np.asarray(folds)
    hits = np.zeros(len(truth))
    for fold in sorted(set(folds)):
        held = np.flatnonzero(fold_of == fold)
        weights = fit(features.take(np.flatnonzero(fold_of != fold)), truth[fold_of != fold])
        hits[held] = choose_options(features.take(held), weights) == truth[held]
    return [float(hit) for hit in hits]


def choose_options(features: OptionFeatures, weights: Floats) -> NDArray[np.int64]:
    """The option with the highest score per question; the first of equal ones."""
    scores = features.values @ weights
    return np.array([int(np.argmax(part)) for part in np.split(scores, features.starts[1:])])


def fit(features: OptionFeatures, answers: NDArray[np.int64], iterations: int = 60) -> Floats:
    """Weights [features] that maximise the penalised likelihood (L-BFGS; the problem is convex)."""
    starts, sizes = features.starts, features.sizes
    truth = starts + answers
    transposed = features.values.T.tocsr()

    def loss(weights: Floats) -> tuple[float, Floats]:
        scores = features.values @ weights
        scores -= np.repeat(np.maximum.reduceat(scores, starts), sizes)
        exp = np.exp(scores)
        total = np.add.reduceat(exp, starts)
        gradient = exp / np.repeat(total, sizes)
        gradient[truth] -= 1.0
        value = float(np.log(total).sum() - scores[truth].sum() + 0.5 * PENALTY * weights @ weights)
        return value, transposed @ gradient + PENALTY * weights

    start = np.zeros(features.values.shape[1])
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": iterations})
    return np.asarray(found.x)
