"""Every reward on gold, empty and gamed completions. The table is what the documentation shows."""

import random
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.rewards import PLAYERS, best_constant, made_up_cases, mean_rewards, write
from pipeline.errors import StageError
from pipeline.grpo.rewards import REWARDS, prove_rewards, rewards_in_use, score_all
from pipeline.grpo.rewards.keyframe import key_time_f1
from pipeline.grpo.rewards.rollout import Rollout
from pipeline.grpo.rewards.temporal_iou import interval_iou
from pipeline.grpo.samples import Sample, build_sample
from tests.support.small_run import small_params, small_samples
from tests.unit.evaluation.making import make_question

SETTINGS = small_params().train_grpo.reward_settings
ALL = dict.fromkeys(REWARDS, 1.0)
CASES = made_up_cases(100, SETTINGS)


def replace_sample(sample: Sample, **changes: Any) -> Sample:
    return Sample(**{**vars(sample), **changes})


def rollout(text: str, sample: Sample, tokens: int = 30, group: float = 0.5, shuffled: float = 0.5) -> Rollout:
    return Rollout(text, tokens, True, sample, SETTINGS, group, shuffled, reasked_right=True)


@cache
def earned(name: str) -> dict[str, float]:
    return mean_rewards(PLAYERS[name], CASES, SETTINGS)


# Bounds of (accuracy, keyframe) for every row of the table; temporal_order is 0 for all but gold, consistency for all
# but gold, those whose thinking names the right option (`CONSISTENT`), and by chance.
BOUNDS = {
    "gold": ((1, 1), (0.999, 1)),
    "empty": ((0, 0), (0, 0)),
    "constant A, middle": ((0.2, 0.2), (0, 0.05)),
    "random letter and times": ((0.14, 0.26), (0, 0.05)),
    "format only": ((0, 0), (0, 0)),
    "all letters": ((0, 0), (0, 0)),
    "wrong, true times": ((0, 0), (0, 0)),
    "right, no times": ((1, 1), (0, 0)),
    "right, empty list": ((1, 1), (0, 0)),
    "right, middle": ((1, 1), (0, 0.12)),
    "right, random times": ((1, 1), (0, 0.22)),
    "right, 3 uniform": ((1, 1), (0, 0.25)),
    "right, 4 uniform": ((1, 1), (0, 0.3)),
    "right, all frames": ((1, 1), (0, 0)),
    "right, a thousand": ((1, 1), (0, 0)),
    "right, one true time x4": ((1, 1), (0.2, 0.35)),
    "right, nan": ((1, 1), (0, 0)),
    "right, inf": ((1, 1), (0, 0)),
    "right, negative": ((1, 1), (0, 0)),
    "right, huge": ((1, 1), (0, 0)),
    "right, exponents": ((1, 1), (0, 0)),
    "right, two lists": ((1, 1), (0, 0)),
    "right, list in answer": ((0, 0), (0, 0)),
    "right, list after answer": ((1, 1), (0, 0)),
    "right, list in thinking": ((1, 1), (0, 0)),
    "right, no thinking": ((1, 1), (0.999, 1)),
    "right, its letter for a thinking": ((1, 1), (0.999, 1)),
    "right, points at its letter": ((1, 1), (0.999, 1)),
    "right, any thinking": ((1, 1), (0.999, 1)),
    "right, thinks of another": ((1, 1), (0.999, 1)),
    "right, lists every option": ((1, 1), (0.999, 1)),
    "wrong, thinks right": ((0, 0), (0, 0)),
    "right, thinks right": ((1, 1), (0.999, 1)),
}
CONSISTENT = ("gold", "right, thinks right")
NEVER = ("empty", "right, no thinking", "right, its letter for a thinking", "right, points at its letter")
NEVER += ("right, thinks of another", "wrong, thinks right")


@pytest.mark.parametrize("name", PLAYERS)
def test_what_a_gaming_policy_earns(name: str) -> None:
    means = earned(name)
    for reward, (low, high) in zip(("accuracy", "keyframe"), BOUNDS[name], strict=True):
        assert low <= means[reward] <= high, reward
    assert means["temporal_order"] == means["temporal_contrast"] == (1 if name == "gold" else 0)
    if name in (*CONSISTENT, *NEVER):
        assert means["consistency"] == (name in CONSISTENT)
    else:
        assert means["consistency"] <= min(means["accuracy"], 0.3)


