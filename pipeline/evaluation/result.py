"""The few numbers by which runs are compared: one row of `dvc exp show`, `dvc metrics diff` and `egovlm runs`.

Short names, because DVC prints one column each beside the changed params, and a terminal has 120. metrics.json has
the same numbers under their full names, and what is behind them.
"""

from collections.abc import Mapping
from typing import Any

ROW = {
    "accuracy": "accuracy",
    "gain": "gain",  # over the base at its best
    "low": "gain_low",  # of the gain's interval
    "high": "gain_high",
    "above": "above_floor",
    "agree": "agreement",  # of answers with their own thinking
    "key_f1": "keyframe_f1",
    "unread": "unparsed_fraction",
    "n": "questions",
}
"""Name in result.json -> name in metrics.json."""


def result_row(metrics: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of `ROW` that were measured, as fractions to three decimals.

    >>> result_row({"accuracy": 0.892857, "questions": 420})
    {'accuracy': 0.893, 'n': 420}
    """
    return {name: round(metrics[key], 3) for name, key in ROW.items() if key in metrics}
