"""Accuracies, gains, families, consistency and the headline from hand-made predictions."""

import pytest

from pipeline.comparison.compare import compare, render, verdict
from pipeline.errors import EmptyInput
from pipeline.evaluation.keyframe_quality import MatchSettings, keyframe_quality, named_frames
from pipeline.evaluation.metrics import EvaluationResult, detail_metrics, headline_metrics
from pipeline.evaluation.runs import modes_of
from pipeline.evaluation.scores import (
    IntervalSettings,
    chance,
    consistency,
    gain,
    outcome_counts,
    per_family,
    score,
    unparsed_fraction,
)
from pipeline.params import Prompts
from pipeline.records import Prediction
from tests.unit.evaluation.making import make_prediction, make_question, make_settings

INTERVALS = IntervalSettings(0.95, 500, 0)
MATCH = MatchSettings(0.5, 4)
QUESTIONS = {f"q{i}": make_question(i) for i in range(40)}


def answers(right: int, count: int = 20, **changes: object) -> list[Prediction]:
    """The first `right` of `count` questions right, the others wrong."""
    return [make_prediction(i, i % 5 if i < right else (i + 1) % 5, **changes) for i in range(count)]


def test_no_answer_is_a_wrong_answer() -> None:
    rows = [make_prediction(0, 0), make_prediction(1, None), make_prediction(2, 3), make_prediction(3, None)]
    assert score(rows, INTERVALS).value == 0.25
    assert unparsed_fraction(rows) == 0.5
    assert outcome_counts(rows) == {"missing": 2, "tagged": 2}


def test_samples_of_one_question_are_averaged() -> None:
    rows = [make_prediction(0, o, sample=i) for i, o in enumerate((0, 0, 1, None))] + [make_prediction(2, 2)]
    assert score(rows, INTERVALS).value == pytest.approx((0.5 + 1) / 2)
    assert score(rows, INTERVALS).count == 2


def test_a_gain_is_paired() -> None:
    found = gain(answers(5), answers(9), INTERVALS)
    assert found.difference.value == pytest.approx(0.2)
    assert (found.gained, found.lost) == (4, 0)
    assert found.p_value == pytest.approx(2 * 0.5**4)


def test_a_gain_is_of_the_shared_questions() -> None:
    assert gain(answers(2, 4), answers(4, 8), INTERVALS).difference.count == 4
    with pytest.raises(EmptyInput):
        gain(answers(2, 2), [make_prediction(9, 1)], INTERVALS)


def test_families_and_chance() -> None:
    rows = answers(3, 4)
    assert {family: e.value for family, e in per_family(rows, INTERVALS).items()} == {"moved": 0.5, "taken": 1.0}
    assert chance(rows) == pytest.approx(0.2)
    assert chance([make_prediction(0, 0, option_order=(0, 1))]) == 0.5


def test_consistency_is_of_options_not_letters() -> None:
    orders = [(1, 2, 3, 4, 0), (2, 3, 4, 0, 1)]
    by_content = [make_prediction(0, 3, option_order=o) for o in orders]
    by_letter = [make_prediction(1, o[0], option_order=o) for o in orders]
    silent = [make_prediction(2, None, option_order=o) for o in orders]
    reference = [make_prediction(0, 3), make_prediction(1, 0), make_prediction(2, None)]
    assert consistency([*by_content, *by_letter, *silent], reference) == pytest.approx(1 / 3)


def make_result(*runs: list[Prediction]) -> EvaluationResult:
    modes = modes_of(make_settings(), Prompts(reasoning="x", direct="y"))
    return EvaluationResult([p for run in runs for p in run], QUESTIONS, modes, INTERVALS, MATCH)