def test_the_best_list_that_never_looks_earns_little() -> None:
    _, value = best_constant(CASES[:30], SETTINGS.keyframe_max_count)
    assert value < 0.36


@settings(max_examples=30)
@given(st.text(max_size=60), st.text(alphabet="<>/keyframsthinkansw 0123456789.,eE+-∞nif", max_size=60))
def test_no_text_makes_a_reward_raise_or_leave_its_range(free: str, tags: str) -> None:
    sample = CASES[0].sample
    texts = [free, tags, f"<think>a</think><keyframes>{free}{tags}</keyframes><answer>A</answer>"]
    for name in REWARDS:
        assert all(0 <= value <= 1 for value in score_all(name, [rollout(text, sample) for text in texts]))


def test_uniform_times_earn_less_than_looking_for_one_time() -> None:
    """Naming times that do not look at the video is worth less than naming one true time of three."""
    three = [c for c in CASES if len(c.sample.key_seconds) == 3]
    one = [rollout(write(c.letter, [c.sample.key_seconds[0]]), c.sample) for c in three]
    seen = sum(score_all("keyframe", one)) / len(one)
    assert seen == pytest.approx(0.5, abs=0.01)
    assert earned("right, 3 uniform")["keyframe"] < 0.5 * seen


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("<think>a</think><keyframes>1</keyframes><answer>B</answer>", 1.0),
        (" <think>a\nb</think>\n<keyframes>1, 2</keyframes>\n<answer>B</answer>\n", 1.0),
        ("<think> </think><keyframes>1</keyframes><answer>B</answer>", 0.0),
        ("<think>a</think><answer>B</answer><keyframes>1</keyframes>", 0.0),
        ("<think>a</think><keyframes>1</keyframes><answer>B</answer> and more", 0.0),
        ("so <think>a</think><keyframes>1</keyframes><answer>B</answer>", 0.0),
        ("<think>a<think>b</think><keyframes>1</keyframes><answer>B</answer>", 0.0),
        ("<think>a</think><keyframes>1</keyframes><answer>B</answer><answer>C</answer>", 0.0),
        ("<think>a</think><keyframes>1</keyframes><answer></answer>", 0.0),
        ("<answer>B</answer>", 0.0),
    ],
)
def test_format(text: str, value: float) -> None:
    assert score_all("format", [rollout(text, small_samples(1)[0])]) == [value]


def test_key_times_are_optional_where_the_question_has_none() -> None:
    bare = replace_sample(small_samples(1)[0], key_seconds=(), key_targets=())
    assert score_all("format", [rollout(write("A", None), bare)]) == [1.0]
    assert score_all("keyframe", [rollout(write("A", None), bare), rollout(write("B", None), bare)]) == [1.0, 0.0]
    assert key_time_f1(rollout(write("A", [1.0]), bare)) is None


def test_length_rewards_the_band() -> None:
    sample = small_samples(1)[0]
    lengths = [SETTINGS.length_min_tokens - 1, SETTINGS.length_min_tokens, SETTINGS.length_max_tokens + 1]
    assert score_all("length", [rollout(write("A", [1.0]), sample, n) for n in lengths]) == [0.0, 1.0, 0.0]


def test_order_must_beat_shuffled_frames() -> None:
    right, wrong = write("A", [1.0]), write("B", [1.0])
    sample = small_samples(1)[0]
    cases = [(right, 0.5, 0.25), (right, 0.25, 0.5), (wrong, 0.5, 0.25), (right, 0.5, 0.5)]
    assert score_all("temporal_order", [rollout(t, sample, 9, g, s) for t, g, s in cases]) == [1.0, 0.0, 0.0, 0.0]


