import numpy as np
import pytest
from scipy import stats

from pipeline.keyframes.recall import (
    Truth,
    even_hits,
    found,
    matched,
    measure_recall,
    random_hits,
    recall_by_spacing,
)


def test_a_true_time_is_found_within_the_tolerance() -> None:
    assert found([1.0, 5.0], [1.5, 3.0, 4.4], 0.5) == 1
    assert found([1.0, 5.0], [1.5, 3.0, 4.4], 0.6) == 2
    assert found([], [1.0], 0.5) == found([1.0], [], 0.5) == 0


def test_one_candidate_is_matched_with_one_true_time() -> None:
    assert found([1.0], [0.8, 1.2], 0.5) == 2
    assert matched([1.0], [0.8, 1.2], 0.5) == 1
    assert matched([1.0, 1.4], [0.8, 1.2], 0.5) == 2
    assert matched([], [1.0], 0.5) == 0


def test_expected_random_hits_are_those_of_a_simulation() -> None:
    clip = Truth(0, 10, (0.2, 5.0), ())
    rng = np.random.default_rng(0)
    draws = rng.uniform(0, 10, (20_000, 3))
    simulated = sum((np.abs(draws - t).min(1) <= 0.5).mean() for t in clip.true_seconds)
    assert random_hits(clip, 3, 0.5) == pytest.approx(simulated, abs=0.02)


@pytest.mark.parametrize("k", [1, 2, 3, 7])
@pytest.mark.parametrize("tolerance", [0.3, 0.5, 2.0])
def test_expected_even_hits_are_those_of_a_grid_of_phases(k: int, tolerance: float) -> None:
    clip = Truth(5, 15, (5.1, 7.3, 9.9, 14.6), ())
    phases = (np.arange(4000) + 0.5) / 4000
    grids = 5 + 10 / k * (phases[:, None] + np.arange(k))
    counted = np.mean([found(grid, clip.true_seconds, tolerance) for grid in grids])
    assert even_hits(clip, k, tolerance) == pytest.approx(counted, abs=2e-3)


def test_the_table_compares_at_equal_k() -> None:
    clips = [Truth(0, 4, (0.9, 2.0), (0.9, 2.1)), Truth(10, 14, (13.0,), (10.5, 11.0))]
    table = measure_recall(clips, 0.5)
    assert table["clips"] == 2 and table["true_times"] == 3
    one, two = table["by_count"]
    assert (one["candidates"], two["candidates"]) == (1, 2)
    assert one["mined"] == pytest.approx(1 / 3, abs=1e-4) and two["mined"] == pytest.approx(2 / 3, abs=1e-4)
    assert two["f1"] == pytest.approx(2 * 2 / 7, abs=1e-4)
    assert 0 < two["random"] < two["even"] < 1
    assert table["mean_distance_seconds"] == pytest.approx((0.0 + 0.1 + 2.0) / 3, abs=1e-4)


def test_within_half_a_frame_spacing_the_tolerance_follows_the_length_of_each_clip() -> None:
    near, far = Truth(0, 6, (3.0,), (3.4,)), Truth(100, 160, (130.0,), (134.0,))  # .4 of a spacing of 1 and 10 s
    table = recall_by_spacing([near, far], 6)
    assert table["by_count"][0]["mined"] == 1.0
    assert (table["tolerance_spacings"], table["mean_distance_spacings"]) == (0.5, 0.4)
    assert recall_by_spacing([near, far], 8)["by_count"][0]["mined"] == 0.0
    alone = measure_recall([near], 0.5)["by_count"][0]
    assert {**table["by_count"][0], "lift_low": None, "lift_high": None} == alone  # even and random go along too


def test_what_even_spacing_finds_by_number_alone_is_left_out_of_the_area() -> None:
    clips = [Truth(0, 8, (2.0,), (2.0, 1.0, 3.0, 4.0, 5.0, 6.0))] * 3
    table = measure_recall(clips, 0.5)
    assert [line["candidates"] for line in table["by_count"] if line["saturated"]] == [6]
    assert table["area"]["mined"] == 1.0
    assert table["area"]["even"] == pytest.approx(
        np.mean([even_hits(clips[0], k, 0.5) for k in (1, 2, 3, 4)]), abs=1e-4
    )


def test_the_interval_of_the_lift_is_that_of_a_t_test_if_each_clip_has_one_time() -> None:
    rng = np.random.default_rng(3)
    clips = [Truth(0, 10, (float(t),), (float(t + d),)) for t, d in rng.uniform([0, 0], [10, 1], (40, 2))]
    line = measure_recall(clips, 0.5)["by_count"][0]
    gains = [found(c.candidate_seconds, c.true_seconds, 0.5) - even_hits(c, 1, 0.5) for c in clips]
    low, high = stats.ttest_1samp(gains, 0).confidence_interval(0.95)
    assert (line["lift_low"], line["lift_high"]) == (pytest.approx(low, abs=1e-4), pytest.approx(high, abs=1e-4))


def test_without_truth_there_is_no_recall() -> None:
    assert measure_recall([], 0.5) == measure_recall([Truth(0, 4, (), (1.0,))], 0.5) == {}
    assert measure_recall([Truth(0, 4, (1.0,), (1.0,))], 0.5)["lift_low"] is None
