"""Intervals and tests against worked examples, a brute-force count and their own promises."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pipeline.errors import EmptyInput
from pipeline.evaluation.statistics import (
    clustered_mean,
    mcnemar_exact,
    minimal_detectable_difference,
    seeds_mean,
)


@pytest.mark.parametrize(("right", "count"), [(0, 7), (7, 7), (3, 20), (81, 263), (1, 1)])
def test_on_separate_recordings_the_interval_is_clopper_pearsons(right: int, count: int) -> None:
    values = [1.0] * right + [0.0] * (count - right)
    estimate = clustered_mean(values, [str(i) for i in range(count)], (0, 1), 0.95, 40_000, 0)
    expected = stats.binomtest(right, count).proportion_ci(0.95, method="exact")
    assert (estimate.low, estimate.high) == pytest.approx((expected.low, expected.high), abs=0.01)
    assert estimate.value == pytest.approx(right / count)


@given(st.lists(st.sampled_from([-1.0, 0.0, 1.0]), min_size=1, max_size=30), st.floats(0.5, 0.99), st.integers(1, 9))
def test_the_interval_holds_the_mean_and_stays_in_bounds(
    values: list[float], confidence: float, recordings: int
) -> None:
    clusters = [str(i % recordings) for i in range(len(values))]
    estimate = clustered_mean(values, clusters, (-1, 1), confidence, 200, 0)
    assert -1 <= estimate.low <= estimate.value <= estimate.high <= 1
    assert estimate.low < estimate.high  # so many values never tell it all


def test_nothing_of_an_empty_set() -> None:
    for call in (
        lambda: clustered_mean([], [], (0, 1), 0.95, 10, 0),
        lambda: seeds_mean([], [], 0.95, 10, 0),
        lambda: minimal_detectable_difference(0, 0.2),
    ):
        with pytest.raises(EmptyInput):
            call()


def test_clusters_widen_the_interval() -> None:
    """Ten copies of a question on one recording are one question."""
    rng = np.random.default_rng(0)
    per_video = rng.integers(0, 2, 40).astype(float)
    values = np.repeat(per_video, 10).tolist()
    clustered = clustered_mean(values, [str(i // 10) for i in range(400)], (0, 1), 0.95, 2000, 0)
    alone = clustered_mean(values, [str(i) for i in range(400)], (0, 1), 0.95, 2000, 0)
    ratio = (clustered.high - clustered.low) / (alone.high - alone.low)
    assert ratio == pytest.approx(math.sqrt(10), rel=0.15)


@pytest.mark.parametrize("recordings", [5, 60])
@pytest.mark.parametrize("changing", [0.02, 0.9])
def test_the_paired_interval_covers_the_truth(recordings: int, changing: float) -> None:
    """95 % intervals of 300 simulated comparisons contain the true gain at least 93 times in 100. That holds for two
    questions on each of five recordings too, and if hardly an answer changes; there the percentile bootstrap
    contained it 20 times."""
    rng = np.random.default_rng(1)
    hits = 0
    for trial in range(300):
        skill = np.repeat(rng.random(recordings), 2) * changing
        differences = (rng.random(2 * recordings) < skill + 0.1 * changing).astype(float)
        differences -= rng.random(2 * recordings) < skill
        clusters = [str(i // 2) for i in range(2 * recordings)]
        estimate = clustered_mean(differences.tolist(), clusters, (-1, 1), 0.95, 400, trial)
        hits += estimate.low <= 0.1 * changing <= estimate.high
    assert hits / 300 >= 0.93


def test_seven_answers_that_stay_the_same_are_no_certainty() -> None:
    """Nothing flipped: the true gain may still be anything that shows no flip in seven once in forty."""
    estimate = clustered_mean([0.0] * 7, [str(i) for i in range(7)], (-1, 1), 0.95, 40_000, 0)
    unseen = 1 - 0.025 ** (1 / 7)
    assert (estimate.low, estimate.value, estimate.high) == pytest.approx((-unseen, 0, unseen), abs=0.01)


def test_the_same_seed_gives_the_same_interval() -> None:
    values, clusters = [0.0, 1.0, 1.0, 0.0], ["a", "b", "c", "d"]
    first, second = (clustered_mean(values, clusters, (0, 1), 0.95, 100, seed) for seed in (7, 7))
    assert first == second


def test_seeds_are_a_level_of_their_own() -> None:
    """Runs that differ among themselves widen the interval of their mean; equal runs do not."""
    clusters = [str(i) for i in range(50)]
    row = [float(i % 2) for i in range(50)]
    equal = seeds_mean([row, row, row], clusters, 0.95, 2000, 0)
    single = clustered_mean(row, clusters, (0, 1), 0.95, 2000, 0)
    assert (equal.low, equal.high) == pytest.approx((single.low, single.high), abs=0.03)
    different = seeds_mean([[0.0] * 50, row, [1.0] * 50], clusters, 0.95, 2000, 0)
    assert different.value == 0.5
    assert different.high - different.low > 1.5 * (equal.high - equal.low)


def test_mcnemar_is_a_binomial_test_of_the_flips() -> None:
    first = [True] * 3 + [False] * 12 + [True] * 20 + [False] * 5
    second = [False] * 3 + [True] * 12 + [True] * 20 + [False] * 5
    assert mcnemar_exact(first, second) == pytest.approx(stats.binomtest(3, 15).pvalue)
    assert mcnemar_exact(first, first) == 1.0


@pytest.mark.parametrize(("questions", "differing"), [(20, 0.6), (420, 0.3)])
def test_the_detectable_difference_is_detected_four_times_in_five(questions: int, differing: float) -> None:
    """Simulated exact McNemar tests, by scipy."""
    difference = minimal_detectable_difference(questions, differing)
    assert difference is not None
    rng = np.random.default_rng(0)
    gained, lost = (differing + difference) / 2, (differing - difference) / 2
    counts = rng.multinomial(questions, [gained, lost, 1 - differing], size=2000)
    found = [g > n and stats.binomtest(int(n), int(g + n)).pvalue < 0.05 for g, n, _ in counts]
    assert np.mean(found) == pytest.approx(0.8, abs=0.03)


def test_more_questions_detect_less() -> None:
    found = [minimal_detectable_difference(n, 0.3) or 1.0 for n in (7, 100, 420, 500, 5031)]
    assert found == sorted(found, reverse=True)
    assert found[2] == pytest.approx(0.0766, abs=0.001)


def test_too_few_questions_detect_nothing_and_no_flip_is_no_hundred_points() -> None:
    """Five flips of five have p = 1/16; of 420 questions eight, all in one direction, are found four times in five."""
    assert minimal_detectable_difference(5, 0.2) is None
    assert minimal_detectable_difference(420, 0.0) == pytest.approx(0.0188, abs=0.0005)
    assert minimal_detectable_difference(7, 0.0) == pytest.approx(0.88, abs=0.01)