def test_consistency_is_earned_only_if_both_answers_are_right() -> None:
    sample = small_samples(1)[0]
    right, wrong = write("A", [1.0]), write("B", [1.0])
    cases = [(right, True), (right, False), (wrong, True), (wrong, False)]
    asked = [replace(rollout(text, sample), reasked_right=again) for text, again in cases]
    assert score_all("consistency", asked) == [1.0, 0.0, 0.0, 0.0]
    with pytest.raises(ValueError, match="asked again"):
        score_all("consistency", [replace(asked[0], reasked_right=None)])


def test_the_contrast_of_ordered_and_shuffled_frames_is_paid_by_its_size() -> None:
    right, wrong = write("A", [1.0]), write("B", [1.0])
    sample = small_samples(1)[0]
    cases = [(right, 0.75, 0.25), (right, 0.25, 0.75), (wrong, 0.75, 0.25), (right, 0.5, 0.5), (right, 1.0, 0.0)]
    asked = [rollout(t, sample, 9, g, s) for t, g, s in cases]
    assert score_all("temporal_contrast", asked) == [0.5, 0.0, 0.0, 0.0, 1.0]
    with pytest.raises(ValueError, match="shuffled frames"):
        score_all("temporal_contrast", [replace(asked[0], shuffled_accuracy=None)])


def test_who_does_not_look_at_the_order_earns_little_by_contrast() -> None:
    """Both groups of eight are drawn with one accuracy: what is left is luck."""
    luck, sample, earned_ = random.Random(0), small_samples(1)[0], []
    for _ in range(2000):
        ordered, shuffled = (sum(luck.random() < 0.6 for _ in range(8)) / 8 for _ in range(2))
        earned_.append(
            ordered * score_all("temporal_contrast", [rollout(write("A", []), sample, 9, ordered, shuffled)])[0]
        )
    assert sum(earned_) / 2000 < 0.1


def test_interval_iou() -> None:
    assert interval_iou((0, 4), (2, 6)) == pytest.approx(1 / 3)
    assert interval_iou((0, 1), (2, 3)) == 0.0
    assert interval_iou((1, 1), (1, 1)) == 0.0


def test_gold_is_proven_before_training() -> None:
    prove_rewards(ALL, small_samples(), SETTINGS)
    spoiled = [replace_sample(s, answer=7) if s.question_id == "q03" else s for s in small_samples()]
    with pytest.raises((StageError, IndexError)):
        prove_rewards(ALL, spoiled, SETTINGS)
    ambiguous = [replace_sample(small_samples(1)[0], options=("cup", "cup", "red", "blue", "first"))]
    prove_rewards(ALL, ambiguous, SETTINGS)  # a letter is still a letter


def test_a_reward_that_is_not_a_number_stops_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    sample = small_samples(1)[0]
    for bad in (float("nan"), 2.0, None, True):
        monkeypatch.setitem(REWARDS.own, "accuracy", lambda _, value=bad: value)
        with pytest.raises(StageError, match=r"reward accuracy returned .* for question q00"):
            score_all("accuracy", [rollout("", sample)])


def test_a_reward_that_raises_is_not_a_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(REWARDS.own, "accuracy", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        score_all("accuracy", [rollout("", small_samples(1)[0])])


def test_the_ablation_can_lift_the_gate_and_draw_the_targets() -> None:
    sample = small_samples(1)[0]
    wrong = rollout(write("B", list(sample.key_seconds)), sample)
    ungated = replace(wrong, settings=SETTINGS.model_copy(update={"keyframe_gated": False}))
    assert score_all("keyframe", [wrong, ungated]) == [0.0, pytest.approx(1.0)]
    question = make_question(0, keyframe_seconds=(12.0, 14.0), start_seconds=10.0, end_seconds=20.0)
    drawn = SETTINGS.model_copy(update={"keyframe_targets": "random"})
    known, random_, again = (
        build_sample(question, [10.5, 12.5, 14.5], [], "{question}", settings).key_seconds
        for settings in (SETTINGS, drawn, drawn)
    )
    assert known == (2.0, 4.0) and random_ == again != known
    assert len(random_) == 2 and all(0 <= t <= 10 for t in random_)


def test_weights_of_zero_switch_off() -> None:
    assert rewards_in_use({"accuracy": 1.0, "length": 0.0, "format": 0.2}) == {"format": 0.2, "accuracy": 1.0}
