"""Key times: reading them, and a score that cheap answers cannot win."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.answers.keyframes import frame_spacing, match_keyframes, parse_keyframes, soft_f1

TIMES = st.lists(st.floats(0, 180), min_size=1, max_size=4)


@pytest.mark.parametrize(
    ("completion", "seconds"),
    [
        ("<keyframes>2.5, 7.0</keyframes>", [2.5, 7.0]),
        ("<keyframes> 2.5 , 7 </keyframes><answer>B</answer>", [2.5, 7.0]),
        ("<keyframes>[2.5; 7.0]</keyframes>", [2.5, 7.0]),
        ("<keyframes>2.5s 7 s</keyframes>", [2.5, 7.0]),
        ("<keyframes>12 seconds</keyframes>", [12.0]),
        ("<keyframes></keyframes>", []),
        ("<keyframes>1</keyframes><keyframes>2</keyframes>", [2.0]),
        ("<think><keyframes>1</keyframes></think>", None),
        ("<keyframes>-1.0</keyframes>", None),
        ("<keyframes>nan</keyframes>", None),
        ("<keyframes>inf, 2</keyframes>", None),
        ("<keyframes>1e9</keyframes>", None),
        ("<keyframes>99999999999</keyframes>", None),
        ("<keyframes>2.5 and the end</keyframes>", None),
        ("<keyframes>2.5", None),
        ("at 2.5 and 7.0", None),
    ],
)
def test_reading(completion: str, seconds: list[float] | None) -> None:
    assert parse_keyframes(completion) == seconds


def test_a_megabyte_is_read_in_linear_time() -> None:
    named = parse_keyframes("<keyframes>" + "1.5, " * 150_000 + "</keyframes>")
    assert named is not None
    assert len(named) == 150_000
    assert soft_f1(named, [1.5], 1.0, 3) == 0.0


def test_a_named_time_one_sigma_off_counts_as_in_the_formula() -> None:
    score = match_keyframes([3.0], [2.0, 9.0], sigma_seconds=1.0, max_count=3)
    close = np.exp(-0.5)
    assert score.matched == pytest.approx(close)
    assert (score.precision, score.recall) == pytest.approx((close, close / 2))
    assert score.f1 == pytest.approx(2 * close / 3)


def test_one_true_time_is_matched_once() -> None:
    assert soft_f1([2.0, 2.0], [2.0], 1.0, 3) == pytest.approx(2 / 3)
    assert soft_f1([2.0, 2.0], [2.0, 100.0], 1.0, 3) == pytest.approx(0.5)


def test_the_pairing_is_the_best_one_not_the_greedy_one() -> None:
    """3.0 is closest to 3.5; giving it to 2.0 instead lets 5.0 have 3.5."""
    score = match_keyframes([3.0, 5.0], [2.0, 3.5], sigma_seconds=1.0, max_count=2)
    assert score.matched == pytest.approx(np.exp(-0.5) + np.exp(-0.5 * 1.5**2))


@given(TIMES, st.floats(0.1, 10))
def test_the_truth_scores_one_and_everything_else_no_more(truth: list[float], sigma: float) -> None:
    assert soft_f1(truth, truth, sigma, 4) == pytest.approx(1.0)
    assert 0 <= soft_f1([t + 0.3 for t in truth], truth, sigma, 4) <= 1


@given(TIMES, TIMES)
def test_the_score_does_not_depend_on_order(named: list[float], truth: list[float]) -> None:
    assert soft_f1(named[::-1], truth[::-1], 2.0, 4) == pytest.approx(soft_f1(named, truth, 2.0, 4))


def test_nothing_named_scores_nothing() -> None:
    assert soft_f1(None, [1.0], 1.0, 3) == 0.0
    assert soft_f1([], [1.0], 1.0, 3) == 0.0


@pytest.mark.parametrize(("truth", "sigma"), [([], 1.0), ([1.0], 0.0), ([1.0], -1.0)])
def test_no_truth_or_no_width_is_refused(truth: list[float], sigma: float) -> None:
    with pytest.raises(ValueError, match="at least one true key time"):
        soft_f1([1.0], truth, sigma, 3)


def test_cheap_answers_score_low() -> None:
    """16 frames over 180 s, two true times on frames, sigma half the spacing: what naming without looking earns."""
    frames = (np.arange(16) + 0.5) * 180 / 16
    sigma = frame_spacing(list(frames)) / 2
    rng = np.random.default_rng(0)
    scores: dict[str, list[float]] = {"all": [], "middle": [], "uniform": [], "random": [], "true": []}
    for _ in range(400):
        truth = sorted(rng.choice(frames, 2, replace=False).tolist())
        answers = {
            "all": list(frames),
            "middle": [90.0],
            "uniform": [45.0, 90.0, 135.0],
            "random": rng.choice(frames, 2, replace=False).tolist(),
            "true": truth,
        }
        for name, named in answers.items():
            scores[name].append(soft_f1(named, truth, sigma, max_count=4))
    means = {name: float(np.mean(values)) for name, values in scores.items()}
    assert means["true"] == pytest.approx(1.0)
    assert means["all"] == 0.0
    assert max(means["middle"], means["uniform"], means["random"]) < 0.27


def test_spacing() -> None:
    assert frame_spacing([0.5, 1.5, 2.5, 9.0]) == 1.0
    with pytest.raises(ValueError, match="fewer than two"):
        frame_spacing([1.0])
