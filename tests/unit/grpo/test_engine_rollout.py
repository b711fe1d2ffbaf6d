"""Off-policy numbers and stale completions; the engine itself: tests/unit/engine."""

import math

import pytest
import torch

from pipeline.errors import StageError
from pipeline.grpo.engine_rollout import check_ratios, check_versions
from pipeline.models.generate import Completion


def batch(policy: list[list[float]], engine: list[list[float]], mask: list[list[int]]) -> dict[str, torch.Tensor]:
    return {
        "old_per_token_logps": torch.tensor(policy),
        "sampling_per_token_logps": torch.tensor(engine),
        "completion_mask": torch.tensor(mask),
    }


def test_mean_and_spread_of_the_ratio_are_of_real_tokens_only() -> None:
    rows = batch(
        [[math.log(0.5), math.log(0.2)], [-9.0, -9.0]],
        [[math.log(0.4), math.log(0.25)], [0.0, math.nan]],
        [[1, 1], [0, 1]],
    )
    found = check_ratios(rows, 3)
    assert found == pytest.approx({"importance_ratio/mean": (1.25 + 0.8) / 2, "importance_ratio/std": 0.225})


def test_an_absurd_ratio_stops_the_run() -> None:
    assert check_ratios(batch([[-1.0, -1.0]], [[-1.8, -1.0]], [[1, 1]]), 3)
    rows = batch([[-1.0, -1.0]], [[-3.0, -1.0]], [[1, 1]])
    with pytest.raises(StageError, match="step 4: engine and policy differ by 1 nats per token"):
        check_ratios(rows, 3)


def test_completions_of_other_weights_stop_the_run() -> None:
    fresh, stale = (Completion((1,), "", True, (-1.0,), version) for version in ("5", "4"))
    check_versions([fresh, fresh], 5)
    with pytest.raises(StageError, match="step 6: completions were made with the weights of step 4"):
        check_versions([fresh, stale], 5)
