"""The gate: only a model that is better beyond doubt on the same questions passes, and every doubt is named."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from pipeline.comparison.gate import Evidence, decide
from pipeline.evaluation.scores import IntervalSettings
from pipeline.params import Promotion
from pipeline.records import Prediction, Question

INTERVALS = IntervalSettings(0.95, 2000, seed=0)
RULES = Promotion(
    min_gain=0.0,
    min_questions=100,
    max_unparsed_rise=0.01,
    max_keyframe_f1_drop=0.01,
    max_agreement_drop=0.02,
)


def _question(i: int, text: str = "what?") -> Question:
    return Question(
        question_id=f"q{i:03}",
        video_id=f"v{i // 3}",
        source="s",
        licence="mit",
        question=text,
        options=tuple("abcde"),
        answer=0,
        start_seconds=0,
        end_seconds=9,
        split="test",
    )


def _prediction(i: int, model: str, option: int | None) -> Prediction:
    return Prediction(
        question_id=f"q{i:03}",
        video_id=f"v{i // 3}",
        parent_video_id=f"v{i // 3}",
        family="",
        model=model,
        mode="reasoning",
        view="video",
        sample=0,
        seen_clip_id=None,
        frame_seconds=(),
        prompt="",
        option_order=(0, 1, 2, 3, 4),
        completion="",
        completion_tokens=0,
        finished=True,
        outcome="ok",
        option=option,
        answer=0,
        keyframe_seconds=None,
        keyframe_frames=None,
        option_probabilities=None,
    )


def _evidence(skill: int, count: int = 150, base: int = 30, **changes: Any) -> Evidence:
    """`skill` per cent right, spread over all videos."""
    right = {"policy": skill, "base": base}
    rows = [_prediction(i, m, 0 if i * 37 % 100 < right[m] else 1) for i in range(count) for m in right]
    return replace(
        Evidence(
            rows, [_question(i) for i in range(count)], keyframe_f1=0.5, leaky=False, above_floor_low=0.1, agreement=0.9
        ),
        **changes,
    )


def _unparsed(evidence: Evidence, count: int) -> Evidence:
    """`count` wrong answers become unreadable: the accuracy stays."""
    wrong = [p for p in evidence.predictions if p.model == "policy" and not p.correct][:count]
    rows = [p.model_copy(update={"option": None}) if p in wrong else p for p in evidence.predictions]
    return replace(evidence, predictions=rows)


def test_a_better_model_is_promoted_with_its_interval() -> None:
    verdict = decide(_evidence(70), _evidence(50), RULES, INTERVALS)
    assert verdict.promote and verdict.against == ()
    assert verdict.gain is not None and verdict.gain.value == pytest.approx(0.2, abs=0.01)
    assert 0 < verdict.gain.low < verdict.gain.value < verdict.gain.high
    assert str(verdict).startswith("promoted: gain over the champion +0.")


def test_a_part_of_a_benchmark_is_called_one() -> None:
    part = _evidence(70, benchmark_questions=500)
    assert "; 150 of 500 questions" in str(decide(part, _evidence(50), RULES, INTERVALS))
    assert "; 150 questions" in str(decide(_evidence(70), _evidence(50), RULES, INTERVALS))


def test_the_first_champion_has_to_beat_its_base() -> None:
    assert decide(_evidence(70, base=30), None, RULES, INTERVALS).promote
    worse = decide(_evidence(30, base=70), None, RULES, INTERVALS)
    assert not worse.promote and "its base model" in str(worse)


def test_a_small_gain_within_the_noise_is_not_enough() -> None:
    verdict = decide(_evidence(51), _evidence(50), replace_rules(min_gain=0.02), INTERVALS)
    assert not verdict.promote and "below promotion.min_gain=+0.0200" in verdict.against[0]


def test_a_negative_bound_lets_an_equal_model_pass() -> None:
    """Equal on 150 questions, it may still be worse by what shows no flip in so many: 2.4 points."""
    assert decide(_evidence(50), _evidence(50), replace_rules(min_gain=-0.03), INTERVALS).promote
    assert not decide(_evidence(50), _evidence(50), replace_rules(min_gain=-0.01), INTERVALS).promote


def replace_rules(**changes: float) -> Promotion:
    return RULES.model_copy(update=changes)


REFUSALS: list[tuple[str, Callable[[], Evidence], str]] = [
    ("worse", lambda: _evidence(40), "the lower bound of the gain"),
    ("leaky", lambda: _evidence(70, leaky=True), "the training data leak into the benchmark"),
    ("nobody looked for leaks", lambda: _evidence(70, leaky=None), "it is unknown whether the training data leak"),
    ("keyframes worse", lambda: _evidence(70, keyframe_f1=0.4), "keyframe F1 0.400 is below the champion's 0.500"),
    ("keyframes gone", lambda: _evidence(70, keyframe_f1=None), "it has no keyframe F1, the champion has 0.500"),
    ("unparsable", lambda: _unparsed(_evidence(70), 9), "6.0% of the answers cannot be parsed, 0.0% of the rival's"),
    (
        "a question unanswered",
        lambda: _evidence(70, count=149),
        "1 of the 150 frozen questions are unanswered, first q149",
    ),
    (
        "a question changed",
        lambda: _evidence(70, questions=[_question(i, "why?" if i == 7 else "what?") for i in range(150)]),
        "1 frozen questions have changed, first q007",
    ),
    (
        "no better than without watching",
        lambda: _evidence(70, above_floor_low=-0.01),
        "not shown to be above an answer",
    ),
    ("floor unknown", lambda: _evidence(70, above_floor_low=None), "it is unknown how far it is above"),
    ("agrees less", lambda: _evidence(70, agreement=0.8), "80.0% of the answers agree with their own thinking, 90.0%"),
    ("agreement unknown", lambda: _evidence(70, agreement=None), "it is unknown whether its answers agree"),
    ("equally right", lambda: _evidence(50), "below promotion.min_gain"),
    ("a keyframe F1 that is no number", lambda: _evidence(70, keyframe_f1=float("nan")), "keyframe F1 nan is below"),
    ("no answers at all", lambda: _evidence(70, predictions=[]), "150 of the 150 frozen questions are unanswered"),
]


@pytest.mark.parametrize(("challenger", "reason"), [pytest.param(c, r, id=name) for name, c, r in REFUSALS])
def test_every_doubt_keeps_the_champion(challenger: Callable[[], Evidence], reason: str) -> None:
    assert decide(_evidence(70), _evidence(50), RULES, INTERVALS).promote  # the same challenger without the doubt
    verdict = decide(challenger(), _evidence(50), RULES, INTERVALS)
    assert not verdict.promote
    assert any(reason in against for against in verdict.against), verdict


def test_a_control_that_does_not_count_is_named() -> None:
    verdict = decide(_evidence(70, invalid_controls="policy reasoning/blind"), _evidence(50), RULES, INTERVALS)
    assert verdict.promote
    assert "controls that do not count, as their answers cannot be read: policy reasoning/blind" in str(verdict)


def test_new_questions_do_not_count_and_too_few_prove_nothing() -> None:
    grown = decide(_evidence(70, count=200), _evidence(50, count=150), RULES, INTERVALS)
    assert grown.promote and grown.notes == ("150 questions",)
    few = decide(_evidence(90, count=60), _evidence(10, count=60), RULES, INTERVALS)
    assert not few.promote and "60 common questions are too few: promotion.min_questions=100" in few.against
