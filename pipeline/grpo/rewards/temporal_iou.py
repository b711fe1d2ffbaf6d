"""Where it happens: overlap of the span of the named key times with the span of the true ones."""

from pipeline.grpo.rewards.keyframe import named_times
from pipeline.grpo.rewards.rollout import Rollout


def interval_iou(first: tuple[float, float], second: tuple[float, float]) -> float:
    """Intersection over union of two intervals in seconds; 0 if both are points."""
    overlap = min(first[1], second[1]) - max(first[0], second[0])
    union = max(first[1], second[1]) - min(first[0], second[0])
    return max(0.0, overlap) / union if union > 0 else 0.0


def score(rollout: Rollout) -> float:
    """IoU if the answer is right and at most `keyframe_max_count` times are named, else 0; a question with fewer
    than two key times has no span and gives 1. By the definition of IoU, a list over the whole clip earns the true
    span's share of the clip."""
    if not rollout.correct:
        return 0.0
    truth = rollout.sample.key_seconds
    if len(truth) < 2 or truth[0] == truth[-1]:
        return 1.0
    named = named_times(rollout.text)
    if not named or len(named) > max(rollout.settings.keyframe_max_count, len(truth)):
        return 0.0
    return interval_iou((min(named), max(named)), (truth[0], truth[-1]))
