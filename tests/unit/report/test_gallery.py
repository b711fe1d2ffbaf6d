"""Gallery rows: status of each question, order, times from the clip's start."""

import pytest

from pipeline.records import Question
from pipeline.report.gallery import gallery_rows, status
from pipeline.report.inputs import ReportInputs
from tests.support.report_run import _prediction


def _question(answer: int | None = 2) -> Question:
    return Question(
        question_id="q-1",
        video_id="v",
        source="s",
        licence="CC0-1.0",
        question="What?",
        options=("a", "b", "c", "d", "e"),
        answer=answer,
        start_seconds=10.0,
        end_seconds=18.0,
        keyframe_seconds=(12.0,),
        split="test",
    )


@pytest.mark.parametrize(
    ("base", "policy", "expected"),
    [(0, 2, "gained"), (2, 0, "lost"), (2, 2, "right"), (1, 0, "wrong"), (None, 2, "gained"), (2, None, "lost")],
)
def test_status_compares_both_models(base: int | None, policy: int | None, expected: str) -> None:
    q = _question()
    rows = [
        _prediction(q, "base", "reasoning", "video", base, ""),
        _prediction(q, "policy", "reasoning", "video", policy, ""),
    ]
    assert status(q, *rows) == expected
    row = gallery_rows([q], rows, [])[0]
    assert row["status"] == expected
    assert row["unparsed"] is (base is None or policy is None)


def test_a_question_without_truth_or_without_one_model_has_no_verdict() -> None:
    q = _question(answer=None)
    given = _prediction(q, "base", "reasoning", "video", 1, "")
    assert status(q, given, given) == "open"
    assert status(_question(), given, None) == "one"


def test_flipped_questions_come_first(inputs: ReportInputs) -> None:
    rows = gallery_rows(inputs.questions, inputs.predictions, inputs.keyframes)
    order = [row["status"] for row in rows]
    assert len(rows) == 30
    assert order == sorted(order, key=["gained", "lost", "wrong", "right"].index)
    assert order.count("gained") > 5


def test_times_are_counted_from_the_clip(inputs: ReportInputs) -> None:
    rows = {row["id"]: row for row in gallery_rows(inputs.questions, inputs.predictions, inputs.keyframes)}
    late = rows["q-00002"]
    assert late["start"] == 2.0
    assert late["truth"] == [2.0, 5.5]
    assert late["mined"] == [[2.2, 1.0], [7.0, 0.6], [5.4, 0.3]]
    assert late["policy"]["keyframes"] == [2.1, 6.0]
    assert late["policy"]["probabilities"] is not None


def test_other_runs_are_listed_beside_the_headline(inputs: ReportInputs) -> None:
    rows = gallery_rows(inputs.questions, inputs.predictions, inputs.keyframes)
    assert [other[0] for other in rows[0]["others"]] == [
        "forced/blind", "forced/reordered", "likelihood/video", "reasoning/blind"
    ]  # fmt: skip


@pytest.mark.parametrize(("given", "again", "expected"), [(2, 2, False), (2, 1, True), (None, 1, False)])
def test_thinking_and_answer_disagree_if_another_option_is_chosen_again(
    given: int | None, again: int, expected: bool
) -> None:
    q = _question()
    rows = [
        _prediction(q, "policy", "reasoning", "video", given, ""),
        _prediction(q, "policy", "forced", "reordered", again, ""),
        _prediction(q, "base", "forced", "reordered", 4, ""),
    ]
    assert gallery_rows([q], rows, [])[0]["disagrees"] is expected
    assert gallery_rows([q], rows[:1], [])[0]["disagrees"] is False


def test_without_predictions_every_question_is_there(inputs: ReportInputs) -> None:
    rows = gallery_rows(inputs.questions, [], inputs.keyframes)
    assert len(rows) == 30
    assert {row["status"] for row in rows} == {"one"}
    assert rows[0]["base"] is None
