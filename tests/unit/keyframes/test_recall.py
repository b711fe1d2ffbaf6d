import numpy as np
import pytest

from pipeline.keyframes.recall import Truth, found, random_hits, recall_table


def test_a_true_time_is_found_within_the_tolerance() -> None:
    assert found([1.0, 5.0], [1.5, 3.0, 4.4], 0.5) == 1
    assert found([1.0, 5.0], [1.5, 3.0, 4.4], 0.6) == 2
    assert found([], [1.0], 0.5) == found([1.0], [], 0.5) == 0


def test_expected_random_hits_are_those_of_a_simulation() -> None:
    clip = Truth(0, 10, (0.2, 5.0), ())
    rng = np.random.default_rng(0)
    draws = rng.uniform(0, 10, (20_000, 3))
    simulated = sum((np.abs(draws - t).min(1) <= 0.5).mean() for t in clip.true_seconds)
    assert random_hits(clip, 3, 0.5) == pytest.approx(simulated, abs=0.02)


def test_the_table_compares_at_equal_k() -> None:
    clips = [Truth(0, 4, (0.9, 2.0), (0.9, 2.1)), Truth(10, 14, (13.0,), (10.5, 11.0))]
    table = recall_table(clips, 0.5)
    assert table["clips"] == 2 and table["true_times"] == 3 and table["mean_candidates"] == 2
    assert table["mined"] == pytest.approx(2 / 3, abs=1e-4)
    assert table["uniform"] == pytest.approx(2 / 3, abs=1e-4)  # uniform times 1, 3 and 11, 13
    assert 0 < table["random"] < 1


def test_without_truth_there_is_no_recall() -> None:
    assert recall_table([], 0.5) == {"clips": 0, "true_times": 0, "mean_candidates": 0.0, "tolerance_seconds": 0.5}
