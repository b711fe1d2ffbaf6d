"""1 for the requested format: thinking, key times if the question has any, one answer, and nothing else around them."""

import re

from pipeline.grpo.rewards.rollout import Rollout

_THINK = r"\s*<think>(?P<think>(?:(?!</?think>|</?answer>|</?keyframes>).)*)</think>"
_KEYFRAMES = r"(?:\s*<keyframes>[^<>]*</keyframes>)"
_ANSWER = r"\s*<answer>[^<>]{1,200}</answer>\s*"
_WITH_KEYFRAMES = re.compile(_THINK + _KEYFRAMES + _ANSWER, re.DOTALL)
_WITHOUT = re.compile(_THINK + _KEYFRAMES + "?" + _ANSWER, re.DOTALL)


def score(rollout: Rollout) -> float:
    """1 if the whole completion has the format and the thinking is not blank, else 0."""
    form = _WITH_KEYFRAMES if rollout.sample.key_seconds else _WITHOUT
    match = form.fullmatch(rollout.text)
    return 1.0 if match and match["think"].strip() else 0.0
