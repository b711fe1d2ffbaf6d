"""Room to think, not to ramble: 1 for a right completion whose length is in a band."""

from pipeline.grpo.rewards.rollout import Rollout


def score(rollout: Rollout) -> float:
    """1 if the answer is right and length_min_tokens <= length <= length_max_tokens, else 0."""
    settings = rollout.settings
    return float(rollout.correct and settings.length_min_tokens <= rollout.tokens <= settings.length_max_tokens)
