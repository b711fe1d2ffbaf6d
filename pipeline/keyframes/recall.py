"""How many true key times the candidates find, compared with two blind choices: even spacing and random times.

Both are exact expectations: even spacing over all its phases, random over all draws. A difference from even spacing
has a 95 % interval clustered by clip. If even spacing covers more than half a clip at some number of candidates,
that number is marked `saturated` and left out of the area, because any choice does well there.

A model names times of frames that it was given, so it cannot tell apart what lies closer than their spacing. Hence a
second table within half a frame spacing, which is another tolerance in each clip (`recall_by_spacing`).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from scipy.optimize import linear_sum_assignment

COUNTS = (1, 2, 3, 4, 6, 10, 16, 32)
CONFIDENCE = 0.95
TOLERANCE_SECONDS = 0.5  # a true key time counts as found within this


@dataclass(frozen=True)
class Truth:
    """True key times of one clip and the candidates mined for it, best first; seconds from the start of the file."""

    start_seconds: float
    end_seconds: float
    true_seconds: tuple[float, ...]
    candidate_seconds: tuple[float, ...]

    @property
    def seconds(self) -> float:
        """Length of the clip."""
        return self.end_seconds - self.start_seconds


def found(candidate_seconds: ArrayLike, true_seconds: ArrayLike, tolerance_seconds: float) -> int:
    """Number of true times with a candidate within `tolerance_seconds`."""
    distances = _distances(candidate_seconds, true_seconds)
    return int((distances.min(1) <= tolerance_seconds + 1e-9).sum()) if distances.size else 0


def matched(candidate_seconds: ArrayLike, true_seconds: ArrayLike, tolerance_seconds: float) -> int:
    """Largest number of pairs of a true time and a candidate within `tolerance_seconds`, each used once."""
    near = _distances(candidate_seconds, true_seconds) <= tolerance_seconds + 1e-9
    if not near.size:
        return 0
    rows, columns = linear_sum_assignment(near, maximize=True)
    return int(near[rows, columns].sum())


def random_hits(clip: Truth, k: int, tolerance_seconds: float) -> float:
    """Expected number of true times found by `k` independent uniform draws (exact, not simulated)."""
    hits = 0.0
    for time in clip.true_seconds:
        low = max(clip.start_seconds, time - tolerance_seconds)
        high = min(clip.end_seconds, time + tolerance_seconds)
        hits += 1 - (1 - max(0.0, high - low) / clip.seconds) ** k
    return hits


def even_hits(clip: Truth, k: int, tolerance_seconds: float) -> float:
    """Expected number of true times found by `k` times that are clip / k apart, averaged over all phases (exact).

    In units of the spacing, the grid is `phase + 0..k-1`. A true time at u is found by the phases that lie in
    `[u - r, u + r]` cut to `[0, k]` and folded onto `[0, 1)`.
    """
    reach = tolerance_seconds * k / clip.seconds
    hits = 0.0
    for time in clip.true_seconds:
        u = (time - clip.start_seconds) * k / clip.seconds
        hits += min(1.0, max(0.0, min(u + reach, k) - max(u - reach, 0.0)))
    return hits


def measure_recall(clips: Iterable[Truth], tolerance_seconds: float) -> dict[str, Any]:
    """Recall by number of candidates, its area and its lift over even spacing; {} if no clip has true times.

    `by_count` has a line per k of `COUNTS` up to the number of candidates: recall `mined`, `even`, `random` and
    one-to-one `f1`. It also has the `lift` over even spacing with its interval `lift_low` and `lift_high` (None for
    a single clip), and whether k is `saturated`. `area` is the mean recall over the other k, `lift` the mean lift
    over them. `mean_distance_seconds` is that from a true time to the nearest candidate.
    """
    known = [clip for clip in clips if clip.true_seconds and clip.candidate_seconds and clip.seconds > 0]
    if not known:
        return {}
    most = max(len(clip.candidate_seconds) for clip in known)
    bound = float(np.median([clip.seconds for clip in known])) / (4 * tolerance_seconds)
    counts = [k for k in COUNTS if k <= most]
    hits = {k: _hits(known, k, tolerance_seconds) for k in counts}
    unsaturated = [k for k in counts if k <= bound] or counts[:1]
    times = np.array([len(clip.true_seconds) for clip in known])
    area = {name: np.mean([hits[k][name] for k in unsaturated], axis=0) for name in ("mined", "even", "random")}
    nearest = [_distances(clip.candidate_seconds, clip.true_seconds).min(1) for clip in known]
    return {
        "clips": len(known),
        "true_times": int(times.sum()),
        "tolerance_seconds": tolerance_seconds,
        "mean_distance_seconds": round(float(np.concatenate(nearest).mean()), 4),
        "area": {name: round(float(values.sum() / times.sum()), 4) for name, values in area.items()},
        **_lift(area["mined"] - area["even"], times),
        "by_count": [
            {
                "candidates": k,
                **{name: round(float(hits[k][name].sum() / times.sum()), 4) for name in ("mined", "even", "random")},
                **_lift(hits[k]["mined"] - hits[k]["even"], times),
                "f1": round(_f1(known, k, tolerance_seconds), 4),
                "saturated": k > bound,
            }
            for k in counts
        ],
    }


def recall_by_spacing(clips: Iterable[Truth], frames_per_clip: int) -> dict[str, Any]:
    """`measure_recall` within half the spacing of so many frames over each clip; distances are in spacings."""
    table = measure_recall([_in_spacings(clip, frames_per_clip) for clip in clips if clip.seconds > 0], 0.5)
    renamed = {"tolerance_seconds": "tolerance_spacings", "mean_distance_seconds": "mean_distance_spacings"}
    return {renamed.get(name, name): value for name, value in table.items()}


def _in_spacings(clip: Truth, frames: int) -> Truth:
    """The clip with the spacing of `frames` as the unit of time."""
    unit = clip.seconds / frames
    times = (tuple(t / unit for t in some) for some in (clip.true_seconds, clip.candidate_seconds))
    return Truth(clip.start_seconds / unit, clip.end_seconds / unit, *times)


def _hits(clips: Sequence[Truth], k: int, tolerance: float) -> Mapping[str, NDArray[np.float64]]:
    """True times found in each clip, `float64 [clips]`, by the best k candidates and by the two blind choices."""
    choices: dict[str, Callable[[Truth], float]] = {
        "mined": lambda clip: found(clip.candidate_seconds[:k], clip.true_seconds, tolerance),
        "even": lambda clip: even_hits(clip, k, tolerance),
        "random": lambda clip: random_hits(clip, k, tolerance),
    }
    return {name: np.array([hits(clip) for clip in clips], np.float64) for name, hits in choices.items()}


def _lift(difference: NDArray[np.float64], times: NDArray[np.int64]) -> dict[str, float | None]:
    """Difference of recalls (hits per clip over true times per clip), with a t interval clustered by clip.

    A ratio of sums; its variance is that of the linearised ratio (Cochran, Sampling Techniques, 1977, section 6.4).
    """
    lift = float(difference.sum() / times.sum())
    if len(times) < 2:
        return {"lift": round(lift, 4), "lift_low": None, "lift_high": None}
    n = len(times)
    spread = np.sqrt(n / (n - 1) * ((difference - lift * times) ** 2).sum()) / times.sum()
    reach = float(stats.t.ppf((1 + CONFIDENCE) / 2, n - 1) * spread)
    return {"lift": round(lift, 4), "lift_low": round(lift - reach, 4), "lift_high": round(lift + reach, 4)}


def _f1(clips: Sequence[Truth], k: int, tolerance: float) -> float:
    pairs = sum(matched(clip.candidate_seconds[:k], clip.true_seconds, tolerance) for clip in clips)
    named = sum(len(clip.candidate_seconds[:k]) + len(clip.true_seconds) for clip in clips)
    return 2 * pairs / named


def _distances(candidate_seconds: ArrayLike, true_seconds: ArrayLike) -> NDArray[np.float64]:
    """Distances `[true times, candidates]` in seconds; empty if either is empty."""
    candidates = np.asarray(candidate_seconds, np.float64)
    truth = np.asarray(true_seconds, np.float64)
    return np.abs(truth[:, None] - candidates[None, :])
