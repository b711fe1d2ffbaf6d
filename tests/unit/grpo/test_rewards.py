"""Every reward on gold, empty and gamed completions. The table is what the documentation shows."""

import random
from dataclasses import replace
from typing import Any

import pytest

from pipeline.errors import StageError
from pipeline.grpo.rewards import REWARDS, prove_rewards, rewards_in_use, score_all
from pipeline.grpo.rewards.keyframe import key_time_f1
from pipeline.grpo.rewards.rollout import Rollout
from pipeline.grpo.rewards.temporal_iou import interval_iou
from pipeline.grpo.samples import Sample, build_sample, gold_completion
from pipeline.params import RewardWeights
from tests.small_run import small_params, small_samples
from tests.unit.evaluation.making import make_question

SETTINGS = small_params().train_grpo.reward_settings
ALL = RewardWeights(format=1, accuracy=1, keyframe=1, length=1, temporal_order=1, temporal_iou=1)


def questions(number: int = 400) -> list[Sample]:
    """Questions on clips of 60 s shown in 16 frames (4 s apart), with two to four key times."""
    rng = random.Random(0)
    base = small_samples(1)[0]
    made = []
    for i in range(number):
        times = tuple(sorted(rng.uniform(0, 60) for _ in range(rng.randint(2, 4))))
        made.append(replace_sample(base, question_id=f"q{i}", answer=i % 5, key_seconds=times, sigma_seconds=2.0))
    return made


def replace_sample(sample: Sample, **changes: Any) -> Sample:
    return Sample(**{**vars(sample), **changes})


def write(answer: str, times: list[float] | None, think: str = "The cup is taken.") -> str:
    named = "" if times is None else f"<keyframes>{', '.join(f'{t:.1f}' for t in times)}</keyframes>"
    return f"<think>{think}</think>{named}<answer>{answer}</answer>"


def rollout(text: str, sample: Sample, tokens: int = 30, group: float = 0.5, shuffled: float = 0.5) -> Rollout:
    return Rollout(text, tokens, True, sample, SETTINGS, group, shuffled)


RNG = random.Random(1)
FRAMES = [2.0 + 4 * i for i in range(16)]
# A policy that games: what it writes for a sample.
GAMED = {
    "gold": lambda s: gold_completion(s),
    "empty": lambda s: "",
    "constant A": lambda s: write("A", [30.0]),
    "random letter, random times": lambda s: write(RNG.choice("ABCDE"), [RNG.uniform(0, 60) for _ in range(3)]),
    "format only": lambda s: write("none", []),
    "right, one safe time": lambda s: write("ABCDE"[s.answer], [30.0]),
    "right, uniform times": lambda s: write("ABCDE"[s.answer], [10.0, 30.0, 50.0]),
    "right, six uniform times": lambda s: write("ABCDE"[s.answer], [5.0, 15.0, 25.0, 35.0, 45.0, 55.0]),
    "right, all frames": lambda s: write("ABCDE"[s.answer], FRAMES),
    "right, one true time many times": lambda s: write("ABCDE"[s.answer], [s.key_seconds[0]] * 6),
    "right, no times": lambda s: write("ABCDE"[s.answer], None),
    "wrong, true times": lambda s: gold_completion(replace_sample(s, answer=(s.answer + 1) % 5)),
}


def mean_rewards(name: str) -> dict[str, float]:
    samples = questions()
    texts = [GAMED[name](s) for s in samples]
    rollouts = [rollout(text, s, tokens=max(1, len(text) // 4)) for text, s in zip(texts, samples, strict=True)]
    return {reward: sum(score_all(reward, rollouts)) / len(samples) for reward in REWARDS}


@pytest.mark.parametrize(
    ("name", "reward", "low", "high"),
    [
        ("gold", "format", 1, 1),
        ("gold", "accuracy", 1, 1),
        ("gold", "keyframe", 0.999, 1),
        ("gold", "temporal_iou", 0.999, 1),
        ("empty", "format", 0, 0),
        ("empty", "accuracy", 0, 0),
        ("empty", "keyframe", 0, 0),
        ("constant A", "accuracy", 0.2, 0.2),
        ("constant A", "keyframe", 0, 0.1),
        ("random letter, random times", "accuracy", 0.14, 0.26),
        ("random letter, random times", "keyframe", 0, 0.1),
        ("format only", "accuracy", 0, 0),
        ("format only", "keyframe", 0, 0),
        ("right, one safe time", "keyframe", 0, 0.25),
        ("right, uniform times", "keyframe", 0, 0.35),
        ("right, six uniform times", "keyframe", 0, 0.4),
        ("right, all frames", "keyframe", 0, 0),
        ("right, one true time many times", "keyframe", 0, 0),
        ("right, no times", "keyframe", 0, 0),
        ("right, no times", "format", 0, 0),
        ("wrong, true times", "keyframe", 0, 0),
        ("wrong, true times", "accuracy", 0, 0),
        ("wrong, true times", "temporal_iou", 0, 0),
    ],
)
def test_what_a_gaming_policy_earns(name: str, reward: str, low: float, high: float) -> None:
    assert low <= mean_rewards(name)[reward] <= high


def test_uniform_times_earn_no_more_than_random_ones() -> None:
    """Naming times that do not look at the video is worth less than half of naming one true time of three."""
    one_of_three = [
        rollout(write("ABCDE"[s.answer], [s.key_seconds[0]]), s) for s in questions() if len(s.key_seconds) == 3
    ]
    seen = sum(score_all("keyframe", one_of_three)) / len(one_of_three)
    assert seen == pytest.approx(0.5, abs=0.01)
    assert mean_rewards("right, uniform times")["keyframe"] < 0.75 * seen


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
    bare = replace_sample(small_samples(1)[0], key_seconds=())
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
    cases = [(right, 0.5, 0.25), (right, 0.25, 0.5), (wrong, 0.5, 0.25)]
    assert score_all("temporal_order", [rollout(t, sample, 9, g, s) for t, g, s in cases]) == [1.0, 0.0, 0.0]


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
        monkeypatch.setitem(REWARDS, "accuracy", lambda _, value=bad: value)
        with pytest.raises(StageError, match=r"reward accuracy gave .* for question q00"):
            score_all("accuracy", [rollout("", sample)])


def test_a_reward_that_raises_is_not_a_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(REWARDS, "accuracy", lambda _: 1 / 0)
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
    assert rewards_in_use(ALL.model_copy(update={"length": 0, "temporal_iou": 0, "temporal_order": 0})) == {
        "format": 1,
        "accuracy": 1,
        "keyframe": 1,
    }
