"""Intervals and paired tests. Pure functions of numbers; every one refuses an empty set."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

import numpy as np

from pipeline.errors import EmptyInput


@dataclass(frozen=True)
class Estimate:
    """A value with its interval, all in the unit of the value; `count` items stand behind it."""

    value: float
    low: float
    high: float
    count: int


def accuracy(correct: Sequence[bool], confidence: float) -> Estimate:
    """Share of True with its Wilson score interval (Wilson 1927; Brown, Cai & DasGupta 2001).

    Raises:
        EmptyInput: there is nothing to take a share of.
    """
    count = len(correct)
    if count == 0:
        raise EmptyInput("no accuracy of an empty set of questions: check evaluate_egoschema.splits and the answers")
    share = sum(correct) / count
    z2 = NormalDist().inv_cdf(0.5 + confidence / 2) ** 2
    centre = (share + z2 / (2 * count)) / (1 + z2 / count)
    half = math.sqrt(z2 * (share * (1 - share) / count + z2 / (4 * count**2))) / (1 + z2 / count)
    return Estimate(share, min(share, max(0.0, centre - half)), max(share, min(1.0, centre + half)), count)


@lru_cache(maxsize=4)
def _resamples(count: int, draws: int, seed: int) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    """How often each of `count` things is drawn in each of `draws` resamples with replacement: int64 [draws, count]."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(count, np.full(count, 1 / count), size=draws)


def bootstrap_means(
    values: Sequence[float], clusters: Sequence[str], draws: int, seed: int
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """`draws` means of `values` over clusters resampled with replacement: float64 [draws].

    Questions on one recording stand or fall together, so whole recordings are drawn (cluster bootstrap: Davison &
    Hinkley 1997, section 3.8).
    """
    names = sorted(set(clusters))
    place = {name: i for i, name in enumerate(names)}
    index = np.array([place[c] for c in clusters])
    sums = np.bincount(index, weights=np.asarray(values, float), minlength=len(names))
    sizes = np.bincount(index, minlength=len(names))
    drawn = _resamples(len(names), draws, seed)
    means: np.ndarray[tuple[int], np.dtype[np.float64]] = (drawn @ sums) / (drawn @ sizes)
    return means


def clustered_mean(
    values: Sequence[float], clusters: Sequence[str], confidence: float, draws: int, seed: int
) -> Estimate:
    """Mean of `values` with the percentile interval of the cluster bootstrap. With paired differences as values this is
    the paired bootstrap.

    Raises:
        EmptyInput: no value.
    """
    if not values:
        raise EmptyInput("no mean of an empty set of questions")
    means = bootstrap_means(values, clusters, draws, seed)
    tail = (1 - confidence) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return Estimate(float(np.mean(values)), float(low), float(high), len(values))


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
        raise EmptyInput("no mean of an empty set of runs")
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
    the second gets right be one half? (McNemar 1947; exact binomial form.) 1 where they never differ."""
    gained = sum(b and not a for a, b in zip(first, second, strict=True))
    lost = sum(a and not b for a, b in zip(first, second, strict=True))
    differing = gained + lost
    tail = sum(math.comb(differing, k) for k in range(min(gained, lost) + 1))
    return float(min(1.0, 2 * tail / 2**differing)) if differing else 1.0


def minimal_detectable_difference(
    questions: int, differing: float, confidence: float = 0.95, power: float = 0.8
) -> float:
    """Smallest true difference of two accuracies that a paired comparison of `questions` questions finds with
    probability `power`, where the models differ in right and wrong on the share `differing` of them.

    Connor 1987 (Biometrics 43:207): n = (z_a sqrt(p) + z_b sqrt(p - d^2))^2 / d^2, solved for d. A difference cannot be
    larger than `differing`; where even that is too small to be found, the result is 1.

    Raises:
        EmptyInput: no question.
    """
    if questions < 1:
        raise EmptyInput("no detectable difference on an empty benchmark")
    z_alpha = NormalDist().inv_cdf(0.5 + confidence / 2)
    z_beta = NormalDist().inv_cdf(power)

    def needed(difference: float) -> float:
        spread = math.sqrt(max(differing - difference**2, 0.0))
        return ((z_alpha * math.sqrt(differing) + z_beta * spread) / difference) ** 2

    low, high = 1e-9, differing
    if differing <= 0 or needed(high) > questions:
        return 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if needed(middle) > questions else (low, middle)
    return high