def test_the_headline_holds_both_gains() -> None:
    """The base does better when asked directly: the gain over its best is smaller than under the same prompt."""
    result = make_result(
        answers(12),
        answers(4, model="base"),
        answers(9, model="base", mode="direct"),
        answers(6, mode="sampled"),
        answers(2, model="base", mode="sampled"),
        answers(5, view="blind"),
    )
    found = headline_metrics(result)
    expected = {
        "questions": 20, "accuracy": 0.6, "base_accuracy": 0.2, "gain_same_prompt": 0.4,
        "base_direct_accuracy": 0.45, "gain": 0.15, "best_base_accuracy": 0.45, "sampled_accuracy": 0.3,
        "sampled_gain": 0.2, "base_sampled_accuracy": 0.1, "blind_accuracy": 0.25, "above_floor": 0.35,
        "unparsed_fraction": 0.0,
    }  # fmt: skip
    assert {key: found[key] for key in expected} == pytest.approx(expected)
    assert found["gain_same_prompt_low"] < 0.4 < found["gain_same_prompt_high"]
    assert found["best_base"] == "direct/video"
    assert "shuffled_accuracy" not in found


def test_strict_accuracy_wants_the_form_that_was_asked_for() -> None:
    rows = [make_prediction(i, i % 5, outcome="tagged" if i % 2 else "bare") for i in range(10)]
    base = [p.model_copy(update={"model": "base"}) for p in rows]
    direct = [p.model_copy(update={"mode": "direct"}) for p in rows]
    result = make_result(rows, base, direct)
    assert headline_metrics(result)["strict_accuracy"] == 0.5
    assert detail_metrics(result)["runs"]["policy direct/video"]["strict_accuracy"] == 1.0


def test_details_of_named_frames_are_paired_with_the_whole_clip() -> None:
    only = [make_prediction(i, i % 5, view="named_frames") for i in range(4)]
    result = make_result(answers(2), answers(2, model="base"), only)
    found = detail_metrics(result)["named_frames"]
    assert found["base"] is None
    assert found["policy"]["difference"]["value"] == pytest.approx(0.5)
    assert found["policy"]["difference"]["count"] == 4


def test_keyframe_quality_against_uniform_and_random() -> None:
    """True times (0.5 s of frames at 0.25, 0.75 ...) are found; sigma is half the spacing of 0.5 s."""
    rows = [make_prediction(i, 0, keyframe_seconds=(0.5,), keyframe_frames=(1,)) for i in range(10)]
    quality = keyframe_quality(rows, QUESTIONS, MATCH)
    assert quality is not None
    assert (quality.precision, quality.recall, quality.f1) == pytest.approx((1.0, 1.0, 1.0))
    assert quality.f1_uniform == pytest.approx(0.000335, abs=1e-5)  # the middle of the clip is one second away
    assert 0.2 < quality.f1_random < 0.5
    assert named_frames(rows)["q3"] == (1,)


def test_naming_no_key_frames_scores_nothing_and_is_counted() -> None:
    rows = [make_prediction(0, 0), make_prediction(1, 0, keyframe_seconds=(0.5,))]
    quality = keyframe_quality(rows, QUESTIONS, MATCH)
    assert quality is not None
    assert (quality.f1, quality.named_fraction, quality.count) == (0.5, 0.5, 2)
    without = {name: question.model_copy(update={"keyframe_seconds": None}) for name, question in QUESTIONS.items()}
    assert keyframe_quality(rows, without, MATCH) is None


def test_comparison_prints_the_test_and_the_flips() -> None:
    first, second = answers(5), [*answers(9)[1:], make_prediction(30, 0)]
    second[0] = make_prediction(1, None)
    found = compare(first, second, INTERVALS)
    assert (found.questions, found.only_first, found.only_second) == (19, 1, 1)
    assert (found.gain.gained, found.gain.lost) == (4, 1)
    text = render(found, QUESTIONS, most=2)
    assert "McNemar's exact test p = 0.375" in text
    assert "- q1  B -> none (missing)  (answer B)  what is taken ?" in text
    assert "... and 3 more" in text


def test_verdicts() -> None:
    assert "better" in verdict(compare(answers(2), answers(18), INTERVALS))
    assert "worse" in verdict(compare(answers(18), answers(2), INTERVALS))
    assert "no difference shown" in verdict(compare(answers(9), answers(10), INTERVALS))


def test_comparing_what_is_not_there_says_what_is() -> None:
    with pytest.raises(EmptyInput, match=r"second evaluation .* policy direct/video .*has policy reasoning/video"):
        compare(answers(2, mode="direct"), answers(2), INTERVALS, run="direct/video")
    with pytest.raises(EmptyInput, match="share no scored question"):
        compare(answers(2, 2), [make_prediction(9, 1)], INTERVALS)
