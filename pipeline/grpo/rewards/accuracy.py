"""1 for the right option, as the evaluation's own parser reads it."""

from pipeline.grpo.rewards.rollout import Rollout


def score(rollout: Rollout) -> float:
    """1 where the answer is right, else 0 (also where none can be read)."""
    return float(rollout.correct)
