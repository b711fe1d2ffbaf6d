"""Rewards: one short file each, a plain function of a `Rollout` with values in [0, 1].

A reward raises on a bug, but never because of a model's output. Before training, every reward in use is checked on gold
completions of the training set.
"""

import math
from collections.abc import Callable, Mapping, Sequence

from pipeline.errors import StageError
from pipeline.grpo.rewards import (
    accuracy,
    consistency,
    format,
    keyframe,
    length,
    temporal_contrast,
    temporal_iou,
    temporal_order,
)
from pipeline.grpo.rewards.rollout import Rollout
from pipeline.grpo.samples import Sample, gold_completion
from pipeline.registry import Registry
from pipeline.train_params import RewardSettings

Reward = Callable[[Rollout], float]

REWARDS: Registry[Reward] = Registry(
    "reward",
    "egovlm.rewards",
    {
        "format": format.score,
        "accuracy": accuracy.score,
        "keyframe": keyframe.score,
        "length": length.score,
        "temporal_order": temporal_order.score,
        "temporal_iou": temporal_iou.score,
        "consistency": consistency.score,
        "temporal_contrast": temporal_contrast.score,
    },
)


def rewards_in_use(weights: Mapping[str, float]) -> dict[str, float]:
    """Names and weights of the rewards whose weight is above 0, in the order of `REWARDS`. A reward without a weight
    is off."""
    return {name: weights[name] for name in REWARDS if weights.get(name, 0) > 0}


def score_all(name: str, rollouts: Sequence[Rollout]) -> list[float]:
    """One score per rollout.

    Raises:
        StageError: a score is not a number in [0, 1]; the batch's questions are named.
    """
    reward = REWARDS[name]
    scores = [reward(rollout) for rollout in rollouts]
    for value, rollout in zip(scores, rollouts, strict=True):
        if not (isinstance(value, float) and math.isfinite(value) and 0 <= value <= 1):
            raise StageError(
                f"reward {name} returned {value!r} for question {rollout.sample.question_id}, expected a number "
                "from 0 to 1"
            )
    return scores


def prove_rewards(weights: Mapping[str, float], samples: Sequence[Sample], settings: RewardSettings) -> None:
    """Check on every sample that gold earns 1 and an empty completion 0 from every reward in use.

    Raises:
        StageError: a reward does not; reward, question and score are named.
    """
    for name in rewards_in_use(weights):
        gold = [_in_band(gold_completion(s), s, settings) for s in samples]
        empty = [Rollout("", 0, True, s, settings, 0.0, 0.0, False) for s in samples]
        for rollouts, wanted in ((gold, 1.0), (empty, 0.0)):
            for rollout, value in zip(rollouts, score_all(name, rollouts), strict=True):
                if abs(value - wanted) > 0.01:  # key times are written with three decimals
                    kind = "gold" if wanted else "empty"
                    raise StageError(
                        f"reward {name} returned {value:.3f} instead of {wanted} for the {kind} completion of question "
                        f"{rollout.sample.question_id}: {rollout.text!r}; fix the question or the reward's settings"
                    )


def _in_band(text: str, sample: Sample, settings: RewardSettings) -> Rollout:
    tokens = max(settings.length_min_tokens, 1)
    return Rollout(text, tokens, True, sample, settings, group_accuracy=1.0, shuffled_accuracy=0.0, reasked_right=True)
