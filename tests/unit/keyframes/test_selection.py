import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.keyframes.selection import Spread, missing, rescale, select_moments, smooth

PTS = np.arange(0, 30, 0.2)


def bump(*centres: float) -> np.ndarray:
    return sum(np.exp(-(((PTS - c) / 0.3) ** 2)) for c in centres)


def test_the_peaks_are_found_best_first() -> None:
    score = rescale(bump(5, 20) + 0.5 * bump(11))
    score[100] += 0.1  # 20 s is the best
    chosen = PTS[select_moments(score, PTS, 3, Spread(1, 0, 0, 30))]
    assert chosen[0] == pytest.approx(20) and sorted(chosen.round(1)) == [5, 11, 20]


def test_one_broad_peak_does_not_take_all_candidates() -> None:
    score = rescale(np.exp(-(((PTS - 10) / 3) ** 2)))
    chosen = np.sort(PTS[select_moments(score, PTS, 5, Spread(1, 0, 0, 30))])
    assert np.diff(chosen).min() >= 1 - 1e-9


def test_without_events_candidates_spread_evenly() -> None:
    chosen = np.sort(PTS[select_moments(np.zeros(len(PTS)), PTS, 6, Spread(1, 6, 0, 30))])
    assert np.diff(chosen).min() > 2
    assert missing(chosen, 6, Spread(1, 6, 0, 30)) == 0


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(2, 16), st.floats(0, 3), st.integers(1, 8), st.floats(2, 400))
def test_the_promises_hold_for_any_signal(seed: int, k: int, spacing: float, windows: int, length: float) -> None:
    rng = np.random.default_rng(seed)
    pts = np.sort(rng.uniform(0, length, 80)) if seed % 2 else np.linspace(0, length, 80, endpoint=False)
    pts = np.unique(pts)
    spread = Spread(spacing, length / min(windows, k // 2 or 1), 0, length)
    chosen = select_moments(rng.random(len(pts)), pts, k, spread)
    assert len(set(chosen.tolist())) == min(k, len(pts))
    if seed % 2 == 0:  # on a steady grid the floor can always be had
        slack = length / 80
        assert missing(pts[chosen], spread.max_gap_seconds + 2 * slack, spread) == 0
    gaps = np.diff(np.sort(pts[chosen]))
    assert spacing == 0 or (gaps >= spacing - 1e-6).all() or length < 4 * k * spacing


def test_the_floor_takes_candidates_from_the_best_region() -> None:
    score = rescale(bump(1, 3, 5, 7))
    free = PTS[select_moments(score, PTS, 4, Spread(1, 0, 0, 30))]
    held = PTS[select_moments(score, PTS, 4, Spread(1, 10, 0, 30))]
    assert missing(free, 10, Spread(1, 10, 0, 30)) == 2
    assert missing(held, 10, Spread(1, 10, 0, 30)) == 0 and held[0] == free[0]


def test_fewer_views_than_candidates_give_all_views() -> None:
    assert sorted(select_moments(np.array([0.1, 0.9]), np.array([0.0, 0.1]), 6, Spread(1, 0, 0, 0.2)).tolist()) == [
        0,
        1,
    ]


def test_missing_counts_what_a_stretch_needs() -> None:
    spread = Spread(0, 10, 0, 30)
    assert missing(np.array([]), 10, spread) == 2
    assert missing(np.array([10.0]), 10, spread) == 1
    assert missing(np.array([10.0, 20.0]), 10, spread) == 0
    assert missing(np.array([1.0]), 0, spread) == 0


def test_normalise_and_smooth() -> None:
    assert rescale(np.array([2.0, 4.0, 3.0])).tolist() == [0, 1, 0.5]
    assert rescale(np.full(3, 7.0)).tolist() == [0, 0, 0]
    spike = smooth(np.eye(1, 21, 10)[0], 0.1)
    assert spike.sum() == pytest.approx(1) and spike.argmax() == 10 and (spike > 0).sum() in (5, 7)
    assert smooth(np.ones(1), 0.1).tolist() == [1]
