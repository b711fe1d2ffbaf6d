import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.frames.sampling import frames_on_screen, rate_times, uniform_times

seconds = st.floats(0, 1e5)
lengths = st.floats(0.01, 1e4)


@given(seconds, lengths, st.integers(1, 200))
def test_every_window_of_a_span_has_one_uniform_time(start: float, length: float, n: int) -> None:
    times = uniform_times(start, start + length, n)
    edges = np.linspace(start, start + length, n + 1)
    assert times.shape == (n,)
    assert ((edges[:-1] <= times) & (times <= edges[1:])).all()


def test_uniform_times_are_midpoints() -> None:
    assert uniform_times(10, 16, 3).tolist() == [11, 13, 15]


@given(seconds, lengths, st.floats(0.1, 60))
def test_rate_times_stay_in_the_span(start: float, length: float, rate: float) -> None:
    times = rate_times(start, start + length, rate)
    assert times[0] == start
    assert times[-1] < start + length + 1e-6
    assert len(times) == 1 or np.allclose(np.diff(times), 1 / rate, atol=1e-6)


def test_rate_times_do_not_gain_one_by_rounding() -> None:
    assert len(rate_times(0, 0.3, 10)) == 3  # 0.3 * 10 is 3.0000000000000004


def test_the_frame_on_screen_is_the_last_that_has_begun() -> None:
    pts = [0.0, 0.1, 0.5, 0.6]  # a gap: frame 1 stays on screen
    assert frames_on_screen(pts, [-1, 0, 0.05, 0.1, 0.49, 0.5, 9]).tolist() == [0, 0, 0, 1, 1, 2, 3]


@pytest.mark.parametrize(("start", "end"), [(1, 1), (2, 1), (float("nan"), 1), (0, float("inf"))])
def test_an_impossible_span_is_refused(start: float, end: float) -> None:
    with pytest.raises(ValueError, match="start < end"):
        uniform_times(start, end, 3)


def test_nothing_to_choose_from_is_refused() -> None:
    with pytest.raises(ValueError, match="no frame"):
        frames_on_screen([], [1.0])
    with pytest.raises(ValueError, match="at least 1"):
        uniform_times(0, 1, 0)
    with pytest.raises(ValueError, match="positive"):
        rate_times(0, 1, 0)
