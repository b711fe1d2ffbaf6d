"""Thinking that leads to the answer (ACRE, arXiv 2510.10104; CORA, arXiv 2606.14691, has a neighbour of it).

The policy is asked again with the completion's own thinking, and the options stand in another order. With a the right
option, o the option of the completion and o' the one that is likeliest in the second asking:

    r = 1 if o = a and o' = a, else 0.

ACRE draws a second completion and pays in four steps. Here the options are compared by likelihood, and a wrong answer
earns nothing, however faithful it is: agreement alone is had by always thinking the same. So the reward is at most the
accuracy, and the only way to it is an answer that its thinking supports under any letter. A completion without a
thinking has nothing to agree with and earns 0.
"""

from pipeline.grpo.rewards.rollout import Rollout


def score(rollout: Rollout) -> float:
    """1 if the answer is right and, asked again, the right option is chosen too, else 0.

    Raises:
        ValueError: nobody asked again.
    """
    if rollout.reasked_right is None:
        raise ValueError("consistency needs completions that were asked again")
    return float(rollout.correct and rollout.reasked_right)
