"""Order must matter (T-GRPO, Video-R1, arXiv 2503.21776): right answers count only if the group does better on the
ordered frames than the same policy on the same frames shuffled."""

from pipeline.grpo.rewards.rollout import Rollout


def score(rollout: Rollout) -> float:
    """1 if the answer is right and group accuracy > shuffled accuracy, else 0.

    Strictly more: with the paper's >=, a policy that ignores the order would earn it on every right answer.

    Raises:
        ValueError: the shuffled frames were not tried.
    """
    if rollout.shuffled_accuracy is None:
        raise ValueError("temporal_order needs completions on shuffled frames")
    return float(rollout.correct and rollout.group_accuracy > rollout.shuffled_accuracy)
