"""Intervals and tests against worked examples, a brute-force count and their own promises."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pipeline.errors import EmptyInput
from pipeline.evaluation.statistics import (
    accuracy,
    clustered_mean,
    mcnemar_exact,
    minimal_detectable_difference,
    seeds_mean,
)


@pytest.mark.parametrize(("right", "count"), [(0, 10), (10, 10), (81, 263), (1, 1), (250, 500)])
def test_wilson_is_scipys(right: int, count: int) -> None:
    estimate = accuracy([True] * right + [False] * (count - right), 0.95)
    expected = stats.binomtest(right, count).proportion_ci(0.95, method="wilson")
    assert (estimate.low, estimate.high) == pytest.approx((expected.low, expected.high))
    assert estimate.value == right / count


@given(st.lists(st.booleans(), min_size=1, max_size=50), st.floats(0.5, 0.99))
def test_the_interval_holds_the_share(correct: list[bool], confidence: float) -> None:
    estimate = accuracy(correct, confidence)
    assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1


def test_nothing_of_an_empty_set() -> None:
    for call in (
        lambda: accuracy([], 0.95),
        lambda: clustered_mean([], [], 0.95, 10, 0),
        lambda: seeds_mean([], [], 0.95, 10, 0),
        lambda: minimal_detectable_difference(0, 0.2),
    ):
        with pytest.raises(EmptyInput):
            call()


def test_bootstrap_matches_all_resamples_of_three_clusters() -> None:
    values, clusters = [1.0, 0.0, 1.0, -1.0], ["a", "a", "b", "c"]
    groups = {"a": [1.0, 0.0], "b": [1.0], "c": [-1.0]}
    means = [np.mean([v for c in draw for v in groups[c]]) for draw in itertools.product("abc", repeat=3)]
    estimate = clustered_mean(values, clusters, 0.8, 20_000, 0)
    assert estimate.value == 0.25
    assert (estimate.low, estimate.high) == pytest.approx(tuple(np.quantile(means, [0.1, 0.9])), abs=0.02)


def test_clusters_widen_the_interval() -> None:
    """Ten copies of a question on one recording are one question."""
    rng = np.random.default_rng(0)
    per_video = rng.integers(0, 2, 40).astype(float)
    values = np.repeat(per_video, 10).tolist()
    clustered = clustered_mean(values, [str(i // 10) for i in range(400)], 0.95, 2000, 0)
    alone = clustered_mean(values, [str(i) for i in range(400)], 0.95, 2000, 0)
    ratio = (clustered.high - clustered.low) / (alone.high - alone.low)
    assert ratio == pytest.approx(math.sqrt(10), rel=0.15)


def test_the_paired_interval_covers_the_truth() -> None:
    """95 % intervals of 300 simulated comparisons hold the true gain of 0.1 about 95 times in 100."""
    rng = np.random.default_rng(1)
    hits = 0
    for trial in range(300):
        skill = rng.random(60)
        differences = [float(rng.random() < s + 0.1) - float(rng.random() < s) for s in np.repeat(skill * 0.9, 3)]
        estimate = clustered_mean(differences, [str(i // 3) for i in range(180)], 0.95, 400, trial)
        hits += estimate.low <= 0.1 <= estimate.high
    assert 0.90 <= hits / 300 <= 0.98


def test_the_same_seed_gives_the_same_interval() -> None:
    values, clusters = [0.0, 1.0, 1.0, 0.0], ["a", "b", "c", "d"]
    assert clustered_mean(values, clusters, 0.95, 100, 7) == clustered_mean(values, clusters, 0.95, 100, 7)


def test_seeds_are_a_level_of_their_own() -> None:
    """Runs that differ among themselves widen the interval of their mean; equal runs do not."""
    clusters = [str(i) for i in range(50)]
    row = [float(i % 2) for i in range(50)]
    equal = seeds_mean([row, row, row], clusters, 0.95, 2000, 0)
    single = clustered_mean(row, clusters, 0.95, 2000, 0)
    assert (equal.low, equal.high) == pytest.approx((single.low, single.high), abs=0.03)
    different = seeds_mean([[0.0] * 50, row, [1.0] * 50], clusters, 0.95, 2000, 0)
    assert different.value == 0.5
    assert different.high - different.low > 1.5 * (equal.high - equal.low)


def test_mcnemar_is_a_binomial_test_of_the_flips() -> None:
    first = [True] * 3 + [False] * 12 + [True] * 20 + [False] * 5
    second = [False] * 3 + [True] * 12 + [True] * 20 + [False] * 5
    assert mcnemar_exact(first, second) == pytest.approx(stats.binomtest(3, 15).pvalue)
    assert mcnemar_exact(first, first) == 1.0


def test_the_detectable_difference_is_detected_four_times_in_five() -> None:
    """Simulated McNemar tests at Connor's difference for 420 questions that differ on 30 %."""
    difference = minimal_detectable_difference(420, 0.3)
    rng = np.random.default_rng(0)
    gained, lost = (0.3 + difference) / 2, (0.3 - difference) / 2
    counts = rng.multinomial(420, [gained, lost, 0.7], size=2000)
    found = [2 * stats.binom.cdf(min(g, n), g + n, 0.5) < 0.05 for g, n, _ in counts[:, :3]]
    assert difference == pytest.approx(0.0746, abs=0.001)
    assert 0.72 <= np.mean(found) <= 0.85  # the exact test is a little conservative


def test_more_questions_detect_less_and_too_few_detect_nothing() -> None:
    assert minimal_detectable_difference(5031, 0.3) < minimal_detectable_difference(500, 0.3)
    assert minimal_detectable_difference(5, 0.2) == 1.0
    assert minimal_detectable_difference(500, 0.0) == 1.0
