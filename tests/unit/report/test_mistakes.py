"""What went wrong: the kinds of mistakes and their table, worked out by hand."""

from typing import Any

import pytest

from pipeline.report.mistakes import mistake, mistake_table


def _row(option: int | None, keyframes: list[float] | None = None, **other: Any) -> dict[str, Any]:
    return {
        "answer": 2,
        "truth": [4.0],
        "family": "moved",
        "policy": {"option": option, "keyframes": keyframes},
        **other,
    }


@pytest.mark.parametrize(
    ("row", "spacing", "kind"),
    [
        (_row(2, [4.0]), 1.0, ""),
        (_row(None, [4.0]), 1.0, "no_answer"),
        (_row(1), 1.0, "no_times"),
        (_row(1, []), 1.0, "no_times"),
        (_row(1, [1.0, 4.5]), 1.0, "right_moment"),
        (_row(1, [4.6]), 1.0, "elsewhere"),
        (_row(1, [6.0]), 4.0, "right_moment"),  # frames four seconds apart: half of that is near
        (_row(1, [4.0], truth=None), 1.0, "wrong"),
        (_row(1, [4.0], answer=None), 1.0, ""),
        (_row(1, policy=None), 1.0, ""),
    ],
)
def test_kinds(row: dict[str, Any], spacing: float, kind: str) -> None:
    assert mistake(row, spacing) == kind


def test_the_table_has_the_kinds_that_occur_and_the_worst_family_first() -> None:
    found = [("taken", "elsewhere")] * 2 + [("taken", "no_answer")] + [("count", "elsewhere")] + [("moved", "")]
    rows = [{"family": family, "mistake": kind} for family, kind in found]
    assert mistake_table(rows) == (["no_answer", "elsewhere"], [("taken", [1, 2]), ("count", [0, 1])])
    assert mistake_table([]) == ([], [])
