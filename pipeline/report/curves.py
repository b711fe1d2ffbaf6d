"""Charts of training curves: known quantities first and grouped, then one chart for each other."""

import math
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

GROUPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("reward and its parts", ("reward", "reward_*")),
    ("accuracy on dev questions", ("dev_accuracy",)),
    ("groups without signal", ("zero_variance", "resampled")),
    ("keyframe F1", ("keyframe_f1",)),
    ("entropy", ("entropy",)),
    ("completion length (tokens)", ("completion_length",)),
    ("completions cut off", ("completion_cut_off",)),
    ("KL to the reference model", ("kl",)),
    ("clipped ratios", ("clip_ratio",)),
    ("loss", ("loss",)),
    ("gradient norm", ("grad_norm",)),
)


def charts(curves: Mapping[str, Sequence[tuple[int, float]]]) -> list[dict[str, Any]]:
    """Charts as JSON: `title` and `series` of `name`, `steps`, `values` (null if not finite)."""
    left = dict(curves)
    made = []
    for title, patterns in GROUPS:
        chosen = [name for name in curves if name in left and _fits(name, patterns)]
        if chosen:
            made.append({"title": title, "series": [_series(name, left.pop(name)) for name in chosen]})
    return made + [{"title": name, "series": [_series(name, points)]} for name, points in left.items()]


def _fits(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _series(name: str, points: Sequence[tuple[int, float]]) -> dict[str, Any]:
    return {
        "name": name.removeprefix("reward_").replace("_", " "),
        "steps": [step for step, _ in points],
        "values": [float(f"{value:.6g}") if math.isfinite(value) else None for _, value in points],
    }
