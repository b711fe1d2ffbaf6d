"""The floor: the largest of what can be had without evidence, and the score above it, question by question."""

import pytest

from pipeline.evaluation.floor import floor
from pipeline.evaluation.metrics import EvaluationResult, detail_metrics, headline_metrics
from pipeline.evaluation.scores import IntervalSettings, by_run, is_valid
from pipeline.records import Prediction
from tests.unit.evaluation.making import make_prediction
from tests.unit.evaluation.test_scores import answers, make_result

INTERVALS = IntervalSettings(0.95, 500, 0)


def broken(count: int, view: str = "blind") -> list[Prediction]:
    """`count` of 20 completions without an answer, the others wrong."""
    return [make_prediction(i, None if i < count else (i + 1) % 5, view=view) for i in range(20)]


@pytest.mark.parametrize(
    ("blind", "forced", "hits", "of", "value"),
    [
        (0, 0, 0, "chance", 0.2),
        (8, 5, 0, "reasoning/blind", 0.4),
        (5, 8, 0, "forced/blind", 0.4),
        (5, 8, 10, "rule: words", 0.5),
    ],
)
def test_the_largest_floor_counts(blind: int, forced: int, hits: int, of: str, value: float) -> None:
    runs = by_run([*answers(12), *answers(blind, view="blind"), *answers(forced, view="blind", mode="forced")])
    found = floor(runs, {"words": {f"q{i}": float(i < hits) for i in range(20)}}, INTERVALS)
    assert (found.of, found.value) == (of, pytest.approx(value))
    assert found.above.value == pytest.approx(0.6 - value)
    assert found.above.low < found.above.value < found.above.high


def test_the_interval_is_paired() -> None:
    """Right on the very questions that the floor has right: the two do not vary apart."""
    runs = by_run([*answers(10), *answers(8, view="blind")])
    same = floor(runs, {}, INTERVALS).above
    other = [make_prediction(i, i % 5 if i >= 12 else (i + 1) % 5, view="blind") for i in range(20)]
    apart = floor(by_run([*answers(10), *other]), {}, INTERVALS).above
    assert same.value == pytest.approx(apart.value)
    assert same.high - same.low < (apart.high - apart.low) * 0.75


def test_a_question_that_a_rule_does_not_judge_counts_as_guessed() -> None:
    found = floor(by_run(answers(12)), {"rank": {f"q{i}": 1.0 for i in range(5)}}, INTERVALS)
    assert found.value == pytest.approx((5 + 15 * 0.2) / 20)


def test_a_control_whose_answers_cannot_be_read_is_named_and_never_counts() -> None:
    runs = [answers(12), answers(4, model="base"), broken(1), answers(6, view="blind", mode="forced")]
    found = headline_metrics(make_result(*runs))
    assert found["invalid_controls"] == "policy reasoning/blind"
    assert "blind_accuracy" not in found
    assert found["forced_blind_accuracy"] == 0.3
    assert (found["floor_of"], found["floor"], found["above_floor"]) == ("forced/blind", 0.3, 0.3)
    details = detail_metrics(make_result(*runs))["runs"]
    assert details["policy reasoning/blind"]["valid"] is False
    assert details["policy forced/blind"]["valid"] is True


def test_two_per_cent_is_the_bound() -> None:
    rows = [make_prediction(0, None), *[make_prediction(i % 20, 0) for i in range(49)]]
    assert is_valid(rows)
    assert not is_valid(rows[:-1])


def test_the_floor_of_a_sample_is_paired_on_the_sample() -> None:
    """Controls asked of ten questions: all of them right with the clip, half of them without."""
    result = make_result(answers(12), answers(4, model="base"), answers(5, 10, view="blind"))
    assert isinstance(result, EvaluationResult)
    found = headline_metrics(result)
    assert (found["floor"], found["above_floor"]) == (0.5, 0.5)
