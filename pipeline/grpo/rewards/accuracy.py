"""1 for the right option, as the evaluation's own parser reads it."""

from pipeline.grpo.rewards.rollout import Rollout


def score(rollout: Rollout) -> float:
    """1 if the answer is right, else 0 (also if no answer can be parsed)."""
    return float(rollout.correct)
