"""Which moments to keep: the best ones, spaced apart, without long gaps. Pure."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.keyframes.views import Floats

SMOOTH_SECONDS = 0.5
CROWDING = 0.4  # for actions that may be anywhere in a long clip
UNEVENTFUL = 0.05  # score added everywhere, so that spread decides when nothing happens


@dataclass(frozen=True)
class Spread:
    """How candidates keep apart: at least `spacing_seconds` between two, and at most `max_gap_seconds` (0: no bound)
    of the span `start_seconds`-`end_seconds` without one. A candidate lowers the score of its surroundings, up to
    about the share `crowding` of span / k (0: not at all)."""

    spacing_seconds: float
    max_gap_seconds: float
    start_seconds: float
    end_seconds: float
    crowding: float = CROWDING


def smooth(values: Floats, step_seconds: float, window_seconds: float = SMOOTH_SECONDS) -> Floats:
    """Running mean under a Hann window of about `window_seconds`: `[T]` to `[T]`."""
    reach = max(0, round(window_seconds / step_seconds / 2))
    weights = np.hanning(2 * reach + 3)[1:-1]
    padded = np.pad(values, reach, mode="edge")
    return np.convolve(padded, weights / weights.sum(), "valid")


def rescale(values: Floats) -> Floats:
    """To [0, 1] within the clip; all 0 when nothing varies."""
    low, high = float(values.min()), float(values.max())
    return (values - low) / (high - low) if high - low > 1e-12 else np.zeros_like(values)


def select_moments(score: Floats, pts_seconds: Floats, k: int, spread: Spread) -> NDArray[np.int64]:
    """Indices of `min(k, T)` moments, best first: `int64`.

    Greedy: take the moment with the best score, lower the score of its surroundings (1 - Gaussian of `crowding` x
    span / k), and repeat. A moment must be `spacing_seconds` away from those already chosen. It must also leave
    enough picks to keep every gap below `max_gap_seconds`. If no moment is far enough from the others, the
    spacing is halved. If the gap bound cannot be met at all, it is dropped.

    Args:
        score: `[T]` in [0, 1].
        pts_seconds: `[T]`, increasing.
    """
    picks = min(k, len(score))
    reach = spread.crowding * (spread.end_seconds - spread.start_seconds) / max(k, 1)
    worth = score + UNEVENTFUL
    chosen: list[int] = []
    spacing, max_gap = spread.spacing_seconds, spread.max_gap_seconds
    while len(chosen) < picks:
        best = _best(worth, pts_seconds, chosen, picks - len(chosen) - 1, spacing, max_gap, spread)
        if best is not None:
            chosen.append(best)
            if reach > 0:
                worth = worth * (1 - np.exp(-(((pts_seconds - pts_seconds[best]) / reach) ** 2) / 2))
        elif spacing > 0:
            spacing = spacing / 2 if spacing > 1e-3 else 0.0
        else:
            spacing, max_gap = spread.spacing_seconds, 0.0
    return np.array(chosen, np.int64)


def _best(
    worth: Floats, pts: Floats, chosen: list[int], left: int, spacing: float, max_gap: float, spread: Spread
) -> int | None:
    """The allowed moment with the highest score, the earlier of equals; None if none is allowed."""
    times = pts[chosen]
    for i in np.argsort(-worth, kind="stable"):
        near = chosen and np.abs(times - pts[i]).min() < max(spacing - 1e-9, 1e-12)
        if not near and missing(np.append(times, pts[i]), max_gap, spread) <= left:
            return int(i)
    return None


def missing(times: Floats, max_gap: float, spread: Spread) -> int:
    """How many more moments the span needs so that no gap is longer than `max_gap` seconds."""
    if max_gap <= 0:
        return 0
    stretches = np.diff(np.concatenate([[spread.start_seconds], np.sort(times), [spread.end_seconds]]))
    return sum(math.ceil(stretch / max_gap - 1e-9) - 1 for stretch in stretches if stretch > max_gap)
