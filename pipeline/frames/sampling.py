"""Which moments to sample: pure functions of times. All times are seconds from the start of the video file."""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

Times = NDArray[np.float64]


def uniform_times(start_seconds: float, end_seconds: float, n: int) -> Times:
    """Midpoints of `n` equal windows of a span: `float64 [n]`.

    Midpoints (not edges), so that every window of length T/n has one and the last is safely before the end. This is
    the "segment centre" sampling of TSN (arXiv 1608.00859).

    >>> uniform_times(0, 6, 3).tolist()
    [1.0, 3.0, 5.0]
    """
    _check_span(start_seconds, end_seconds)
    if n < 1:
        raise ValueError(f"n must be at least 1, not {n}")
    return start_seconds + (np.arange(n, dtype=np.float64) + 0.5) * ((end_seconds - start_seconds) / n)


def rate_times(start_seconds: float, end_seconds: float, per_second: float) -> Times:
    """Every `1 / per_second` seconds from `start_seconds`, before `end_seconds`: `float64 [n >= 1]`.

    >>> rate_times(1, 2, 4).tolist()
    [1.0, 1.25, 1.5, 1.75]
    """
    _check_span(start_seconds, end_seconds)
    if not per_second > 0:
        raise ValueError(f"per_second must be positive, not {per_second}")
    n = max(1, math.ceil((end_seconds - start_seconds) * per_second - 1e-9))
    return start_seconds + np.arange(n) / per_second


def frames_on_screen(pts_seconds: ArrayLike, times_seconds: ArrayLike) -> NDArray[np.int64]:
    """Index of the frame a viewer sees at each time: the last with `pts <= time`, the first for earlier times.

    Args:
        pts_seconds: `[N]`, sorted; N >= 1.
        times_seconds: `[n]`.

    Returns:
        `int64 [n]`, indices into `pts_seconds`. With a variable frame rate a frame stays on screen through a gap.
    """
    pts = np.asarray(pts_seconds, np.float64)
    if not pts.size:
        raise ValueError("there is no frame to choose from")
    half_tick = 1e-6  # times rounded by decimal text must still find their frame
    found = np.searchsorted(pts, np.asarray(times_seconds, np.float64) + half_tick, side="right") - 1
    return np.clip(found, 0, pts.size - 1).astype(np.int64)


def _check_span(start_seconds: float, end_seconds: float) -> None:
    if not (math.isfinite(start_seconds) and math.isfinite(end_seconds) and start_seconds < end_seconds):
        raise ValueError(f"a span needs start < end, not {start_seconds} and {end_seconds}")
