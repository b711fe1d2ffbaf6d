"""How much the order of the frames matters (after TGPO, arXiv 2603.27184: ordered against shuffled frames).

With p the accuracy of the group on the ordered frames and q that of as many completions on the shuffled ones:

    r = max(0, p - q) for a right answer, else 0.

`temporal_order` (T-GRPO) pays all or nothing; this pays by the size of the contrast. TGPO normalises its contrast over
the whole batch: set `scale_rewards: batch`, for a group's own scale takes the size out again if nothing else is
rewarded. Only the paper's abstract was at hand. TRL still subtracts each group's mean. The contrast is multiplied by
the right answer, so that a wrong one never earns anything. A policy blind to the order has p = q on average.
"""

from pipeline.grpo.rewards.rollout import Rollout


def score(rollout: Rollout) -> float:
    """`max(0, group accuracy - shuffled accuracy)` if the answer is right, else 0.

    Raises:
        ValueError: the shuffled frames were not tried.
    """
    if rollout.shuffled_accuracy is None:
        raise ValueError("temporal_contrast needs completions on shuffled frames")
    return max(0.0, rollout.group_accuracy - rollout.shuffled_accuracy) if rollout.correct else 0.0
