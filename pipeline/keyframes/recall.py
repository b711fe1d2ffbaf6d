"""How many true key times the candidates find, beside sampling that looks at nothing."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from pipeline.video.sampling import uniform_times


@dataclass(frozen=True)
class Truth:
    """True key times of one clip and the candidates mined for it; seconds from the start of the file."""

    start_seconds: float
    end_seconds: float
    true_seconds: tuple[float, ...]
    candidate_seconds: tuple[float, ...]


def found(candidate_seconds: ArrayLike, true_seconds: ArrayLike, tolerance_seconds: float) -> int:
    """Number of true times with a candidate within `tolerance_seconds`."""
    candidates = np.asarray(candidate_seconds, np.float64)
    truth = np.asarray(true_seconds, np.float64)
    if not candidates.size or not truth.size:
        return 0
    return int((np.abs(truth[:, None] - candidates).min(1) <= tolerance_seconds + 1e-9).sum())


def random_hits(clip: Truth, k: int, tolerance_seconds: float) -> float:
    """Expected number of true times found by `k` independent uniform draws (exact, not simulated)."""
    length = clip.end_seconds - clip.start_seconds
    hits = 0.0
    for time in clip.true_seconds:
        low = max(clip.start_seconds, time - tolerance_seconds)
        high = min(clip.end_seconds, time + tolerance_seconds)
        hits += 1 - (1 - max(0.0, high - low) / length) ** k
    return hits


def recall_table(clips: Iterable[Truth], tolerance_seconds: float) -> dict[str, float | int]:
    """Recall over all true times of all clips, for the candidates, uniform and random times at equal k."""
    hits = {"mined": 0.0, "uniform": 0.0, "random": 0.0}
    times = ks = number = 0
    for clip in clips:
        k = len(clip.candidate_seconds)
        hits["mined"] += found(clip.candidate_seconds, clip.true_seconds, tolerance_seconds)
        if k:
            uniform = uniform_times(clip.start_seconds, clip.end_seconds, k)
            hits["uniform"] += found(uniform, clip.true_seconds, tolerance_seconds)
        hits["random"] += random_hits(clip, k, tolerance_seconds)
        times += len(clip.true_seconds)
        ks += k
        number += 1
    recalls = {name: round(hit / times, 4) for name, hit in hits.items()} if times else {}
    per_clip = {"clips": number, "true_times": times, "mean_candidates": round(ks / number, 2) if number else 0.0}
    return {**per_clip, "tolerance_seconds": tolerance_seconds, **recalls}
