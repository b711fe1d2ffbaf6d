"""Arms with several seeds."""

import pytest

from benchmarks.arms import compare_arms, render_arms
from pipeline.comparison.compare import compare
from pipeline.errors import EmptyInput
from pipeline.evaluation.scores import IntervalSettings
from pipeline.records import Prediction
from tests.unit.evaluation.making import make_prediction

INTERVALS = IntervalSettings(0.95, 500, 0)


def one_seed(right: int, base: int = 4) -> list[Prediction]:
    """20 questions, `right` of them right by the policy and `base` by the base model."""
    return [
        make_prediction(i, i % 5 if i < share else (i + 1) % 5, model=model)
        for model, share in (("policy", right), ("base", base))
        for i in range(20)
    ]


def test_arms_are_means_over_seeds_and_differences_are_paired() -> None:
    arms = compare_arms({"full": [one_seed(12), one_seed(14)], "blind": [one_seed(5), one_seed(5)]}, "full", INTERVALS)
    full, blind = arms
    assert (full.name, full.versus, full.per_seed) == ("full", None, (0.6, 0.7))
    assert full.accuracy.value == pytest.approx(0.65)
    assert full.gain.value == pytest.approx(0.45)
    assert blind.versus is not None
    assert blind.versus.value == pytest.approx(-0.4)
    assert blind.versus.high < 0
    assert full.accuracy.low < 0.6 < 0.7 < full.accuracy.high


def shifted(rows: list[Prediction]) -> list[Prediction]:
    """The same rights and wrongs on questions of another seed's world: same ids, other answers."""
    move = {"answer": 1, "option": 1}
    return [p.model_copy(update={name: (getattr(p, name) + by) % 5 for name, by in move.items()}) for p in rows]


def test_seeds_with_questions_of_their_own_are_nested_and_must_stand_in_order() -> None:
    arms = {"full": [one_seed(12), shifted(one_seed(14))], "blind": [one_seed(5), shifted(one_seed(5))]}
    nested = compare_arms(arms, "full", INTERVALS)[0]
    crossed = compare_arms({"full": [one_seed(12), one_seed(14)]}, "full", INTERVALS)[0]
    assert nested.accuracy.value == crossed.accuracy.value
    assert nested.accuracy.high - nested.accuracy.low < crossed.accuracy.high - crossed.accuracy.low
    with pytest.raises(EmptyInput, match="same order"):
        compare_arms(arms | {"blind": arms["blind"][::-1]}, "full", INTERVALS)
    with pytest.raises(EmptyInput, match="different data"):
        compare(one_seed(12), shifted(one_seed(12)), INTERVALS)


def test_the_table_is_in_points() -> None:
    lines = render_arms(compare_arms({"full": [one_seed(12)]}, "full", INTERVALS)).splitlines()
    assert len(lines) == 3
    assert lines[2].startswith("| full | 1 | 60.0 [")


def test_agreement_and_figures_are_columns_where_they_were_measured() -> None:
    how = {"mode": "forced", "view": "reordered", "outcome": "scored"}
    again = [make_prediction(i, i % 5 if i < 9 else None, **how) for i in range(20)]
    arms = compare_arms({"full": [[*one_seed(12), *again]], "other": [one_seed(5)]}, "full", INTERVALS)
    assert arms[0].agreement is not None and arms[1].agreement is None
    assert arms[0].agreement.value == pytest.approx(0.45)
    lines = render_arms(arms, {"full": [{"above_floor": 0.4}, {"above_floor": 0.5}]}).splitlines()
    assert "| agreement | above the floor | per seed |" in lines[0]
    assert "| 45.0 (40.0 to 50.0) |" in lines[2]


def test_incomplete_arms_are_refused() -> None:
    with pytest.raises(EmptyInput, match="reference arm full"):
        compare_arms({"other": [one_seed(3)]}, "full", INTERVALS)
    with pytest.raises(EmptyInput, match="arm other has no policy"):
        compare_arms({"full": [one_seed(3)], "other": [one_seed(3)[1:]]}, "full", INTERVALS)
