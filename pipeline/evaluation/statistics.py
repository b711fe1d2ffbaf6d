"""Intervals and paired tests. Pure functions of numbers; every one refuses an empty set."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from pipeline.errors import EmptyInput


@dataclass(frozen=True)
class Estimate:
    """A value with its interval, all in the same unit, based on `count` items."""

    value: float
    low: float
    high: float
    count: int


@lru_cache(maxsize=4)
def _resamples(count: int, draws: int, seed: int) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    """How often each of `count` things is drawn in each of `draws` resamples with replacement: int64 [draws, count]."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(count, np.full(count, 1 / count), size=draws)


@lru_cache(maxsize=4)
def _weights(count: int, draws: int, seed: int) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """`draws` sets of `count` positive weights, Dirichlet up to a factor: float64 [draws, count]."""
    return np.random.default_rng(seed).standard_exponential((draws, count))


def clustered_mean(
    values: Sequence[float],
    clusters: Sequence[str],
    bounds: tuple[float, float],
    confidence: float,
    draws: int,
    seed: int,
) -> Estimate:
    """Mean of `values` and an interval that holds at any number of values, in units of `values`.

    Gaffke's interval for the mean of a bounded variable (Gaffke 2005; Learned-Miller & Thomas 2019, arXiv 1905.06208):
    a Bayesian bootstrap in which every draw also holds one value that was not seen, at the worst end of `bounds`.
    For right and wrong answers on separate recordings it is Clopper and Pearson's exact interval. The percentile
    bootstrap ignores values that it has not seen: for seven questions that all stayed the same it gave [0, 0].

    Values of one cluster (the questions about a recording) are correlated, so each draw weighs whole clusters.
    With paired differences as values, `bounds` are (-1, 1).

    Raises:
        EmptyInput: no value.
    """
    if not values:
        raise EmptyInput("there are no questions to average over: check evaluate_egoschema.splits and the answers")
    names = {name: i for i, name in enumerate(sorted(set(clusters)))}
    index = np.array([names[c] for c in clusters])
    sums = np.bincount(index, weights=np.asarray(values, float), minlength=len(names))
    sizes = np.bincount(index, minlength=len(names))
    weights = _weights(len(names) + 1, draws, seed)
    seen, unseen = weights[:, :-1], weights[:, -1]
    total, size = seen @ sums, seen @ sizes + unseen
    tail, mean = (1 - confidence) / 2, float(np.mean(values))
    low = float(np.quantile((total + unseen * bounds[0]) / size, tail))
    high = float(np.quantile((total + unseen * bounds[1]) / size, 1 - tail))
    return Estimate(mean, min(low, mean), max(high, mean), len(values))


def seeds_mean(
    per_seed: Sequence[Sequence[float]],
    clusters: Sequence[str],
    confidence: float,
    draws: int,
    seed: int,
    nested: bool = False,
) -> Estimate:
    """Mean over several runs (one row of values per training seed) with both levels resampled: each draw takes seeds
    with replacement, then recordings; `nested`: every run has recordings of its own, which are drawn separately.

    Raises:
        EmptyInput: no run or no value.
    """
    if not per_seed or not per_seed[0]:
        raise EmptyInput("there are no runs to average over")
    values = np.asarray(per_seed, float)
    names = {name: i for i, name in enumerate(sorted(set(clusters)))}
    index = np.array([names[c] for c in clusters])
    sums = np.stack([np.bincount(index, weights=row, minlength=len(names)) for row in values])
    sizes = np.bincount(index, minlength=len(names))
    runs = _resamples(len(values), draws, seed + 1) / len(values)
    drawn = _resamples(len(names), draws, seed)
    means = np.einsum("ds,sc,dc->d", runs, sums, drawn) / (drawn @ sizes)
    if nested:
        own = [_resamples(len(names), draws, seed + 2 + row) for row in range(len(values))]
        per_run = np.stack([(d @ s) / (d @ sizes) for d, s in zip(own, sums, strict=True)], axis=1)
        means = (runs * per_run).sum(axis=1)
    tail = (1 - confidence) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return Estimate(float(values.mean()), float(low), float(high), values.shape[1])


def mcnemar_exact(first: Sequence[bool], second: Sequence[bool]) -> float:
    """Two-sided p value of McNemar's exact test: among the questions on which two models differ, could the share that
    the second gets right be one half? (McNemar 1947; exact binomial form.) 1 if they never differ."""
    gained = sum(b and not a for a, b in zip(first, second, strict=True))
    lost = sum(a and not b for a, b in zip(first, second, strict=True))
    differing = gained + lost
    tail = sum(math.comb(differing, k) for k in range(min(gained, lost) + 1))
    return float(min(1.0, 2 * tail / 2**differing)) if differing else 1.0


def minimal_detectable_difference(
    questions: int, differing: float, confidence: float = 0.95, power: float = 0.8
) -> float | None:
    """Smallest true difference of two accuracies that McNemar's exact test finds with probability `power` on
    `questions` questions, if the models differ in right and wrong on the share `differing` of them. None if even a
    model that is right wherever the other is wrong would not be noticed.

    Computed from the distributions of the flips (Lachenbruch 1992). Two models differ on at least as many questions
    as their difference says, so `differing` counts only if it is larger. If nothing flipped, the result is the
    difference that flips in one direction alone would have shown.

    Raises:
        EmptyInput: no question.
    """
    if questions < 1:
        raise EmptyInput("the benchmark has no questions, so no difference is detectable")
    critical = _critical_flips(questions, 1 - confidence)
    low, high = 0.0, 1.0
    if _power(questions, critical, 1.0, 1.0) < power:
        return None
    while high - low > 1e-4:
        middle = (low + high) / 2
        found = _power(questions, critical, middle, max(differing, middle)) >= power
        low, high = (low, middle) if found else (middle, high)
    return high


@lru_cache(maxsize=8)
def _critical_flips(questions: int, level: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """For 0 ... `questions` flips: at most so many against the trend make McNemar's exact test significant; -1: none
    do."""
    from scipy.stats import binom  # takes half a second to import; not needed for an interval

    flips = np.arange(questions + 1)
    at = binom.ppf(level / 2, flips, 0.5)  # the smallest count whose tail reaches level / 2
    critical: np.ndarray[tuple[int], np.dtype[np.float64]]
    critical = np.where(binom.cdf(at, flips, 0.5) <= level / 2, at, at - 1)
    return critical


def _power(
    questions: int, critical: np.ndarray[tuple[int], np.dtype[np.float64]], difference: float, differing: float
) -> float:
    """Probability that the test finds `difference` in the right direction."""
    from scipy.stats import binom

    flips = np.arange(questions + 1)
    against = (1 - difference / differing) / 2  # share of flips that go the other way
    return float(binom.pmf(flips, questions, differing) @ binom.cdf(critical, flips, against))
