"""Agreement of answers with their thinking: by asking again, and read from the facts."""

import pytest

from pipeline.evaluation.agreement import agreement, stated_agreement
from pipeline.evaluation.conclusions import concluded_option
from pipeline.evaluation.metrics import detail_metrics, headline_metrics
from pipeline.evaluation.result import result_row
from pipeline.evaluation.scores import IntervalSettings, by_run
from pipeline.records import Prediction
from tests.unit.evaluation.making import make_prediction, make_question
from tests.unit.evaluation.test_scores import answers, make_result

INTERVALS = IntervalSettings(0.95, 500, 0)
COLOURS = ("red object", "green object", "blue object", "yellow object", "purple object")


def asked_again(options: list[int]) -> list[Prediction]:
    how = {"mode": "forced", "view": "reordered", "option_order": (2, 3, 4, 0, 1), "outcome": "scored"}
    return [make_prediction(i, option, **how) for i, option in enumerate(options)]


def test_an_answer_agrees_if_the_same_content_is_chosen_again() -> None:
    """Four answers, one of them unreadable; asked again, two of three stay."""
    given = [make_prediction(0, 0), make_prediction(1, 3), make_prediction(2, 4), make_prediction(3, None)]
    found = agreement(by_run([*given, *asked_again([0, 3, 1, 2])]), "policy", INTERVALS)
    assert found is not None
    assert (found.value, found.count) == (pytest.approx(2 / 3), 3)
    assert agreement(by_run(given), "policy", INTERVALS) is None


@pytest.mark.parametrize(
    ("thinking", "family", "option"),
    [
        ("<think>frame 2 red left three so red B", "taken", 0),
        ("<think>frame 2 red left three so purple", "taken", 4),
        ("<think>frame 2 red left three so blue  E ", "taken", 2),
        ("<think>frame 2 red left three so unseen B", "taken", None),
        ("<think>frame 2 red left three", "taken", None),
        ("<think>frame 2 red left three so red B", "moved", None),
        ("<think>frame 2 red left three so red B", "a family of other people", None),
        ("", "taken", None),
    ],
)
def test_what_a_thinking_concludes(thinking: str, family: str, option: int | None) -> None:
    assert concluded_option(thinking, family, COLOURS) == option


def test_a_conclusion_whose_value_no_option_says_is_none() -> None:
    assert concluded_option("so one A", "count", ("two in all", "three in all")) is None
    assert concluded_option("so three A", "count", ("two in all", "three in all")) == 1


def test_answers_are_compared_with_the_fact_their_thinking_ends_with() -> None:
    """Both name letter B in the thinking; red stands at A."""
    questions = {f"q{i}": make_question(i, family="taken", options=COLOURS) for i in range(3)}
    text = "<think>frame 2 red left three so {} B</think><answer>B</answer>"
    rows = [
        make_prediction(0, 1, completion=text.format("red")),
        make_prediction(1, 1, completion=text.format("green")),
        make_prediction(2, 1, completion=text.format("unseen")),
    ]
    found = stated_agreement(by_run(rows), "policy", questions, INTERVALS)
    assert found is not None
    assert (found.value, found.count) == (0.5, 2)


def test_agreement_stands_in_metrics_details_and_the_row_of_the_run() -> None:
    again = asked_again([i % 5 for i in range(12)])
    result = make_result(answers(12), answers(4, model="base"), again)
    metrics = headline_metrics(result)
    assert metrics["agreement"] == 1.0
    assert "base_agreement" not in metrics and "stated_agreement" not in metrics
    assert result_row(metrics)["agree"] == 1.0
    details = detail_metrics(result)["agreement"]
    assert details["policy"]["agreement"]["count"] == 12 and details["base"] == {}
