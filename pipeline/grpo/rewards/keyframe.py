"""Naming the key times: a soft F1 that counts only with a right answer.

One-to-one Gaussian matches, width tied to the spacing of the frames, capped count (`pipeline.answers.keyframes`): a
single safe time, all frames and random times score low. The gate prevents a policy from collecting it on questions
that it gets wrong. The times must lead to the answer: one list, before it. A second list, or one inside or after the
answer, is a second try at the same reward and makes it 0.
"""

from pipeline.answers.completions import element_tags, visible_text
from pipeline.answers.keyframes import parse_keyframes, soft_f1
from pipeline.grpo.rewards.rollout import Rollout

_KEYFRAMES, _ANSWER = element_tags("keyframes"), element_tags("answer")


def named_times(text: str) -> list[float] | None:
    """Seconds named in the one `<keyframes>` element before the answer; None if there is not exactly one list, if it
    cannot be parsed, or if it is not before the answer."""
    shown = visible_text(text)
    tags = list(_KEYFRAMES.finditer(shown))
    answer = _ANSWER.search(shown)
    if len(tags) != 2 or (answer is not None and answer.start() < tags[-1].end()):
        return None
    return parse_keyframes(text)


def key_time_f1(rollout: Rollout) -> float | None:
    """Soft F1 of the named key times, regardless of the answer; None if the sample has no key times."""
    sample = rollout.sample
    if not sample.key_seconds:
        return None
    named = named_times(rollout.text)
    return soft_f1(named, sample.key_targets, sample.sigma_seconds, rollout.settings.keyframe_max_count)


def score(rollout: Rollout) -> float:
    """Soft F1 if the answer is right, else 0; a sample without key times gives 1 for a right answer (no signal).

    Without `keyframe_gated` (the control of the ablation), soft F1 regardless of the answer.
    """
    f1 = key_time_f1(rollout)
    if not rollout.correct and (rollout.settings.keyframe_gated or f1 is None):
        return 0.0
    return 1.0 if f1 is None else f1
